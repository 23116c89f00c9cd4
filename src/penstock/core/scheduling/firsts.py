"""The firsts of one model's lines, by when they are due: of each share, only the earliest is looked at.

If it cannot start, no later one of its share can. So however many wait, a decision looks at a handful.
"""

from __future__ import annotations

import heapq
from typing import Generic, Protocol, TypeVar


class First(Protocol):
    """The first of a line. is_shut: it waits, but is not to be looked at for the time being."""

    due_s: float
    seq: int
    share: float
    is_waiting: bool
    is_shut: bool


T = TypeVar("T", bound=First)


class Firsts(Generic[T]):
    def __init__(self) -> None:
        self.heaps: dict[float, list[tuple[float, int, T]]] = {}  # by share; those who are gone or shut stand there too
        self._heads: list[T] | None = []  # None: they may have changed since somebody asked

    def heads(self) -> list[T]:
        """The earliest due of every share, earliest first."""
        if self._heads is None:
            for heap in self.heaps.values():
                while heap and not _counts(heap[0][2]):
                    heapq.heappop(heap)
            self._heads = [first for _, _, first in sorted([heap[0] for heap in self.heaps.values() if heap])]
        return self._heads

    def file(self, first: T, lines: int) -> None:
        """Another first, or one that was shut until now. lines: how many firsts there are at most."""
        self._heads = None
        heap = self.heaps.setdefault(first.share, [])
        heapq.heappush(heap, (first.due_s, first.seq, first))
        if len(heap) > 2 * lines + 64:  # most of them gone, without ever having been on top
            heap[:] = {seq: (due_s, seq, each) for due_s, seq, each in heap if _counts(each)}.values()
            heapq.heapify(heap)

    def look_again(self) -> None:
        """One of them is gone or shut."""
        self._heads = None

    def clear(self) -> None:
        self.heaps.clear()
        self._heads = []


def _counts(first: First) -> bool:
    return first.is_waiting and not first.is_shut
