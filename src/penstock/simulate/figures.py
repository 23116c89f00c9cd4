"""What a run is judged by: times by class, key and model, loads, and fairness."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields

from penstock.core.model import Priority
from penstock.core.scheduling.plan import base_cost
from penstock.simulate.replay import Run
from penstock.simulate.world import Call

WINDOW_S = 120.0
"""Fairness is judged in windows of this length."""


@dataclass(frozen=True, slots=True)
class Times:
    """Of a set of calls, in seconds. total: from arrival to the end; wait: from arrival to a slot."""

    calls: float
    mean_s: float
    p50_s: float
    p99_s: float
    wait_mean_s: float
    wait_p50_s: float
    wait_p99_s: float
    longest_wait_s: float


@dataclass(frozen=True, slots=True)
class Loads:
    count: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run, or the means of several.

    weighted_s: mean total with every class by its weight. fairness: Jain's index of what backlogged keys of a class
    were given, None = there never were two. load_share: part of the time in which something was loading.
    peak_used: the most that was asked of a pool, as a part of its budget. unserved: refused, or never ended.
    """

    overall: Times
    weighted_s: float
    fairness: float | None
    loads: Loads
    span_s: float
    peak_used: float
    unserved: float
    bound_exceeded: float
    by_class: dict[str, Times]
    by_key: dict[str, Times]
    by_model: dict[str, Times]
    loads_by_model: dict[str, Loads]


def figures(run: Run, bound_exceeded: int) -> Figures:
    box, served = run.box, [call for call in run.calls if call.ended_s < math.inf]
    weights = box.plan.policy.weight
    weight = sum(weights[call.priority] for call in served)
    loads = {name: Loads(box.loads[name], box.loading_s[name]) for name in box.models}
    return Figures(
        overall=times(served),
        weighted_s=sum(weights[call.priority] * _total_s(call) for call in served) / weight if weight else math.nan,
        fairness=fairness(run),
        loads=Loads(sum(each.count for each in loads.values()), sum(each.seconds for each in loads.values())),
        span_s=max((call.ended_s for call in served), default=0.0),
        peak_used=box.peak_used,
        unserved=len(run.calls) - len(served),
        bound_exceeded=bound_exceeded,
        by_class=_by(served, lambda call: call.priority.name.lower()),
        by_key=_by(served, lambda call: call.key),
        by_model=_by(served, lambda call: call.model),
        loads_by_model=loads,
    )


def times(calls: Sequence[Call]) -> Times:
    totals = sorted(map(_total_s, calls))
    waits = sorted(map(_wait_s, calls))
    return Times(
        calls=len(calls),
        mean_s=_mean(totals),
        p50_s=percentile(totals, 0.50),
        p99_s=percentile(totals, 0.99),
        wait_mean_s=_mean(waits),
        wait_p50_s=percentile(waits, 0.50),
        wait_p99_s=percentile(waits, 0.99),
        longest_wait_s=waits[-1] if waits else math.nan,
    )


def percentile(ordered: Sequence[float], part: float) -> float:
    """The nearest-rank percentile; nan of nothing."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else math.nan


def jain(amounts: Sequence[float]) -> float:
    """1 = all alike, 1 / n = one has everything."""
    squares = sum(amount * amount for amount in amounts)
    return sum(amounts) ** 2 / (len(amounts) * squares) if squares else 1.0


def fairness(run: Run) -> float | None:
    """Jain's index of the budget-seconds that keys of one class were given while at least two had calls waiting.

    The mean over all windows throughout which they had; None = there is no such window.
    """
    indices: list[float] = []
    for priority in Priority:
        calls = [call for call in run.calls if call.priority is priority and call.ended_s < math.inf]
        if len({call.key for call in calls}) > 1:
            indices += _window_indices(calls, run)
    return _mean(indices) if indices else None


def _window_indices(calls: Sequence[Call], run: Run) -> Iterable[float]:
    cost = {name: base_cost(model) for name, model in run.box.models.items()}
    keys = sorted({call.key for call in calls})
    waits = {key: _union((call.arrived_s, call.started_s) for call in calls if call.key == key) for key in keys}
    start_s, end_s = 0.0, max(call.ended_s for call in calls)
    while start_s < end_s:
        stop_s = start_s + WINDOW_S
        backlogged = [key for key in keys if any(a <= start_s and b >= stop_s for a, b in waits[key])]
        if len(backlogged) > 1:
            got = dict.fromkeys(backlogged, 0.0)
            for call in calls:
                if call.key in got and call.started_s < stop_s and call.ended_s > start_s:
                    seconds = min(call.ended_s, stop_s) - max(call.started_s, start_s)
                    got[call.key] += seconds * cost[call.model]
            yield jain(list(got.values()))
        start_s = stop_s


def _union(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same time without overlaps, in order."""
    merged: list[tuple[float, float]] = []
    for start_s, end_s in sorted(spans):
        if merged and start_s <= merged[-1][1] + 1e-6:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end_s))
        else:
            merged.append((start_s, end_s))
    return merged


def mean_of(many: Sequence[Figures]) -> Figures:
    """The means over several runs of the same world; what a run does not have is left out of the mean."""
    fair = [each.fairness for each in many if each.fairness is not None]
    return Figures(
        overall=_mean_times([each.overall for each in many]),
        weighted_s=_mean([each.weighted_s for each in many]),
        fairness=_mean(fair) if fair else None,
        loads=_mean_loads([each.loads for each in many]),
        span_s=_mean([each.span_s for each in many]),
        peak_used=_mean([each.peak_used for each in many]),
        unserved=_mean([each.unserved for each in many]),
        bound_exceeded=sum(each.bound_exceeded for each in many),
        by_class=_mean_groups([each.by_class for each in many]),
        by_key=_mean_groups([each.by_key for each in many]),
        by_model=_mean_groups([each.by_model for each in many]),
        loads_by_model={
            name: _mean_loads([each.loads_by_model[name] for each in many]) for name in many[0].loads_by_model
        },
    )


def _mean_groups(many: Sequence[dict[str, Times]]) -> dict[str, Times]:
    names = dict.fromkeys(name for groups in many for name in groups)
    return {name: _mean_times([groups[name] for groups in many if name in groups]) for name in names}


def _mean_times(many: Sequence[Times]) -> Times:
    return Times(*(_mean([getattr(each, field.name) for each in many]) for field in fields(Times)))


def _mean_loads(many: Sequence[Loads]) -> Loads:
    return Loads(_mean([each.count for each in many]), _mean([each.seconds for each in many]))


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else math.nan


def _by(calls: Sequence[Call], name_of: Callable[[Call], str]) -> dict[str, Times]:
    groups: dict[str, list[Call]] = {}
    for call in calls:
        groups.setdefault(name_of(call), []).append(call)
    order = [priority.name.lower() for priority in Priority]
    names = sorted(groups, key=lambda name: (order.index(name) if name in order else -1, name))
    return {name: times(groups[name]) for name in names}


def _total_s(call: Call) -> float:
    return call.ended_s - call.arrived_s


def _wait_s(call: Call) -> float:
    return call.started_s - call.arrived_s
