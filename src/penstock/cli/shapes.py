"""What the commands read of a gateway's answers. More may be there; what is named here must be."""

from __future__ import annotations

from typing import TypedDict


class Model(TypedDict):
    """Of `/api/v1/models`. since, breaker_until: epoch seconds."""

    name: str
    phase: str
    since: float
    running: int
    waiting: int
    slots: int | None
    memory_bytes: int | None
    aliases: list[str]
    failure: str | None
    breaker_until: float | None
    is_pinned: bool
    is_paused: bool


class Call(TypedDict):
    """Of `/api/v1/calls`: it waits or runs. received_at: epoch seconds."""

    id: str
    model: str | None
    key: str | None
    priority: str | None
    phase: str
    received_at: float
    position: int | None
    wait_reason: str | None
    wait_for: str | None
    estimate_s: float | None
    bound_s: float | None


class Queue(TypedDict):
    """Of `/api/v1/queue`. waiting: how many there are, listed or not."""

    waiting: int
    calls: list[Call]


class Cancelled(TypedDict):
    """The ids of the calls that were ended."""

    queued: list[str]
    running: list[str]


class Paused(TypedDict):
    """The models that are paused now."""

    paused: list[str]


class ModelPhase(TypedDict):
    """What a command has come to so far."""

    model: str
    phase: str
    pinned: bool


class Profile(TypedDict):
    """pins: what names mean while it is active; None = nothing."""

    name: str
    description: str
    pins: dict[str, str | None]


class Profiles(TypedDict):
    """active: None = none of them."""

    active: str | None
    profiles: list[Profile]


class ActiveProfile(TypedDict):
    """None = none."""

    active: str | None


class Latency(TypedDict):
    """Milliseconds; None = nobody came that far."""

    waited_p50: float | None
    waited_p95: float | None
    ttft_p50: float | None


class UsageRow(TypedDict):
    """What all rows of usage have in common."""

    requests: int
    retries: int
    completed: int
    abandoned: int
    errored: int
    rejected: int
    running: int
    waiting: int
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    service_s: float
    latency_ms: Latency


class ModelUsage(UsageRow):
    """Of one model."""

    model: str


class KeyUsage(UsageRow):
    """Of one key."""

    key: str


class WorkloadUsage(UsageRow):
    """Of one workload."""

    workload: str


class Models(TypedDict):
    """Of `/usage/models`."""

    models: list[ModelUsage]


class Consumers(TypedDict):
    """Of `/usage/consumers`."""

    consumers: list[KeyUsage]


class Workloads(TypedDict):
    """Of `/usage/workloads`."""

    workloads: list[WorkloadUsage]


class Request(TypedDict):
    """One recorded call. Times in milliseconds; None = it did not come that far."""

    time: str
    model: str | None
    consumer: str
    outcome: str | None
    phase: str | None
    queue_wait: float | None
    ttft: float | None
    total: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    wait_reason: str | None


class Requests(TypedDict):
    """Of `/usage/requests`."""

    requests: list[Request]


class Load(TypedDict):
    """One recorded load. outcome: None = it goes on."""

    model: str
    cause: str | None
    source: str
    outcome: str | None
    done_s: float | None
    calls_waiting: int | None
    victims: list[str]


class Loads(TypedDict):
    """Of `/usage/loads`."""

    loads: list[Load]


class Health(TypedDict):
    """Of `/usage/health`."""

    verdict: str
    in_flight: int
    waiting: int
    reasons: list[str]
    notes: list[str]
