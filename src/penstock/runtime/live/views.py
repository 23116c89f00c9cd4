"""What the outside sees of live state: the shapes of the live feed and of the control API.

Field names are the nouns of the records; None means unknown and is never 0.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.core.accounting import record as spans
from penstock.core.accounting.host_sample import HostSample
from penstock.core.accounting.record import CallPhase, CallRecord
from penstock.core.scheduling.scheduler import WaitReason
from penstock.runtime.calls.call import Call


class GatewayView(msgspec.Struct, frozen=True):
    """started_at: epoch seconds."""

    version: str
    boot_id: str
    started_at: float
    address: str
    health: str
    health_reasons: tuple[str, ...]


class ModelView(msgspec.Struct, frozen=True):
    """since, idle_since, breaker_until: epoch seconds. load_s: how long the last load took.

    memory_bytes: as declared or estimated. measured_bytes: what its engine was seen to take; None = never yet.
    breaker: its state; None = the model has none. breaker_until: while it is open, when it is tried again.
    """

    name: str
    phase: str
    since: float
    running: int
    waiting: int
    slots: int | None
    memory_bytes: int | None
    ttl_s: float | None
    idle_since: float | None
    failure: str | None
    log_tail: str | None
    aliases: tuple[str, ...]
    description: str | None
    kind: str | None
    is_launched: bool
    load_s: float | None
    pid: int | None
    unlisted: bool
    is_paused: bool
    is_pinned: bool
    breaker: str | None
    breaker_until: float | None
    measured_bytes: int | None


class CallView(msgspec.Struct, frozen=True):
    """A call that waits or runs. received_at, admitted_at, wait_until: epoch seconds."""

    id: str
    model: str | None
    key: str | None
    priority: str | None
    phase: str
    received_at: float
    admitted_at: float | None
    path: str
    client_address: str | None
    streamed: bool | None
    position: int | None
    wait_reason: str | None
    wait_for: str | None
    wait_until: float | None
    estimate_s: float | None
    bound_s: float | None
    response_bytes: int
    has_capture: bool


class Counts(msgspec.Struct, frozen=True):
    running: int
    waiting: int


class State(msgspec.Struct, frozen=True):
    """Everything that is live now. host: the last sample; None = nothing was measured yet, or ever."""

    seq: int
    now: float
    gateway: GatewayView
    models: dict[str, ModelView]
    calls: dict[str, CallView]
    counts: Counts
    recent: list[dict[str, Any]]
    host: HostSample | None


def call_view(call: Call) -> CallView:
    record = call.record
    is_queued = call.phase is CallPhase.QUEUED
    wait = call.context.dispatcher.explain(record.id) if is_queued else None
    phase = CallPhase.LOADING if wait is not None and wait.reason is WaitReason.LOADING else call.phase
    return CallView(
        id=record.id,
        model=record.model or record.model_requested,
        key=record.key or record.key_fingerprint,
        priority=record.priority,
        phase=phase.value,
        received_at=record.received_at,
        admitted_at=None if record.admitted_s is None else record.received_at + record.admitted_s,
        path=record.path,
        client_address=record.client_address,
        streamed=record.streamed,
        position=None if wait is None else wait.position,
        wait_reason=None if wait is None else wait.reason.value,
        wait_for=None if wait is None else wait.wait_for,
        wait_until=None if wait is None else _epoch_s(call, wait.wait_until_s),
        estimate_s=None if wait is None else wait.estimate_s,
        bound_s=None if wait is None else wait.bound_s,
        response_bytes=record.response_bytes or 0,
        has_capture=call.context.captures.has(record.id),
    )


def _epoch_s(call: Call, monotonic_s: float | None) -> float | None:
    return None if monotonic_s is None else call.record.received_at + monotonic_s - call.opened_s


def record_view(record: CallRecord, *, has_capture: bool) -> dict[str, Any]:
    """The record's own fields and the spans derived from them; `key` falls back on the fingerprint."""
    view: dict[str, Any] = msgspec.to_builtins(record)
    view["has_capture"] = has_capture
    view["key"] = record.key or record.key_fingerprint
    view["queue_wait_s"] = spans.queue_wait_s(record)
    view["load_wait_s"] = spans.load_wait_s(record)
    view["ttft_s"] = spans.ttft_s(record)
    view["decode_s"] = spans.decode_s(record)
    view["service_s"] = spans.service_s(record)
    view["total_s"] = spans.total_s(record)
    return view
