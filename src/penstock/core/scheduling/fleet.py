"""The replicas' lives: which starts, drains, stops, rests after a failure, or is idle for too long.

Nothing is stopped while it works, nothing is started before its room is really free, and a load that
nobody wants any more is given up. The phases and their legal moves are in model.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from penstock.core.model import READY, Model, Phase, Replica
from penstock.core.scheduling.actions import Action, Cancel, Start, Stop
from penstock.core.scheduling.explain import OUTSIDE_THE_BOUND
from penstock.core.scheduling.lines import Queue, Room
from penstock.core.scheduling.plan import EPSILON, Plan
from penstock.core.scheduling.swaps import COMING, Swaps, Wishes
from penstock.errors import StartFailed

IN_USE = (Phase.READY, Phase.DRAINING)
RESTING = (Phase.BACKOFF, Phase.FAILED)
NOT_LOADED = (Phase.STOPPED, Phase.STOPPING, *RESTING)
LOADS_TO_TRUST = 2
"""So many loads of a model must have been seen before the fastest of them counts: one may have been a cold disk's."""


class Fleet:
    """`wake_s`: when to look again, if nothing happens before."""

    def __init__(self, plan: Plan, room: Room, swaps: Swaps, replicas: dict[str, Replica], wishes: Wishes) -> None:
        self.plan = plan
        self.wake_s = math.inf
        self._room, self._swaps, self._replicas, self._wishes = room, swaps, replicas, wishes
        self._loads_s: dict[str, list[float]] = {}  # the fastest loads of each model
        self._first_generation = 0  # of a replica made now: late facts about a namesake must not match it

    def adopt(self, plan: Plan) -> None:
        """A replica for every model of the plan, kept if there is one; those it does not know leave first."""
        self.plan = plan
        models = {model.name: model for model in plan.models}
        for name, replica in list(self._replicas.items()):
            if name in models and models[name].is_launched == replica.model.is_launched:
                replica.model = models[name]
                continue
            if replica.phase is Phase.STOPPED or replica.phase in RESTING or not replica.model.is_launched:
                del self._replicas[name], self._room.queues[name]
                self._loads_s.pop(name, None)
                self._first_generation = max(self._first_generation, replica.generation)
            else:
                self._wishes.unloads.add(name)
        for name, model in models.items():
            self._room.queues.setdefault(name, Queue(model, model.load_s)).model = model
            if name not in self._replicas:
                phase = Phase.STOPPED if model.is_launched else Phase.READY
                self._replicas[name] = Replica(name, model, phase, self._first_generation)

    def find(self, replica_id: str, generation: int) -> Replica | None:
        """The replica, if the fact is about the process that it is now."""
        replica = self._replicas.get(replica_id)
        return replica if replica is not None and replica.generation == generation else None

    def became_ready(self, replica: Replica, load_s: float | None, now_s: float) -> None:
        took_s = now_s - replica.since_s if load_s is None else load_s
        self._room.queues[replica.id].load_s = took_s
        self._loads_s[replica.id] = sorted([*self._loads_s.get(replica.id, ()), took_s])[:LOADS_TO_TRUST]
        replica.move(Phase.READY, now_s)
        replica.idle_since_s = self._swaps.loaded_s[replica.id] = now_s
        replica.failures, replica.failure = 0, ""
        self._wishes.loads.pop(replica.id, None)

    def failed(self, replica: Replica, reason: str, now_s: float, *, is_final: bool) -> None:
        """A start came to nothing: it will be tried again soon, or rests until its pause is over."""
        self._room.lost_s += now_s - replica.since_s
        attempts = self.plan.policy.start_attempts
        replica.failures = max(replica.failures + 1, attempts if is_final else 0)
        replica.failure = reason
        replica.move(Phase.BACKOFF if replica.failures < attempts else Phase.FAILED, now_s)
        if replica.phase is Phase.FAILED:
            self._wishes.loads.pop(replica.id, None)

    def went(self, replica: Replica, reason: str | None, now_s: float) -> None:
        """It was ready or stopping, and is no more."""
        replica.failure = "" if replica.phase is Phase.STOPPING else reason or "it ended by itself"
        replica.move(Phase.STOPPED, now_s)
        self._wishes.unloads.discard(replica.id)
        self.adopt(self.plan)  # a model that the plan has dropped was waiting for this

    def rest_s(self, replica: Replica, now_s: float) -> float:
        """How long a failed replica still rests; zero or less if it may be tried again."""
        return replica.since_s + self.plan.policy.pause_after(replica.failures) - now_s

    def start_failed(self, replica: Replica, now_s: float) -> StartFailed:
        """What those are told who wait for a replica that failed too often, or come while it rests."""
        return StartFailed(model=replica.id, reason=replica.failure, retry_after_s=self.rest_s(replica, now_s))

    def soonest_s(self, replica: Replica, now_s: float) -> float:
        """The moment before which it cannot be ready, if no load is faster than the fastest that was ever seen."""
        loads_s = self._loads_s.get(replica.id, [])
        load_s = loads_s[0] if len(loads_s) == LOADS_TO_TRUST else 0.0
        if replica.phase is Phase.STARTING:
            return max(now_s, replica.since_s + load_s)
        return now_s + load_s if replica.phase in NOT_LOADED else now_s

    def is_paused(self, name: str) -> bool:
        return name in self._wishes.paused

    def revive(self, replica: Replica, now_s: float) -> None:
        """Let a replica that rests after failures be started again."""
        if replica.phase in RESTING:
            replica.move(Phase.STOPPED, now_s)

    def is_held_up(self, now_s: float) -> bool:
        """Is time passing that no promise covers?

        By a pause, the memory of others, a stop, a back-off, a websocket, a load that takes longer than expected.
        """
        if self._wishes.paused:
            return True
        for replica in self._replicas.values():
            phase = replica.phase
            if phase is Phase.STOPPING or phase is Phase.BACKOFF or replica.kept_until_s > now_s:
                return True
            if phase in COMING and now_s > replica.since_s + self._room.queues[replica.id].load_s:
                return True
        return any(obstacle.reason in OUTSIDE_THE_BOUND for obstacle in self._swaps.obstacles.values())

    def has_no_more_to_do(self, left: Replica | None, wake_s: float, now_s: float) -> bool:
        """Has the end of a call no consequence where nobody waits: must its replica neither leave nor be watched?

        The shortcut past all decisions. wake_s: when everything is looked at again anyway.
        """
        if left is None or left.phase is not READY:
            return False
        return left.model.ttl_s is None or bool(left.running) or now_s + left.model.ttl_s >= wake_s

    def settle(self, now_s: float) -> Iterator[Action]:
        self.wake_s = math.inf
        yield from self._end_phases(now_s)
        yield from self._swap(now_s)

    def _end_phases(self, now_s: float) -> Iterator[Action]:
        """What time, or nobody's wanting it, brings to an end: back-offs, loads, idle replicas."""
        policy = self.plan.policy
        for replica in self._replicas.values():
            if replica.phase is Phase.BACKOFF:
                if self._is_over(replica.since_s + policy.backoff_after(replica.failures), now_s):
                    replica.move(Phase.STOPPED, now_s)
            elif self._swaps.is_wanted(replica.id):
                continue
            elif replica.phase in COMING and policy.cancel_loads:
                self._room.lost_s += now_s - replica.since_s
                replica.move(Phase.STOPPING, now_s)
                yield Cancel(replica.id, replica.generation)
            elif self._is_idle_too_long(replica.model, replica, now_s):
                yield self._stop(replica, now_s)

    def _is_idle_too_long(self, model: Model, replica: Replica, now_s: float) -> bool:
        if model.ttl_s is None or not model.is_launched or replica.phase is not Phase.READY or replica.running:
            return False
        return self._is_over(max(replica.idle_since_s + model.ttl_s, replica.kept_until_s), now_s)

    def _swap(self, now_s: float) -> Iterator[Action]:
        """Close the gates of those who must leave and open all others; stop who is drained, start who has room."""
        goals = self._swaps.goals(now_s)
        closed = self._wishes.unloads.union(*(goal.victims for goal in goals))
        for name, replica in self._replicas.items():
            if replica.phase is Phase.READY and name in closed:
                replica.move(Phase.DRAINING, now_s)
            elif replica.phase is Phase.DRAINING and name not in closed:
                replica.move(Phase.READY, now_s)
        for name in sorted(self._wishes.unloads):
            yield from self._stop_drained([name], now_s)
        for goal in goals:
            kept_until_s = max([self._replicas[name].kept_until_s for name in goal.victims], default=0.0)
            if not self._is_over(kept_until_s, now_s):
                continue
            for stop in self._stop_drained(sorted(goal.victims), now_s, goal.target):
                self._swaps.promise(goal.target)
                yield stop
        for goal in goals:
            if self._swaps.has_room_now(goal.target):
                self._swaps.began(goal.target)
                yield self._start(self._replicas[goal.target], now_s)

    def _stop_drained(self, names: list[str], now_s: float, target: str | None = None) -> list[Stop]:
        """All of them or none: whoever drained in vain need not be loaded again."""
        victims = [self._replicas[name] for name in names]
        if any(victim.phase is not Phase.DRAINING or victim.running for victim in victims):
            return []
        return [self._stop(victim, now_s, target) for victim in victims]

    def _start(self, replica: Replica, now_s: float) -> Start:
        replica.move(Phase.STARTING, now_s)
        replica.generation += 1
        return Start(replica.id, replica.generation, self._first(replica.id))

    def _first(self, name: str) -> str | None:
        """Who of those that wait for a model is due first."""
        heads = self._room.queues[name].heads()
        return heads[0].ticket.id if heads else None

    def _stop(self, replica: Replica, now_s: float, target: str | None = None) -> Stop:
        assert not replica.running, f"{replica.id} would be stopped while it works"
        replica.move(Phase.STOPPING, now_s)
        return Stop(replica.id, replica.generation, target, None if target is None else self._first(target))

    def _is_over(self, end_s: float, now_s: float) -> bool:
        """Has the moment come? If not, look again then."""
        if end_s <= now_s + EPSILON:
            return True
        self.wake_s = min(self.wake_s, end_s)
        return False
