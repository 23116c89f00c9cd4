"""What single records and the present are answered with: calls, loads, machines, and what goes on now.

None is unknown and never 0; moments are epoch seconds. Names are Overlaat's where it has the question.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock.store.queries.answers import HostCurves, Window


@dataclass(frozen=True, slots=True)
class Request:
    """A call. Spans are milliseconds; None = it did not come to that, is not known, or has not ended.

    retry_of: the first try that this one repeats, where it can be told (core/accounting/retries.py).
    """

    id: str
    t_enqueue: float
    time: str
    t_done: float | None
    model: str | None
    model_requested: str | None
    consumer: str
    workload: str | None
    session: str | None
    outcome: str | None
    phase: str | None
    http_status: int | None
    error_code: str | None
    streamed: bool | None
    queue_wait: float | None
    load_wait: float | None
    ttft: float | None
    service: float | None
    total: float | None
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None
    decode_tok_s: float | None
    wait_reason: str | None
    wait_reasons: dict[str, float]
    priority: str | None
    path: str
    client_request_id: str | None
    retry_count: int | None
    retry_of: str | None
    count: int
    energy_j: float | None


@dataclass(frozen=True, slots=True)
class Requests:
    """Newest first. next: for `cursor`, to go on behind the last of these; None = that was all."""

    window: Window | None
    limit: int
    requests: list[Request]
    next: str | None


@dataclass(frozen=True, slots=True)
class LoadRow:
    """A load. `waited`: calls that waited for it, and how long that was for all of them together."""

    id: str
    model: str
    engine: str | None
    devices: list[str]
    source: str
    cause: str | None
    call_id: str | None
    victims: list[str]
    started_at: float
    outcome: str | None
    done_s: float | None
    stop_s: float | None
    release_s: float | None
    start_s: float | None
    ready_s: float | None
    calls_waiting: int | None
    memory_before_bytes: int | None
    memory_after_bytes: int | None
    read_bytes: int | None
    error_detail: str | None


@dataclass(frozen=True, slots=True)
class ModelLoads:
    """Of one model. Seconds of those that were ready; None = none was."""

    model: str
    loads: int
    outcomes: dict[str, int]
    load_s_mean: float | None
    load_s_max: float | None
    load_s_total: float


@dataclass(frozen=True, slots=True)
class Loads:
    """Newest first; `models`: of the whole window, whatever the limit."""

    window: Window
    limit: int
    loads: list[LoadRow]
    models: list[ModelLoads]
    next: str | None


@dataclass(frozen=True, slots=True)
class DeviceNow:
    name: str
    use_pct: float | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    power_w: float | None
    temperature_c: float | None
    clock_mhz: float | None


@dataclass(frozen=True, slots=True)
class EngineNow:
    engine: str
    model: str
    pid: int
    cpu_pct: float | None
    resident_bytes: int | None
    footprint_bytes: int | None
    device_memory_bytes: int | None
    gpu_use_pct: float | None


@dataclass(frozen=True, slots=True)
class HostNow:
    """A machine as it was read last. sample_age_s: how long ago that was."""

    host: str
    gateway_id: str
    sampled_at: float
    sample_age_s: float
    cpu_pct: float | None
    ram_total_bytes: int | None
    ram_available_bytes: int | None
    ram_free_bytes: int | None
    ram_wired_bytes: int | None
    swap_used_bytes: int | None
    gpu_pct: float | None
    gpu_clock_mhz: float | None
    gpu_memory_used_bytes: int | None
    gpu_memory_total_bytes: int | None
    power_w: float | None
    devices: list[DeviceNow]
    engines: list[EngineNow]


@dataclass(frozen=True, slots=True)
class Hosts:
    """Every machine's last reading, and the readings of all of them over the window."""

    window: Window
    hosts: list[HostNow]
    buckets: list[int]
    curves: HostCurves


@dataclass(frozen=True, slots=True)
class Backend:
    """Memory of an engine, in GiB."""

    pid: int
    name: str
    model: str
    cpu_pct: float | None
    rss_gb: float | None
    footprint_gb: float | None
    gpu_pct: float | None


@dataclass(frozen=True, slots=True)
class HostSummary:
    """None = not measured, or no reading."""

    gpu_pct: float | None
    gpu_freq_mhz: float | None
    wired_gb: float | None
    free_gb: float | None
    total_gb: float | None
    sample_age_s: float | None
    backends: list[Backend]


@dataclass(frozen=True, slots=True)
class WaitingNow:
    """A call that waits. position and what follows are known to a running gateway only."""

    key: str
    model: str | None
    id: str
    age_s: float
    priority: int | None
    effective_priority: float | None
    pool: str | None
    wait_reason: str | None


@dataclass(frozen=True, slots=True)
class ModelNow:
    """cap: None = unknown, or no limit. wait_ms: of the calls that ended last."""

    model: str
    cap: int | None
    in_flight: int
    queue_depth: int
    queued: list[WaitingNow]
    wait_ms_p50: int | None
    wait_ms_p95: int | None


@dataclass(frozen=True, slots=True)
class PoolNow:
    """A pool of compute, in shares of it. in_flight: calls by model. reserved_for: who has room kept for it."""

    budget: float
    used: float
    exclusive: bool = False
    active_member: str | None = None
    reserved_for: str | None = None
    in_flight: dict[str, int] = field(default_factory=dict)
    budget_pct: float | None = None


@dataclass(frozen=True, slots=True)
class BudgetNow:
    """The pool named `default`, or the first one; queue_depth and in_flight: of all of them."""

    budget: float
    used: float
    queue_depth: int
    in_flight: dict[str, int]
    reserved_for: str | None = None
    budget_pct: float | None = None
    pools: dict[str, PoolNow] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeyLately:
    key: str
    calls: int
    completion_tokens: int | None
    cached_tokens: int | None


@dataclass(frozen=True, slots=True)
class Now:
    """What goes on. queue_available: a running gateway said so; else it is what the store has of open calls.

    budget: None = there are no pools, or no gateway says.
    """

    verdict: str
    stall: str | None
    queue_available: bool
    scheduler: bool
    budget: BudgetNow | None
    models: list[ModelNow]
    queued: list[WaitingNow]
    totals: dict[str, int]
    host: HostSummary | None
    recent_5m_by_key: list[KeyLately]
    caveat: str


@dataclass(frozen=True, slots=True)
class Health:
    """verdict: OK, DEGRADED or STALLED; the worst of what was found wins. notes are no reasons for worry."""

    verdict: str
    reasons: list[str]
    notes: list[str]
    in_flight: int
    waiting: int
    gpu_pct: float | None
    minutes_not_rolled_up: int
