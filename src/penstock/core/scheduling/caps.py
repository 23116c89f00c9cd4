"""How many calls a key may run at once. What is more waits, and is in nobody's way.

While a key is at its cap its lines are shut: nobody waits behind them, no share is kept and no model is loaded
for them, and they hold no model in its place, unless the key runs there. They keep their due times; the time
until they are opened again is outside the bound.

A later call of a key may pass an earlier one whose model is not there. But once somebody drains for that one because
it is overdue, or was stopped for it, a place of the key is kept for it: that would have been in vain.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from penstock.core.model import Priority
from penstock.core.scheduling.explain import Obstacle, WaitReason
from penstock.core.scheduling.lines import Entry, Line, Queue, Room
from penstock.core.scheduling.plan import KeyTerms

_CLASSES = tuple(Priority)


class Caps:
    def __init__(self, room: Room) -> None:
        self._room = room
        self.limits: dict[str, int] = {}
        self._running: dict[str, dict[str, int]] = {}  # of keys with a limit: calls by model
        self._stood_back: list[Entry] = []
        self._urgent: dict[str, list[Entry]] = {}  # of keys that were asked about in this round: see _urgent_of

    def adopt(self, keys: Mapping[str, KeyTerms], running: Iterable[Entry], now_s: float) -> None:
        """Other limits: whoever runs goes on."""
        limits = {key: terms.max_concurrent for key, terms in keys.items()}
        self.limits = {key: limit for key, limit in limits.items() if limit is not None}
        self._running = {key: {} for key in self.limits}
        for entry in running:
            if entry.ticket.key in self.limits:
                self._count(entry, 1)
        for key in {*self.limits, *self._room.capped}:
            self._restate(key, now_s)

    def began(self, entry: Entry, now_s: float) -> None:
        """A call of a key with a limit runs."""
        self._count(entry, 1)
        self._restate(entry.ticket.key, now_s)

    def ended(self, entry: Entry, now_s: float) -> None:
        """It runs no more."""
        self._count(entry, -1)
        self._restate(entry.ticket.key, now_s)

    def obstacle(self, entry: Entry) -> Obstacle | None:
        """What keeps a call from starting now, as far as its key is concerned."""
        key, own = entry.ticket.key, entry.ticket.model
        limit = self.limits.get(key)
        if limit is None:
            return None
        places = limit - sum(self._running[key].values())
        if places <= 0:
            return Obstacle(WaitReason.KEY_CAP)
        order = (entry.due_s, entry.seq)
        before = [each for each in self._urgent_of(key) if (each.due_s, each.seq) < order and each.ticket.model != own]
        return Obstacle(WaitReason.KEY_CAP, before[0].ticket.model) if len(before) >= places else None

    def stand_back(self, entry: Entry) -> None:
        """It gives way to an earlier one of its key until everything is decided anew."""
        entry.queue.shut(entry)
        self._stood_back.append(entry)

    def lapse(self, now_s: float) -> None:
        """Whoever stood back is looked at again."""
        self._urgent.clear()
        stood_back, self._stood_back = self._stood_back, []
        for entry in stood_back:
            if entry.is_waiting and entry.is_shut:
                self._open(entry, now_s)

    def _urgent_of(self, key: str) -> list[Entry]:
        """Firsts of the key's lines for models that are brought because a call is due, or in the place of another."""
        firsts = self._urgent.get(key)
        if firsts is None:
            queues = self._room.queues
            lines = (queues[name].lines.get((each, key)) for name in sorted(self._room.urgent) for each in _CLASSES)
            firsts = self._urgent[key] = [line.entries[0] for line in lines if line is not None]
        return firsts

    def _count(self, entry: Entry, calls: int) -> None:
        running, name = self._running[entry.ticket.key], entry.ticket.model
        running[name] = running.get(name, 0) + calls
        if not running[name]:
            del running[name]

    def _restate(self, key: str, now_s: float) -> None:
        """Shut the key's lines, or open them, as it is at its cap or not."""
        running, limit = self._running.get(key, {}), self.limits.get(key)
        if limit is not None and sum(running.values()) >= limit:
            self._room.capped[key] = running
        elif self._room.capped.pop(key, None) is None:
            return
        if sum([each.calls(key) for each in self._room.accounts.values()]) == sum(running.values()):
            return  # none of them waits
        for queue in self._room.queues.values():
            for priority in _CLASSES:
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
        else:
            queue.shut(first)

    def _open(self, first: Entry, now_s: float) -> None:
        first.blocked_s = math.inf
        first.bound_base_s = max(first.bound_base_s, now_s - self._room.lost_s)
        self._room.file(first)
