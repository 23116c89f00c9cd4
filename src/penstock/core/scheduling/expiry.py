"""Who has waited in vain: the tickets whose deadline comes while they wait, the earliest first."""

from __future__ import annotations

import heapq
import math

from penstock.core.model import Ticket
from penstock.core.scheduling.lines import Entry, Room
from penstock.errors import DeadlineMissed


class Deadlines:
    """Those who have a deadline. Whoever starts or goes is not looked for: it is passed over when its time comes."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._heap: list[tuple[float, str]] = []

    def watch(self, ticket: Ticket) -> None:
        """It waits from now on."""
        if ticket.deadline_s is None:
            return
        heapq.heappush(self._heap, (ticket.deadline_s, ticket.id))
        if len(self._heap) > 2 * len(self._room.entries) + 64:  # most of them gone, long before their time
            self._heap = [item for item in self._heap if item[1] in self._room.entries]
            heapq.heapify(self._heap)

    @property
    def wake_s(self) -> float:
        """When the next one misses its deadline; inf = nobody will."""
        while self._heap and self._heap[0][1] not in self._room.entries:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else math.inf

    def missed(self, now_s: float) -> list[Entry]:
        """Those who wait and should have begun by now; each is named once."""
        late = []
        while self.wake_s <= now_s:
            late.append(self._room.entries[heapq.heappop(self._heap)[1]])
        return late


def missed(ticket: Ticket, phase: str, retry_after_s: float | None = None) -> DeadlineMissed:
    """What the caller is told. phase: how far the call had come."""
    assert ticket.deadline_s is not None
    limit = ticket.limit or f"{ticket.deadline_s - ticket.arrived_s:.3g} s"
    return DeadlineMissed(limit=limit, phase=phase, retry_after_s=retry_after_s)
