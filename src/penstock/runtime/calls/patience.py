"""Tells those who wait on a stream that they still wait, so that nothing between them and us takes silence for death.

One list for everybody, looked at once a second; a call that waits for nobody's attention costs nothing.
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import Protocol


class Waiting(Protocol):
    """A call that waits on a stream."""

    def say_waiting(self, now_s: float) -> float | None:
        """Tell its client. Seconds until the next time; None = it waits no more."""


class Patience:
    """Who is to be told next, and when."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Waiting]] = []
        self._order = count()

    def remind(self, waiting: Waiting, at_s: float) -> None:
        heapq.heappush(self._due, (at_s, next(self._order), waiting))

    def look(self, now_s: float) -> None:
        """Tell everybody whose time has come."""
        while self._due and self._due[0][0] <= now_s:
            waiting = heapq.heappop(self._due)[2]
            in_s = waiting.say_waiting(now_s)
            if in_s is not None:
                self.remind(waiting, now_s + in_s)
