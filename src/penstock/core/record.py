"""The one row that a call leaves behind, its outcomes, and the spans derived from it.

Only this file says how long something took: the record keeps moments, everything else is
computed here. None means unknown and is never 0.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Outcome(enum.StrEnum):
    """How a call ended. Every closed record has exactly one; an open one has none."""

    COMPLETED = "completed"
    CLIENT_ABANDONED = "client_abandoned"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_REFUSED = "upstream_refused"  # the engine's own 4xx, relayed as it is
    CANCELLED_QUEUED = "cancelled_queued"
    CANCELLED_RUNNING = "cancelled_running"
    DEADLINE = "deadline"
    INTERRUPTED = "interrupted"  # the gateway died before the call ended
    REJECTED_AUTH = "rejected_auth"
    REJECTED_FORBIDDEN = "rejected_forbidden"
    REJECTED_UNKNOWN_MODEL = "rejected_unknown_model"
    REJECTED_INVALID = "rejected_invalid"
    REJECTED_TOO_LARGE = "rejected_too_large"
    REJECTED_QUOTA = "rejected_quota"
    REJECTED_QUEUE_FULL = "rejected_queue_full"
    REJECTED_BREAKER = "rejected_breaker"
    REJECTED_START_FAILED = "rejected_start_failed"
    REJECTED_DISABLED = "rejected_disabled"
    REJECTED_SHUTDOWN = "rejected_shutdown"
    REJECTED_UNADMITTABLE = "rejected_unadmittable"


class CallPhase(enum.StrEnum):
    """Where a call is; kept in the record as the place where its client left."""

    READING = "reading"  # its body is still arriving
    QUEUED = "queued"
    LOADING = "loading"  # waits, and its model is being loaded
    SENT = "sent"  # the engine has it and has not answered yet
    STREAMING = "streaming"  # the answer is on its way
    DONE = "done"


@dataclass(slots=True, eq=False)
class CallRecord:
    """One call. Moments (`…_s`) are seconds after `received_at` on one monotonic clock; None = it never came to that.

    received_at is epoch seconds UTC, stamped once. Bytes are those of the bodies.
    """

    id: str
    gateway_id: str
    boot_id: str
    gateway_version: str
    received_at: float
    method: str
    path: str
    dialect: str
    client_address: str | None = None
    client_request_id: str | None = None
    key: str | None = None  # the key's name; None = no key was shown
    key_fingerprint: str | None = None
    workload: str | None = None
    session: str | None = None
    retry_count: int | None = None  # what the client's library says about its own tries

    model_requested: str | None = None
    model: str | None = None  # what it was resolved to
    engine: str | None = None  # the replica that served it
    streamed: bool | None = None
    priority_asked: str | None = None
    priority: str | None = None  # the class it was granted
    pool: str | None = None
    cost: float | None = None
    prompt_tokens_estimated: int | None = None

    enqueued_s: float | None = None
    admitted_s: float | None = None
    engine_ready_s: float | None = None  # when the load that it waited for was over; None = it waited for none
    sent_s: float | None = None
    first_byte_s: float | None = None
    first_token_s: float | None = None
    done_s: float | None = None

    position_at_entry: int | None = None  # 0 = nobody of its model was before it
    wait_reasons: dict[str, float] = field(default_factory=dict)  # seconds for each reason
    caused_load: bool | None = None
    waited_for_load: bool | None = None
    estimated_wait_s: float | None = None  # as it was told on entry; None = it did not wait, or nothing could be said

    outcome: str | None = None  # None = still open
    abandoned_in: str | None = None  # the CallPhase in which the client left
    http_status: int | None = None
    error_code: str | None = None
    error_detail: str | None = None
    response_content_type: str | None = None
    request_bytes: int | None = None
    response_bytes: int | None = None

    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    drafted_tokens: int | None = None
    accepted_tokens: int | None = None
    token_source: str | None = None
    engine_prompt_ms: float | None = None
    engine_decode_ms: float | None = None
    finish_reason: str | None = None

    def is_open(self) -> bool:
        return self.outcome is None


def queue_wait_s(record: CallRecord) -> float | None:
    """Seconds from entering the queue to getting a slot, loading included; None = it never got one."""
    return _span(record.enqueued_s, record.admitted_s)


def load_wait_s(record: CallRecord) -> float | None:
    """The part of the queue wait during which the model was being loaded; 0 = it found the engine ready."""
    if record.admitted_s is None:
        return None
    return record.wait_reasons.get("loading", 0.0)


def ttft_s(record: CallRecord) -> float | None:
    """Seconds from the first byte of the request to the first token of the answer."""
    return record.first_token_s


def decode_s(record: CallRecord) -> float | None:
    """Seconds from the first token to the end."""
    return _span(record.first_token_s, record.done_s)


def service_s(record: CallRecord) -> float | None:
    """Seconds for which the call held its slot; None = it never had one, or has not ended."""
    return _span(record.admitted_s, record.done_s)


def total_s(record: CallRecord) -> float | None:
    """Seconds from the first byte of the request to the last of the answer; None = not ended, or unknown when."""
    return record.done_s


def _span(start_s: float | None, end_s: float | None) -> float | None:
    return None if start_s is None or end_s is None else end_s - start_s
