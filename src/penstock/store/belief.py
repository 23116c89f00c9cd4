"""Which time it is, for who deletes what is old: a clock that leaps is not believed at once.

To a clock that is set wrongly all records may look old. So the time of the last look is kept beside them, and the next
time should be what has passed later. Days in which nothing ran look the same as a wrong clock: after either, records
are kept as if only the time had passed in which somebody ran, until the clock has been of one mind for long enough.
"""

from __future__ import annotations

from dataclasses import dataclass

TOLERATED_SHARE = 1 / 3
"""Of the shortest time that anything is kept: a leap of less deletes at most that much too early, and a machine that is
used once a week is never doubted."""

TOLERATED_AT_LEAST_S = 300.0
BELIEVED_AFTER_S = 3 * 86_400.0
"""Or after the tolerated leap, if that is shorter: time for somebody to set a clock that is wrong."""

COUNTED_AT_MOST_S = 60.0
"""Of the time between two looks: a doubt is not settled by a store that was away meanwhile."""

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Belief:
    """at: the time of the last look, epoch seconds. doubted_s: for how long, of the time in which it was looked, the
    clock has said something else; None = it said the same."""

    at: float
    doubted_s: float | None = None


def first_belief(wall: float, newest: float | None) -> Belief:
    """Before anybody has looked. newest: when the last record was made, as its maker's clock said; None = no record."""
    return Belief(wall if newest is None else min(wall, newest))


def tolerated(kept_s: float) -> float:
    """How far a clock may leap unasked, where the shortest time that anything is kept is `kept_s`."""
    return max(TOLERATED_AT_LEAST_S, TOLERATED_SHARE * kept_s)


def next_belief(before: Belief, wall: float, passed_s: float, tolerated_s: float) -> Belief:
    """What to believe when the clock says `wall`, `passed_s` seconds after the last look.

    passed_s: by a clock that nobody sets; 0 = unknown, this process has not looked before.
    """
    expected = before.at + passed_s
    if abs(wall - expected) <= tolerated_s:
        return Belief(wall)
    if before.doubted_s is None:
        return Belief(expected, 0.0)
    doubted_s = before.doubted_s + min(passed_s, COUNTED_AT_MOST_S)
    return Belief(wall) if doubted_s >= _believed_after(tolerated_s) else Belief(expected, doubted_s)


def told(belief: Belief, wall: float, tolerated_s: float) -> str:
    """A doubt in words that follow "the store is"; "" = there is none."""
    if belief.doubted_s is None:
        return ""
    off_s = wall - belief.at
    side = "ahead of" if off_s > 0 else "behind"
    left_s = _believed_after(tolerated_s) - belief.doubted_s
    return (
        f"holding on to what is old: this machine's clock is {_span(abs(off_s))} {side} the time that was known last; "
        f"set it, or wait: what it says now is believed after {_span(left_s)} more"
    )


def _believed_after(tolerated_s: float) -> float:
    return min(BELIEVED_AFTER_S, tolerated_s)


def _span(span_s: float) -> str:
    return f"{span_s / DAY_S:.1f} days" if span_s >= DAY_S else f"{span_s / 60:.0f} min"
