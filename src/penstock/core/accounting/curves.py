"""How much went on at a time, bucket by bucket: exact integrals over intervals, not samples.

A call that lasts three seconds of a bucket of five counts 0.6 in it, whenever somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Grid:
    """Buckets of equal width, aligned to the epoch: they do not move when somebody looks again."""

    start: int
    width: int
    count: int

    @property
    def end(self) -> int:
        return self.start + self.width * self.count

    def starts(self) -> list[int]:
        return [self.start + index * self.width for index in range(self.count)]

    def widths(self, now: float) -> list[float]:
        """Seconds of each bucket that have passed, to be divided by: all, of one that has not begun."""
        return [self._passed_s(now - start) for start in self.starts()]

    def _passed_s(self, since_s: float) -> float:
        return max(0.001, min(since_s, self.width)) if since_s >= 0 else float(self.width)


def grid_over(since: float, until: float, width: int) -> Grid:
    """The buckets that a window touches."""
    first = int(since // width)
    last = max(first + 1, -int(-until // width))
    return Grid(first * width, width, last - first)


MOMENT_S = 1e-9
"""What took no longer took no time: moments are not told apart that finely, and a rate over it may be infinite."""


class Place(NamedTuple):
    """Where an interval lies in a grid: its first and last bucket, and how many of its seconds lie in each.

    Of one that lies in a single bucket, all are in the first.
    """

    first: int
    last: int
    in_first_s: float
    in_last_s: float


class Curve:
    """An integral for each bucket of a grid. Adding takes the same time however many buckets an interval spans.

    until: what is added beyond is left out. Where clocks differ, or were set, calls seem to end in the future; of a
    bucket that has only begun such a moment would be a multiple of what there was.
    """

    __slots__ = ("_end", "_grid", "_parts", "_steps")

    def __init__(self, grid: Grid, until: float | None = None) -> None:
        self._grid = grid
        self._end = grid.end if until is None else min(float(grid.end), until)
        self._parts = [0.0] * grid.count
        self._steps = [0.0] * (grid.count + 1)

    def add(self, start: float, end: float, per_s: float = 1.0) -> None:
        """`per_s` for every second from start to end, as far as they lie in the grid."""
        place = self.place(start, end)
        if place is not None:
            self.lay(place, per_s)

    def place(self, start: float, end: float) -> Place | None:
        """For what is laid on several curves of a grid; None = it lies outside."""
        begin, width = self._grid.start, self._grid.width
        start, end = max(start, begin), min(end, self._end)
        if end <= start:
            return None
        first, last = int((start - begin) // width), min(int((end - begin) // width), self._grid.count - 1)
        if first == last:
            return Place(first, last, end - start, 0.0)
        return Place(first, last, begin + (first + 1) * width - start, end - begin - last * width)

    def lay(self, place: Place, per_s: float = 1.0) -> None:
        """`per_s` for every second of an interval."""
        first, last, in_first_s, in_last_s = place
        self._parts[first] += in_first_s * per_s
        if first < last:
            self._parts[last] += in_last_s * per_s
            self._steps[first + 1] += per_s
            self._steps[last] -= per_s

    def flow(self, start: float, end: float, amount: float) -> None:
        """`amount` in all, evenly from start to end; what took no time at all is in one bucket."""
        if end - start > MOMENT_S:
            self.add(start, end, amount / (end - start))
        elif self._grid.start <= start < self._end:
            self._parts[int((start - self._grid.start) // self._grid.width)] += amount

    def put(self, index: int, integral: float) -> None:
        """What is known of a bucket already."""
        self._parts[index] += integral

    def integrals(self) -> list[float]:
        """For each bucket; of `per_s` 1, the seconds."""
        full = accumulate(self._steps[:-1])
        return [part + level * self._grid.width for part, level in zip(self._parts, full, strict=True)]


def pieces(start: float, end: float, width: int) -> Iterator[tuple[int, float]]:
    """The buckets that an interval touches, and how many of its seconds lie in each; an empty one has one bucket."""
    bucket = int(start // width) * width
    while True:
        yield bucket, max(0.0, min(end, bucket + width) - max(start, bucket))
        bucket += width
        if bucket >= end:
            return
