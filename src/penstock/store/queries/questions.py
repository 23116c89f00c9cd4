"""What calls came to in a window, by model, by consumer and by workload, and how fast they were. Each defined once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from penstock.core.accounting import histogram
from penstock.core.accounting.course import Course
from penstock.core.accounting.curves import Grid
from penstock.core.accounting.record import Outcome
from penstock.core.accounting.sums import Spread, Sums
from penstock.core.accounting.throughput import MIN_SAMPLES
from penstock.store.queries.answers import (
    Consumers,
    ConsumerUsage,
    Models,
    ModelSpeed,
    ModelUsage,
    Perf,
    Window,
    Workloads,
    WorkloadUsage,
)
from penstock.store.queries.asking import Asked
from penstock.store.queries.folding import Group, group_of
from penstock.store.queries.snapshot import Snapshot
from penstock.store.queries.told import (
    LATENCIES,
    MAX_ROWS,
    NO_KEY,
    NO_MODEL,
    NO_WORKLOAD,
    OTHER,
    latency,
    median,
    rate,
    solo_decode,
    throughput,
    together,
    usage,
)

ALL = tuple(Spread)
_SPEEDS = (Spread.DECODE_TOK_S, Spread.SOLO_DECODE_TOK_S, Spread.COMPLETION_TOKENS)

NOTES = [
    "Percentiles are over every outcome, at most 2 % beside the true ones; `waited` counts those that gave up too.",
    "Concurrency is measured: how many calls of the model ran beside one, on average over its own time.",
    "Solo decode speed is that of calls that had their devices to themselves, other models included.",
    "Calls that run or wait now are in `requests`, `running` and `waiting`; what they will come to is not known yet.",
]


def models(snapshot: Snapshot, asked: Asked) -> Models:
    """The models by requests."""
    found = snapshot.sums(asked.since, asked.until, asked.filter, ("model", "outcome"), spreads=ALL, speeds=True)
    rows = []
    for each in _told(snapshot, asked, found, "model"):
        whole = together(each.by_outcome)
        solo, solo_samples = solo_decode(whole)
        rows.append(
            ModelUsage(
                model=each.name or NO_MODEL,
                **usage(each.by_outcome, whole, each.open_calls, asked),
                service_s=round(whole.service_s, 3),
                latency_ms=latency(whole),
                latency_ms_by_outcome={outcome: latency(sums) for outcome, sums in sorted(each.by_outcome.items())},
                throughput_by_concurrency=throughput(whole.cells),
                decode_solo_tok_s=solo,
                decode_solo_samples=solo_samples,
                out_tok_p50=median(each.by_outcome.get(Outcome.COMPLETED, Sums()), Spread.COMPLETION_TOKENS),
            )
        )
    rows.sort(key=lambda row: (-row.requests, row.model))
    return Models(window_of(asked), rows, MIN_SAMPLES, NOTES)


def consumers(snapshot: Snapshot, asked: Asked) -> Consumers:
    """The keys by seconds of service."""
    found = snapshot.sums(asked.since, asked.until, asked.filter, ("key", "outcome"), spreads=LATENCIES)
    requests: dict[str, Counter[str]] = {}
    for group, sums in snapshot.sums(asked.since, asked.until, asked.filter, ("key", "model")).items():
        requests.setdefault(group.key, Counter())[group.model or NO_MODEL] += sums.requests
    rows = []
    for each in _told(snapshot, asked, found, "key", weigh=lambda sums: sums.service_s):
        whole = together(each.by_outcome)
        counts = usage(each.by_outcome, whole, each.open_calls, asked)
        by_model = Counter[str]()
        for key in each.stands_for:
            by_model.update(requests.get(key, {}))
        new = (course for course in each.open_calls if asked.since <= course.received_at < asked.until)
        by_model.update(course.model or NO_MODEL for course in new)
        rows.append(
            ConsumerUsage(
                key=each.name or NO_KEY,
                **counts,
                service_s=round(whole.service_s, 3),
                waited_s=round(whole.waited_s, 3),
                models=dict(sorted(by_model.items())),
                abandoned_rate=rate(counts["abandoned"], counts["requests"]),
                latency_ms=latency(whole),
            )
        )
    rows.sort(key=lambda row: (row.key == OTHER, -row.service_s, row.key))
    return Consumers(window_of(asked), rows)


def workloads(snapshot: Snapshot, asked: Asked) -> Workloads:
    """The workloads by requests."""
    found = snapshot.sums(asked.since, asked.until, asked.filter, ("workload", "outcome"), spreads=LATENCIES)
    rows = []
    for each in _told(snapshot, asked, found, "workload"):
        whole = together(each.by_outcome)
        counts = usage(each.by_outcome, whole, each.open_calls, asked)
        rows.append(
            WorkloadUsage(
                workload=each.name or NO_WORKLOAD,
                **counts,
                service_s=round(whole.service_s, 3),
                latency_ms=latency(whole),
                abandoned_rate=rate(counts["abandoned"], counts["requests"]),
                error_rate=rate(counts["errored"], counts["requests"]),
            )
        )
    rows.sort(key=lambda row: (row.workload == OTHER, -row.requests, row.workload))
    return Workloads(window_of(asked), rows)


def perf(snapshot: Snapshot, asked: Asked) -> Perf:
    """How fast models were, bucket by bucket, by when calls were received."""
    grid = asked.speed_grid
    found: dict[str, dict[int, Sums]] = {}
    if asked.filter.outcome in (None, Outcome.COMPLETED):
        completed = replace(asked.filter, outcome=Outcome.COMPLETED.value)
        for (index, group), sums in snapshot.sums_by_bucket(grid, asked.until, completed, ("model",), _SPEEDS).items():
            found.setdefault(group.model, {})[index] = sums
    speeds = {name or NO_MODEL: _speed(by_bucket, grid) for name, by_bucket in sorted(found.items())}
    return Perf(window_of(asked, grid), grid.width, grid.starts(), speeds)


def _speed(by_bucket: Mapping[int, Sums], grid: Grid) -> ModelSpeed:
    told = [by_bucket.get(index) or Sums() for index in range(grid.count)]
    return ModelSpeed(
        decode_p50=[median(sums, Spread.DECODE_TOK_S) for sums in told],
        decode_solo_p50=[median(sums, Spread.SOLO_DECODE_TOK_S) for sums in told],
        comp_tok_p50=[median(sums, Spread.COMPLETION_TOKENS) for sums in told],
        n=[sums.requests for sums in told],
        n_tok=[histogram.samples(sums.bins(Spread.COMPLETION_TOKENS)) for sums in told],
    )


class _Told(NamedTuple):
    """What is told in one row: the calls of one value of a dimension, or of many (`stands_for`) put together."""

    name: str
    by_outcome: dict[str, Sums]
    open_calls: list[Course]
    stands_for: Sequence[str]


def _told(
    snapshot: Snapshot,
    asked: Asked,
    found: Mapping[Group, Sums],
    by: str,
    *,
    weigh: Callable[[Sums], float] = lambda sums: sums.requests,
) -> list[_Told]:
    """For each value of a dimension: what its ended calls came to by outcome, and its open calls.

    Callers name what they like, so that there may be a name for every call: those behind the weightiest are put
    together.
    """
    by_outcome: dict[str, dict[str, Sums]] = {}
    for group, sums in found.items():
        by_outcome.setdefault(getattr(group, by), {})[group.outcome] = sums
    open_calls: dict[str, list[Course]] = {}
    for course in snapshot.open_calls(asked.filter):
        open_calls.setdefault(getattr(group_of(course), by), []).append(course)
    weights = {name: sum(map(weigh, sums.values())) for name, sums in by_outcome.items()}
    rows = [
        _Told(name, by_outcome.get(name, {}), open_calls.get(name, []), [name])
        for name in by_outcome.keys() | open_calls.keys()
    ]
    if len(rows) <= MAX_ROWS:
        return rows
    rows.sort(key=lambda row: (row.name == OTHER, -weights.get(row.name, 0.0), -len(row.open_calls), row.name))
    return [*rows[:MAX_ROWS], _put_together(rows[MAX_ROWS:])]


def _put_together(rows: Sequence[_Told]) -> _Told:
    by_outcome: dict[str, Sums] = {}
    for row in rows:
        for outcome, sums in row.by_outcome.items():
            by_outcome.setdefault(outcome, Sums()).merge(sums)
    return _Told(OTHER, by_outcome, [call for row in rows for call in row.open_calls], [row.name for row in rows])


def window_of(asked: Asked, grid: Grid | None = None) -> Window:
    """With buckets, it begins where the first of them does."""
    if grid is None:
        return Window(asked.last, asked.since, asked.until)
    return Window(asked.last, float(grid.start), asked.until, grid.width)
