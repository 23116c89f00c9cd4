"""Quotas: how much one key may use of something in a window of time, and what it has used.

Windows do not slide. They are aligned to the epoch, in UTC: one of a minute begins with each full minute, one of a
day at midnight, one of a week on Monday. So what was used is one number, the same after a restart, and everybody can
say when there is room again; the price is that up to twice the limit can pass around the moment of a change.

A call is charged when it enters: one request, and the estimate of its prompt in tokens. At its end the tokens are put
right; what no engine ever saw is given back. A quota of tokens refuses once it is used up, so the calls that are then
under way may carry it beyond its limit.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

DAY_S = 86_400
WEEK_S = 7 * DAY_S
_FIRST_MONDAY_S = 4 * DAY_S


class Counted(enum.StrEnum):
    """What a quota counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"  # of prompt and answer together


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `limit` within each window of `per_s` whole seconds."""

    counted: Counted
    limit: int
    per_s: int

    def window(self, now: float) -> int:
        """The number of the window that a moment (epoch seconds) belongs to."""
        return math.floor((now - self._offset_s) / self.per_s)

    def ends_at(self, window: int) -> int:
        """The moment at which a window is over."""
        return (window + 1) * self.per_s + self._offset_s

    @property
    def _offset_s(self) -> int:
        return 0 if self.per_s % WEEK_S else _FIRST_MONDAY_S


class Cells(Protocol):
    """Numbers that last: writes to one of them are seen whole or not at all."""

    def __getitem__(self, at: int, /) -> int: ...
    def __setitem__(self, at: int, number: int, /) -> None: ...


class Tally:
    """What one key has used of one quota, kept in two cells: the number of the window, and what was used in it."""

    __slots__ = ("_at", "_cells", "quota")

    def __init__(self, quota: Quota, cells: Cells, at: int) -> None:
        self.quota = quota
        self._cells = cells
        self._at = at

    def used(self, now: float) -> int:
        """Within the window of this moment, epoch seconds."""
        return self._cells[self._at + 1] if self._cells[self._at] == self._current(now) else 0

    def room_at(self, now: float) -> float | None:
        """When there is room again, epoch seconds; None = there is some now."""
        if self.used(now) < self.quota.limit:
            return None
        return float(self.quota.ends_at(self._current(now)))

    def add(self, amount: int, now: float) -> int:
        """Charge it; gives the number of the window that was charged."""
        cells, at, window = self._cells, self._at, self._current(now)
        if cells[at] != window:
            # In this order a process that is killed in between leaves an empty window, never a wrong one.
            cells[at + 1] = 0
            cells[at] = window
        cells[at + 1] += amount
        return window

    def put_right(self, window: int, amount: int, now: float) -> None:
        """More (or, below 0, less) was used than `add` was told; what is more counts now if that window is over."""
        cells, at = self._cells, self._at
        if cells[at] == window == self._current(now):
            cells[at + 1] = max(0, cells[at + 1] + amount)
        elif amount > 0:
            self.add(amount, now)

    def _current(self, now: float) -> int:
        """A clock that was put back a little must not open a window again that was left already."""
        kept, window = self._cells[self._at], self.quota.window(now)
        return kept if kept == window + 1 else window


class Charge:
    """What one call was charged when it entered; ended once, by `settle` or by `give_back`."""

    __slots__ = ("_charged", "_tokens")

    def __init__(self, tallies: Sequence[Tally], tokens: int, now: float) -> None:
        """Charges one request, and so many tokens until it is known how many they were."""
        self._tokens = tokens
        self._charged = [
            (tally, tally.add(1 if tally.quota.counted is Counted.REQUESTS else tokens, now)) for tally in tallies
        ]

    def settle(self, tokens: int, now: float) -> None:
        """An engine had it: so many tokens were used."""
        for tally, window in self._charged:
            if tally.quota.counted is Counted.TOKENS:
                tally.put_right(window, tokens - self._tokens, now)

    def give_back(self, now: float) -> None:
        """No engine ever saw it: nothing was used."""
        for tally, window in self._charged:
            used = 1 if tally.quota.counted is Counted.REQUESTS else self._tokens
            tally.put_right(window, -used, now)


def fullest(tallies: Sequence[Tally], now: float) -> tuple[Tally, float] | None:
    """The quota that is used up for longest, and the moment until which it is; None = there is room in all."""
    full = [(tally, room_at) for tally in tallies if (room_at := tally.room_at(now)) is not None]
    return max(full, key=lambda each: each[1], default=None)
