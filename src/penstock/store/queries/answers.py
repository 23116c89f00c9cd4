"""What the questions are answered with: Overlaat's names and shapes where it has the question, with more in them.

None is unknown and never 0. Spans are milliseconds where a name ends in `_ms` or stands below `latency_ms`; moments
are epoch seconds. Percentiles are at most 2 % beside the true ones (core/accounting/histogram.py).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """`last`: as it was asked for; None = by its ends. bucket_s: width of a bucket, where there are any."""

    last: str | None
    since: float
    until: float
    bucket_s: int | None = None


@dataclass(frozen=True, slots=True)
class ModelCurves:
    """Means over each bucket. offered = active + queued. out_tok_s: spread evenly over the time of service."""

    offered: list[float]
    active: list[float]
    queued: list[float]
    out_tok_s: list[float]


@dataclass(frozen=True, slots=True)
class KeyCurves:
    offered: list[float]
    active: list[float]
    queued: list[float]


@dataclass(frozen=True, slots=True)
class TotalCurves:
    offered: list[float]
    active: list[float]
    queued: list[float]
    in_tok_s: list[float]
    out_tok_s: list[float]


@dataclass(frozen=True, slots=True)
class HostCurves:
    """Means of readings in each bucket; None = a gap, or not measured. GiB are 2^30 bytes."""

    gpu_pct: list[float | None]
    cpu_pct: list[float | None]
    wired_gb: list[float | None]
    ram_used_gb: list[float | None]
    gpu_memory_used_gb: list[float | None]
    power_w: list[float | None]
    backend_rss_gb: list[float | None]
    ram_total_gb: float | None
    gpu_memory_total_gb: float | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """buckets: their starts. Keys and models beyond the busiest are together in `<other>`."""

    window: Window
    bucket_s: int
    buckets: list[int]
    models: dict[str, ModelCurves]
    keys: list[str]
    by_key_active: dict[str, list[float]]
    by_key: dict[str, KeyCurves]
    out_models: list[str]
    by_model_out_tok_s: dict[str, list[float]]
    totals: TotalCurves
    host: HostCurves


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds. queue_wait: of those that got a slot; waited: also of those that gave up waiting.

    samples: values that each is made of. p95 of fewer than 20 values, and p50 of none, is None.
    """

    queue_wait_p50: float | None
    queue_wait_p95: float | None
    waited_p50: float | None
    waited_p95: float | None
    load_wait_p50: float | None
    load_wait_p95: float | None
    ttft_p50: float | None
    ttft_p95: float | None
    service_p50: float | None
    service_p95: float | None
    total_p50: float | None
    total_p95: float | None
    samples: dict[str, int]


@dataclass(frozen=True, slots=True)
class Concurrency:
    """Completed calls that ran beside so many of their model, on average over their time, themselves included.

    aggregate_tok_s: what they got together; call_tok_s: each by itself. None = not sufficient: fewer than 5 calls, or
    fewer than 5 whose tokens are known.
    """

    concurrency: int
    calls: int
    token_calls: int
    aggregate_tok_s: float | None
    call_tok_s: float | None
    decode_tok_s_p50: float | None
    sufficient: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests received in the window. running and waiting: now, whenever they were received.

    requests = demand + retries, and = the sum of `outcomes` + those of them that are open.
    """

    requests: int
    demand: int
    retries: int
    outcomes: dict[str, int]
    completed: int
    abandoned: int
    errored: int
    cancelled_queued: int
    rejected: int
    running: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Usage(Counts):
    """Counts, and tokens: None = no call said. cache_hit_pct: of the prompts of calls that tell what was cached."""

    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None
    cache_hit_pct: float | None
    energy_j: float | None


@dataclass(frozen=True, slots=True)
class ModelUsage(Usage):
    """What a model was asked for, and how it did. latency_ms is over every outcome."""

    model: str
    service_s: float
    latency_ms: Latency
    latency_ms_by_outcome: dict[str, Latency]
    throughput_by_concurrency: list[Concurrency]
    decode_solo_tok_s: float | None
    decode_solo_samples: int
    out_tok_p50: float | None


@dataclass(frozen=True, slots=True)
class Models:
    window: Window
    models: list[ModelUsage]
    min_samples: int
    notes: list[str]


@dataclass(frozen=True, slots=True)
class ModelSpeed:
    """Of completed calls, by when they were received. n: calls; n_tok: those whose tokens are known."""

    decode_p50: list[float | None]
    decode_solo_p50: list[float | None]
    comp_tok_p50: list[float | None]
    n: list[int]
    n_tok: list[int]


@dataclass(frozen=True, slots=True)
class Perf:
    window: Window
    bucket_s: int
    buckets: list[int]
    models: dict[str, ModelSpeed]


@dataclass(frozen=True, slots=True)
class ConsumerUsage(Usage):
    """models: requests by model."""

    key: str
    service_s: float
    waited_s: float
    models: dict[str, int]
    abandoned_rate: float | None
    latency_ms: Latency


@dataclass(frozen=True, slots=True)
class Consumers:
    window: Window
    consumers: list[ConsumerUsage]


@dataclass(frozen=True, slots=True)
class WorkloadUsage(Usage):
    workload: str
    service_s: float
    latency_ms: Latency
    abandoned_rate: float | None
    error_rate: float | None


@dataclass(frozen=True, slots=True)
class Workloads:
    window: Window
    workloads: list[WorkloadUsage]
