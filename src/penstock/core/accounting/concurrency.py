"""Beside how many others a call ran, on average over its own time: measured from when slots were held, not assumed."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

from penstock.core.accounting.course import Interval


class Spans:
    """Intervals, as many as there are: of each only its two moments are kept, 16 bytes."""

    __slots__ = ("ends", "starts")

    def __init__(self, intervals: Iterable[Interval] = ()) -> None:
        self.starts, self.ends = array("d"), array("d")
        for start, end in intervals:
            self.add(start, end)

    def add(self, start: float, end: float) -> None:
        """`end` may be infinite. One that takes no time is left out."""
        if end > start:
            self.starts.append(start)
            self.ends.append(end)

    def extend(self, other: Spans) -> None:
        self.starts.extend(other.starts)
        self.ends.extend(other.ends)


class Activity:
    """How many intervals are open at a time, as a function that can be integrated in O(log n)."""

    __slots__ = ("_begun", "_ended")

    def __init__(self, spans: Spans) -> None:
        since = min(spans.starts, default=0.0)
        self._begun, self._ended = _Passed(spans.starts, since), _Passed(spans.ends, since)

    def mean(self, start: float, end: float) -> float:
        """The mean number of open intervals; 1.0 for one of them that was alone. `end` is after `start`."""
        return (self._integral(end) - self._integral(start)) / (end - start)

    def _integral(self, at: float) -> float:
        """Of an interval, up to a moment: what has passed since its start, less what has passed since its end."""
        return self._begun.passed_s(at) - self._ended.passed_s(at)


class _Passed:
    """How long ago moments are, all of them together; those to come do not count.

    Sums are of seconds after `since`: of seconds after 1970 they would lose the microseconds.
    """

    __slots__ = ("_moments", "_since", "_sums")

    def __init__(self, moments: Iterable[float], since: float) -> None:
        self._since = since
        self._moments = array("d", sorted(moments))
        self._sums = array("d", accumulate((moment - since for moment in self._moments), initial=0.0))

    def passed_s(self, at: float) -> float:
        count = bisect_right(self._moments, at)
        return count * (at - self._since) - self._sums[count]
