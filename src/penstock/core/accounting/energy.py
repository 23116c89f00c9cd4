"""How much of what a device used is charged to each call. Pure.

A device is measured now and then; in between, calls begin and end. What it used while none of them ran is nobody's:
that is what it draws when idle, as long as nothing ran. All the rest is the calls', in proportion to the time for
which each was at work, so that their shares add up to it.

    charged = energy - idle power * (span - time in which at least one call was at work)
    share   = charged * own time at work / sum of all times at work

Idle power counts at most as much as the mean of the span. If it was never seen, the mean stands for it: then what is
charged is the part of the span in which somebody was at work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """From one moment to another, on the same clock as all others."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        return max(0.0, self.end_s - self.start_s)

    def within(self, other: Span) -> Span:
        """Its part that lies in the other."""
        return Span(max(self.start_s, other.start_s), min(self.end_s, other.end_s))


def shares_j(energy_j: float, span: Span, work: Mapping[str, Span], idle_w: float | None) -> dict[str, float]:
    """What each call used of the energy of a span, by its id; who did not work in it is left out.

    work: when each call was at work, also outside the span. idle_w None = it was never seen idle.
    """
    inside = {call_id: each.within(span) for call_id, each in work.items()}
    inside = {call_id: each for call_id, each in inside.items() if each.length_s > 0}
    whole_s = sum(each.length_s for each in inside.values())
    if not whole_s:
        return {}
    mean_w = energy_j / span.length_s
    quiet_s = max(0.0, span.length_s - busy_s(list(inside.values())))
    charged_j = energy_j - (mean_w if idle_w is None else min(idle_w, mean_w)) * quiet_s
    return {call_id: charged_j * each.length_s / whole_s for call_id, each in inside.items()}


def busy_s(spans: Sequence[Span]) -> float:
    """For how long at least one of them lasted."""
    total_s, end_s = 0.0, float("-inf")
    for span in sorted(spans, key=lambda each: each.start_s):
        total_s += max(0.0, span.end_s - max(span.start_s, end_s))
        end_s = max(end_s, span.end_s)
    return total_s
