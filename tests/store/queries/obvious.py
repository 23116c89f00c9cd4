"""The formulas of usage once more, slow and obvious, of the calls themselves: by looking at every tenth of a second.

Nothing here is shared with what is tested: neither intervals, nor sums, nor percentiles. Moments are tenths of seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from penstock.core.accounting.course import Course

TICK_S = 0.1
DEVICE_MATES = {("g1", "a"): {"a", "b"}, ("g1", "b"): {"a", "b"}}
"""As `histories.sharing` says."""


def ended_after_s(call: Course, now: float) -> float:
    """When it stopped to want anything, after it was received."""
    if call.done_s is not None:
        return call.done_s
    return call.last_s if call.outcome is not None else max(call.last_s, now - call.received_at)


def wants(call: Course, at: float, now: float) -> bool:
    began = call.enqueued_s
    return began is not None and began <= at - call.received_at < max(began, ended_after_s(call, now))


def runs(call: Course, at: float, now: float) -> bool:
    began = call.admitted_s
    return began is not None and began <= at - call.received_at < max(began, ended_after_s(call, now))


def waits(call: Course, at: float, now: float) -> bool:
    return wants(call, at, now) and not runs(call, at, now)


def ticks(start: float, end: float) -> list[float]:
    """The middles of the tenths between two moments."""
    return [start + (index + 0.5) * TICK_S for index in range(round((end - start) / TICK_S))]


def mean_of(
    calls: Iterable[Course], is_so: Callable[[Course, float, float], bool], start: float, end: float, now: float
) -> float:
    """How many were so, on average."""
    calls = list(calls)
    looks = ticks(start, end)
    return sum(is_so(call, at, now) for at in looks for call in calls) / len(looks)


def tokens_in(calls: Iterable[Course], of: Callable[[Course], int | None], start: float, end: float) -> float:
    """Tokens of ended calls, each spread evenly over its time in a slot; at once, where that took no time."""
    found = 0.0
    for call in calls:
        tokens = of(call)
        if call.outcome is None or call.admitted_s is None or not tokens:
            continue
        began = call.received_at + call.admitted_s
        took_s = max(call.admitted_s, ended_after_s(call, 0.0)) - call.admitted_s
        if took_s < TICK_S / 2:
            found += tokens if start <= began < end else 0
        else:
            found += tokens / (took_s / TICK_S) * sum(start <= at < end for at in ticks(began, began + took_s))
    return found


def service_s(call: Course) -> float | None:
    return None if call.admitted_s is None or call.done_s is None else call.done_s - call.admitted_s


def waited_s(call: Course) -> float | None:
    left = call.admitted_s if call.admitted_s is not None else call.done_s
    return None if call.enqueued_s is None or left is None else left - call.enqueued_s


def decode_tok_s(call: Course) -> float | None:
    if call.first_token_s is None or call.done_s is None or not call.completion_tokens:
        return None
    took_s = call.done_s - call.first_token_s
    return None if took_s < 0.05 else call.completion_tokens / took_s


def beside(call: Course, everyone: Sequence[Course], models: set[str | None]) -> float:
    """How many held a slot of these models while it did, on average, itself included. What is open has never ended."""
    assert call.admitted_s is not None
    assert call.done_s is not None
    start, end = call.received_at + call.admitted_s, call.received_at + call.done_s
    mates = [one for one in everyone if one.gateway_id == call.gateway_id and one.model in models]
    return mean_of(mates, runs, start, end, math.inf)


def is_measured(call: Course) -> bool:
    took_s = service_s(call)
    return call.outcome == "completed" and call.model is not None and took_s is not None and took_s > 0.05


def percentile(values: Iterable[float | None], share: float, *, at_least: int = 1) -> float | None:
    known = sorted(value for value in values if value is not None)
    return known[min(int(len(known) * share), len(known) - 1)] if len(known) >= at_least else None


def total(values: Iterable[float | None]) -> float | None:
    """None = no value is known."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
