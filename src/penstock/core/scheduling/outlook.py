"""When each of those who wait is likely to start, phase by phase: what is in its way, and how long that lasts.

It reads what was decided and decides nothing. How much longer a call or a load takes is said in expectation.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate, islice

from penstock.core.model import Phase, Replica
from penstock.core.scheduling.admission import Desk
from penstock.core.scheduling.expectation import LOOKED_AT, load_left_s, remaining_s, until_ended_s
from penstock.core.scheduling.explain import Obstacle, WaitReason
from penstock.core.scheduling.lines import Entry, Room
from penstock.core.scheduling.plan import EPSILON
from penstock.core.scheduling.swaps import COMING


class Outlook:
    def __init__(self, room: Room, desk: Desk, replicas: Mapping[str, Replica]) -> None:
        self._room, self._desk, self._replicas = room, desk, replicas

    def starts_in_s(self, entry: Entry, position: int, why: Obstacle, now_s: float) -> float:
        """Seconds until a call starts that has so many of its model before it."""
        queue, replica = entry.queue, self._replicas[entry.ticket.model]
        slots, usual_s = replica.model.slots, self._room.service_s(queue)
        if replica.phase is Phase.READY:
            if why.reason is WaitReason.MODEL_CAP or queue.model.pool is None:
                return self._until_ended_s(self._calls(replica), len(replica.running), usual_s, position + 1, now_s)
            return self._until_room_s(entry, position, why, now_s)
        if replica.phase in COMING:
            begins_s = load_left_s(queue.load_s, now_s - replica.since_s)
        else:
            begins_s = self._until_cleared_s(replica, why, now_s) + queue.load_s
        return begins_s + ((position - slots + 1) * usual_s / slots if slots and position >= slots else 0.0)

    def at_cap_s(self, entry: Entry, behind: int, now_s: float) -> float | None:
        """Seconds until the calls of its key that are before it have ended; None = it may run none at all."""
        key, usual_s = entry.ticket.key, self._room.service_s(entry.queue)
        if not (cap := self._desk.cap_of(key)):
            return None
        running = (each for each in self._desk.running.values() if each.ticket.key == key)
        return self._until_ended_s(running, cap, usual_s, behind + 1, now_s)

    def _until_room_s(self, entry: Entry, position: int, why: Obstacle, now_s: float) -> float:
        """Until its pool has room for it: what it lacks must come free, then once more for each that goes before it."""
        pool = entry.queue.model.pool
        inside = [each for each in self._desk.running.values() if each.queue.model.pool == pool]
        ends = sorted(zip(self._left_s(inside, now_s), [each.share for each in inside], strict=True))
        if why.reason is WaitReason.EXCLUSIVE:
            return ends[-1][0] if ends else 0.0  # all must have ended
        lacking = entry.share - self._desk.free_share(pool) - EPSILON
        freed = accumulate(share for _, share in ends)
        first = next((number for number, share in enumerate(freed, 1) if share >= lacking), len(ends))
        return until_ended_s([left_s for left_s, _ in ends], self._room.service_s(entry.queue), first + position)

    def _until_cleared_s(self, replica: Replica, why: Obstacle, now_s: float) -> float:
        """Until its load begins: what makes way has drained, what was kept is free, who goes before has been served."""
        if why.wait_until_s is not None:
            return max(0.0, why.wait_until_s - now_s)
        draining = [each for each in self._replicas.values() if each.phase is Phase.DRAINING]
        drains_s = max([left_s for each in draining for left_s in self._left_s(self._calls(each), now_s)], default=0.0)
        if why.reason is not WaitReason.AGED_IN:
            return drains_s if why.reason is WaitReason.DRAINING or replica in draining else 0.0
        if (first := self._replicas.get(why.wait_for or "")) is None:
            return drains_s
        queue = self._room.queues[first.id]
        loads_s = load_left_s(queue.load_s, now_s - first.since_s) if first.phase in COMING else queue.load_s
        return drains_s + loads_s + self._room.service_s(queue)

    def _until_ended_s(
        self, running: Iterable[Entry], in_sum: int, usual_s: float, count: int, now_s: float
    ) -> float:  # fmt: skip
        """Until so many of those that run side by side have ended, each followed by another. Some stand for all."""
        some = self._left_s(islice(running, LOOKED_AT), now_s)
        return until_ended_s(some, usual_s, count * len(some) / max(1, in_sum))

    def _calls(self, replica: Replica) -> Iterable[Entry]:
        return (self._desk.running[name] for name in replica.running)

    def _left_s(self, running: Iterable[Entry], now_s: float) -> list[float]:
        """How much longer each of them is likely to run."""
        ranked: dict[str, list[float]] = {}
        left_s = []
        for each in running:
            queue = each.queue
            if (lately_s := ranked.get(queue.model.name)) is None:
                lately_s = ranked[queue.model.name] = sorted(queue.lately_s)
            left_s.append(remaining_s(lately_s, self._room.service_s(queue), now_s - each.started_s))
        return left_s
