"""How much of the time of its devices each call had. Pure.

A device that works for one call is that call's; while it works for several, each has an equal part of every second:

    device time of a call = for each of its devices, the integral of 1 / (calls that hold slots on that device)
                            over the time for which it holds its own

So the times of all calls add up to the time in which the devices worked for at least one of them, and a call that had
two devices to itself for ten seconds had twenty.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Work(NamedTuple, Generic[T]):
    """A call that holds a slot from `start` up to `end`. known_at: not after start."""

    call: T
    known_at: float
    start: float
    end: float
    devices: Sequence[Hashable]


class _Device:
    """How much each of those that are at work on it has had since the beginning, had it been there from then on.

    The part of one call is then the difference between two moments, however many others came and went meanwhile.
    """

    __slots__ = ("at", "count", "each_s")

    def __init__(self) -> None:
        self.at, self.count, self.each_s = 0.0, 0, 0.0

    def moved_to(self, at: float) -> float:
        if self.count:
            self.each_s += (at - self.at) / self.count
        self.at = at
        return self.each_s


def device_times(works: Iterable[Work[T]]) -> Iterator[tuple[T, float]]:
    """The device time of each call, in the order in which they end.

    works: in the order of `known_at`. Nothing is held but those that have not ended, and nothing is asked for before
    it is needed: who has got what he wanted may stop.
    """
    devices: dict[Hashable, _Device] = {}
    moments: list[tuple[float, int, int, Work[T], float]] = []  # when, 0 = it ends, its number, itself, had before
    for number, work in enumerate(works):
        while moments and moments[0][0] <= work.known_at:
            yield from _happens(moments, devices)
        heappush(moments, (work.start, 1, number, work, 0.0))
    while moments:
        yield from _happens(moments, devices)


def _happens(
    moments: list[tuple[float, int, int, Work[T], float]], devices: dict[Hashable, _Device]
) -> Iterator[tuple[T, float]]:
    """The next beginning or end."""
    at, begins, number, work, before_s = heappop(moments)
    used = [devices.setdefault(name, _Device()) for name in work.devices]
    each_s = sum(device.moved_to(at) for device in used)
    for device in used:
        device.count += 1 if begins else -1
    if begins:
        heappush(moments, (max(at, work.end), 0, number, work, each_s))
    else:
        yield work.call, each_s - before_s
