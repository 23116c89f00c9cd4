"""How many calls a key may run at once. What is more waits, and is in nobody's way.

While a key is at its cap its lines are shut: nobody waits behind them, no share is kept and no model is loaded
for them, and they hold no model in its place, unless the key runs there. They keep their due times; the time
until they are opened again is outside the bound.

A later call of a key may pass an earlier one whose model is not there. But once room is being made for that one
because it is overdue, a place of the key is kept for it: the drain, or the stop, would have been in vain.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from penstock.core.explain import Obstacle, WaitReason
from penstock.core.lines import Entry, Line, Queue, Room
from penstock.core.model import Priority
from penstock.core.plan import KeyTerms


class Caps:
    def __init__(self, room: Room) -> None:
        self._room = room
        self._limits: dict[str, int] = {}
        self._running: dict[str, dict[str, int]] = {}  # of keys with a limit: calls by model
        self._stood_back: list[Entry] = []

    def adopt(self, keys: Mapping[str, KeyTerms], running: Iterable[Entry], now_s: float) -> None:
        """Other limits: whoever runs goes on."""
        limits = {key: terms.max_concurrent for key, terms in keys.items()}
        self._limits = {key: limit for key, limit in limits.items() if limit is not None}
        self._running = {key: {} for key in self._limits}
        for entry in running:
            self._count(entry, 1)
        for key in {*self._limits, *self._room.capped}:
            self._restate(key, now_s)

    def began(self, entry: Entry, now_s: float) -> None:
        if entry.ticket.key in self._limits:
            self._count(entry, 1)
            self._restate(entry.ticket.key, now_s)

    def ended(self, entry: Entry, now_s: float) -> None:
        if entry.ticket.key in self._limits:
            self._count(entry, -1)
            self._restate(entry.ticket.key, now_s)

    def obstacle(self, entry: Entry) -> Obstacle | None:
        """What keeps a call from starting now, as far as its key is concerned."""
        limit = self._limits.get(entry.ticket.key)
        if limit is None:
            return None
        places = limit - sum(self._running[entry.ticket.key].values())
        if places <= 0:
            return Obstacle(WaitReason.KEY_CAP)
        kept = [name for name in sorted(self._room.urgent) for _ in self._due_before(entry, name)]
        return Obstacle(WaitReason.KEY_CAP, kept[0]) if len(kept) >= places else None

    def stand_back(self, entry: Entry) -> None:
        """It gives way to an earlier one of its key until everything is decided anew."""
        entry.is_shut = True
        self._stood_back.append(entry)

    def lapse(self, now_s: float) -> None:
        """Whoever stood back is looked at again."""
        stood_back, self._stood_back = self._stood_back, []
        for entry in stood_back:
            if entry.is_waiting and entry.is_shut:
                self._open(entry, now_s)

    def _due_before(self, entry: Entry, name: str) -> Iterable[Entry]:
        """The firsts of the key's lines for a model that are due before one for another model."""
        queue, key = self._room.queues[name], entry.ticket.key
        lines = (queue.lines.get((priority, key)) for priority in Priority if queue is not entry.queue)
        firsts = (line.entries[0] for line in lines if line is not None)
        return (first for first in firsts if (first.due_s, first.seq) < (entry.due_s, entry.seq))

    def _count(self, entry: Entry, calls: int) -> None:
        running, name = self._running.get(entry.ticket.key), entry.ticket.model
        if running is None:
            return
        running[name] = running.get(name, 0) + calls
        if not running[name]:
            del running[name]

    def _restate(self, key: str, now_s: float) -> None:
        """Shut the key's lines, or open them, as it is at its cap or not."""
        running, limit = self._running.get(key, {}), self._limits.get(key)
        if limit is not None and sum(running.values()) >= limit:
            self._room.capped[key] = running
        elif self._room.capped.pop(key, None) is None:
            return
        for queue in self._room.queues.values():
            for priority in Priority:
                if (line := queue.lines.get((priority, key))) is not None:
                    self._restate_line(line, queue, priority, now_s)

    def _restate_line(self, line: Line, queue: Queue, priority: Priority, now_s: float) -> None:
        first, running = line.entries[0], self._room.capped.get(line.entries[0].ticket.key)
        is_away = running is not None and queue.model.name not in running
        if line.is_away is not is_away:
            line.is_away, sign = is_away, -1 if is_away else 1
            queue.counts[priority] += sign * (len(line.entries) - line.gone)
            queue.work_s += sign * line.work_s
        if running is None:
            self._open(first, now_s)
        first.is_shut = running is not None

    def _open(self, first: Entry, now_s: float) -> None:
        first.blocked_s = math.inf
        first.bound_base_s = max(first.bound_base_s, now_s - self._room.lost_s)
        self._room.file(first)
