"""When a waiting call is likely to start: from what runs, for how long it has run, and how long calls took lately.

Nothing is decided by it, and nothing is worked out before somebody asks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import accumulate

LOOKED_AT = 64
"""Of more calls than this that run side by side, so many stand for all of them."""
LATE_LOADS = 0.25
"""A load that is late goes on for this part of the time it has taken."""
LEAST_S = 1e-3
"""No call and no load is expected to be over sooner: nothing that still runs takes 0 s more."""


def remaining_s(lately_s: Sequence[float], usual_s: float, ran_s: float) -> float:
    """How much longer a call runs that has run for `ran_s`: what those had left then that took longer than it.

    lately_s: what calls took, shortest first. usual_s: what one is taken to last before anything was seen.

    One imagined call always counts as one of the longer ones: it has half as much to go as it has run, and a usual
    call more. That is the expectation where no more is known of a duration than that long ones are seldom and may be
    very long (Lomax's distribution of shape 3: between those whose end comes as if by chance, and the heaviest tails).
    So a call that has outlived all that were seen is not taken to be about to end, and where many took longer, those
    are what counts.
    """
    longer = lately_s[bisect_right(lately_s, ran_s) :]
    left_s = sum(longer) - len(longer) * ran_s
    return max(LEAST_S, (left_s + usual_s + max(0.0, ran_s) / 2) / (len(longer) + 1))


def until_ended_s(left_s: Collection[float], usual_s: float, count: float) -> float:
    """When so many calls have ended, if those that run have these seconds left, and each is followed by a usual one.

    Each is taken to end as if by chance, at a rate of one in what it has left, and the one that is nearest to its end
    to be the next. Where all have a usual call left, that is a usual call by the number of places for each.
    count: may be a part, where some stand for all. 0 where nothing runs.
    """
    usual_s = max(LEAST_S, usual_s)
    rates = [1.0 / max(LEAST_S, each_s) for each_s in sorted(left_s, reverse=True)]
    rest = list(accumulate(rates))  # of the slowest, of the two slowest, …
    waits_s = 0.0
    for followed in range(len(rest)):
        part = min(1.0, count)
        waits_s += part / (rest[-1 - followed] + followed / usual_s)
        count -= part
        if count <= 0.0:
            return waits_s
    return waits_s + count * usual_s / len(rest) if rest else 0.0


def load_left_s(load_s: float, loads_for_s: float) -> float:
    """How much longer a load takes.

    Loads of a model take about as long as the last one. One that is late has met something else, a cold disk say, and
    nobody knows how much slower that is: it is taken to go on for a quarter of the time it has taken.
    """
    return max(LEAST_S, load_s - loads_for_s if loads_for_s < load_s else LATE_LOADS * loads_for_s)
