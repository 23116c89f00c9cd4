"""How much went on at a time, bucket by bucket: exact integrals over intervals, not samples.

A call that lasts three seconds of a bucket of five counts 0.6 in it, whenever somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate


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

    def widths(self, until: float) -> list[float]:
        """Seconds of each bucket that have passed by `until`; at least one millisecond, to be divided by."""
        return [min(float(self.width), max(0.001, until - start)) for start in self.starts()]


def grid_over(since: float, until: float, width: int) -> Grid:
    """The buckets that a window touches."""
    first = int(since // width)
    last = max(first + 1, -int(-until // width))
    return Grid(first * width, width, last - first)


class Curve:
    """An integral for each bucket of a grid. Adding takes the same time however many buckets an interval spans."""

    __slots__ = ("_grid", "_parts", "_steps")

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._parts = [0.0] * grid.count
        self._steps = [0.0] * (grid.count + 1)

    def add(self, start: float, end: float, per_s: float = 1.0) -> None:
        """`per_s` for every second from start to end, as far as they lie in the grid."""
        grid = self._grid
        start, end = max(start, grid.start), min(end, grid.end)
        if end <= start:
            return
        width = grid.width
        first, last = int((start - grid.start) // width), min(int((end - grid.start) // width), grid.count - 1)
        if first == last:
            self._parts[first] += (end - start) * per_s
            return
        self._parts[first] += (grid.start + (first + 1) * width - start) * per_s
        self._parts[last] += (end - grid.start - last * width) * per_s
        self._steps[first + 1] += per_s
        self._steps[last] -= per_s

    def flow(self, start: float, end: float, amount: float) -> None:
        """`amount` in all, evenly from start to end; what took no time at all is in one bucket."""
        if end > start:
            self.add(start, end, amount / (end - start))
        elif self._grid.start <= start < self._grid.end:
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
