"""Beside how many others a call ran, on average over its own time: measured from when slots were held, not assumed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from penstock.core.course import Interval


class Activity:
    """How many intervals are open at a time, as a function that can be integrated in O(log n)."""

    __slots__ = ("_integral", "_level", "_times")

    def __init__(self, intervals: Iterable[Interval]) -> None:
        changes: dict[float, int] = {}
        for start, end in intervals:
            if end > start:
                changes[start] = changes.get(start, 0) + 1
                changes[end] = changes.get(end, 0) - 1
        self._times = sorted(changes)
        self._level: list[int] = []
        self._integral: list[float] = []
        level, integral, before = 0, 0.0, 0.0
        for at in self._times:
            integral += level * (at - before)
            level += changes[at]
            before = at
            self._integral.append(integral)
            self._level.append(level)

    def _until(self, at: float) -> float:
        index = bisect_right(self._times, at) - 1
        if index < 0:
            return 0.0
        return self._integral[index] + self._level[index] * (at - self._times[index])

    def mean(self, start: float, end: float) -> float:
        """The mean number of open intervals; 1.0 for one of them that was alone. `end` is after `start`."""
        return (self._until(end) - self._until(start)) / (end - start)
