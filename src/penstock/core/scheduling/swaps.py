"""Which model is loaded next, and who must leave for it: decided anew at every fact.

A model that is wanted and not resident is loaded, looked at in this order,

    due     because one of its requests is past its due time: nothing else may take its room;
    free    because it fits beside the residents;
    worth   because its waiting weight per second of the box, its load included, exceeds that of
            every victim. Where nothing waits it is zero: idle models yield at once, busy ones are
            served until nobody waits for them.

Victims are the set whose absence is regretted least. Never one that is being started or pinned, nor
within its *hold*: while requests wait for it, a model keeps its place for some swap round trips, and
longer while its work exceeds its load time. So two busy models cannot spend their time on loads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.core.fitting.residency import cheapest_victims, enough_victims
from penstock.core.model import HOLDS_MEMORY, Phase, Replica
from penstock.core.scheduling.explain import Obstacle, WaitReason
from penstock.core.scheduling.hold import hold_end_s
from penstock.core.scheduling.lines import Entry, Room
from penstock.core.scheduling.plan import EPSILON, Plan
from penstock.core.scheduling.space import Space

_HOLDS_MEMORY = tuple(HOLDS_MEMORY)  # quicker to look through than to hash for
_IN_USE = (Phase.READY, Phase.DRAINING)
COMING = (Phase.STARTING, Phase.WAKING)
_IN_BETWEEN = (*COMING, Phase.STOPPING)
_TO_BE_LOADED = Obstacle(WaitReason.LOADING)


@dataclass(frozen=True, slots=True)
class Goal:
    """A load that is wanted now. Its room is claimed, whether or not anybody may be asked to leave yet."""

    target: str
    victims: frozenset[str]


@dataclass(slots=True)
class Wishes:
    """What the operator asked for, beside what requests ask for."""

    loads: dict[str, float] = field(default_factory=dict)  # model -> since when
    unloads: set[str] = field(default_factory=set)
    pinned: set[str] = field(default_factory=set)
    paused: set[str] = field(default_factory=set)


class Swaps:
    """The next loads. `goals()` fills `obstacles` (why the others must wait) and `wake_s` (when to look again)."""

    def __init__(
        self, plan: Plan, room: Room, replicas: dict[str, Replica], running: dict[str, Entry], wishes: Wishes
    ) -> None:
        self.wishes = wishes
        self.space = Space(plan)
        self.obstacles: dict[str, Obstacle] = {}
        self.wake_s = math.inf
        self.loaded_s: dict[str, float] = {}
        self._room, self._replicas, self._running = room, replicas, running
        self._promised: set[str] = set()  # those for whom somebody has been stopped
        self._short_s: dict[str, float] = {}  # since when readings of free memory leave no room for it
        self._goals: list[Goal] = []
        self._places = 0  # how many more loads may be worked towards at once
        self._is_loading = False
        self._future: frozenset[str] = frozenset()  # who will be resident when all goals are reached
        self._movable: frozenset[str] = frozenset()  # those of them who may have to leave for another goal
        self._pinned: frozenset[str] = frozenset()
        self._resident: frozenset[str] = frozenset()
        self._demands: dict[str, float] = {}  # weighted, of those that were asked about in this round
        self._now_s = 0.0
        self.plan = plan

    def adopt(self, plan: Plan) -> None:
        self.plan = plan
        self.space.adopt(plan)

    def read_memory(self, device: str, free_bytes: int) -> None:
        """A reading of a device's free memory; while somebody comes or goes, nobody knows whose memory it is."""
        if not any(replica.phase in _IN_BETWEEN for replica in self._replicas.values()):
            self.space.read(device, free_bytes, self.resident())

    def goals(self, now_s: float) -> list[Goal]:
        """Loads to work towards now, the most urgent first."""
        self._goals, self.obstacles, self.wake_s, self._now_s = [], {}, math.inf, now_s
        wanted = self._wanted()
        if self._room.urgent:
            self._room.urgent &= {name for name, replica in self._replicas.items() if replica.phase in COMING}
        self._promised &= wanted.keys()
        self._short_s = {name: since_s for name, since_s in self._short_s.items() if name in wanted}
        if not wanted:
            return []
        self._resident = self.resident()
        self._demands.clear()
        phases = {name: self._replicas[name].phase for name in self._resident}
        self._future = self._resident - self.wishes.unloads
        self._future -= {name for name, phase in phases.items() if phase is Phase.STOPPING}
        self._pinned = frozenset(self.wishes.pinned)
        self._movable = self._future - self._pinned
        loading = sum([phase in COMING for phase in phases.values()])
        self._places = self.plan.policy.parallel_loads - loading
        self._is_loading = loading > 0
        ranked = sorted(wanted, key=lambda name: (name not in self._promised, wanted[name], name))
        for name in ranked:
            if wanted[name] <= now_s + EPSILON:
                self._load_because_due(name)
        rest = [name for name in ranked if wanted[name] > now_s + EPSILON and not self._load_if_free(name)]
        for name in sorted(rest, key=lambda name: (-self.density(name), name)):
            self._load_if_worth(name, wanted[name])
        return self._goals

    def promise(self, target: str) -> None:
        """Somebody has been stopped for it: until it is started it comes first, or it would have been in vain."""
        self._promised.add(target)
        self._room.urgent.add(target)

    def resident(self) -> frozenset[str]:
        """The launched models that hold memory now, those on their way in and out included."""
        return frozenset(
            name
            for name, replica in self._replicas.items()
            if replica.phase in _HOLDS_MEMORY and replica.model.is_launched
        )

    def fits_beside(self, target: str, others: frozenset[str]) -> bool:
        """May it be loaded while the others stay, as far as is known?"""
        return self._admits(target, others)

    def has_room_now(self, target: str) -> bool:
        """Is everybody gone that had to leave?"""
        return self._admits(target, self._resident)

    def began(self, target: str) -> None:
        """Its start has been asked for: it holds memory from now on."""
        self._resident |= {target}
        self._short_s.pop(target, None)

    def density(self, name: str) -> float:
        """Waiting weight per second of the box's time that serving it all would take."""
        queue = self._room.queues[name]
        if not queue.at_hand:
            return 0.0
        load_s = queue.load_s if name not in self._future else 0.0
        return queue.weight(self.plan.policy.weight) / max(load_s + queue.backlog_s(), 1e-3)

    def _wanted(self) -> dict[str, float]:
        """The models to be loaded, and the due time of the first who wants each."""
        wanted = {}
        for name, queue in self._room.queues.items():
            replica = self._replicas[name]
            if replica.phase is Phase.STOPPED and (queue.at_hand or self._is_wished(name)):
                if name in self.wishes.paused:
                    self.obstacles[name] = Obstacle(WaitReason.PAUSED)
                    continue
                pinned_s = replica.since_s if name in self.wishes.pinned else math.inf
                wanted[name] = min(queue.first_due_s(), self.wishes.loads.get(name, math.inf), pinned_s)
        return wanted

    def is_wanted(self, name: str) -> bool:
        """Is it to stay, or to become ready once it is being loaded?"""
        return bool(self._room.queues[name].count) or self._is_wished(name)

    def _is_wished(self, name: str) -> bool:
        return name in self.wishes.loads or name in self.wishes.pinned

    def _load_because_due(self, name: str) -> None:
        if self._places <= 0:
            self.obstacles[name] = _TO_BE_LOADED
        elif not self._has_room(name, self._movable):
            if self._admits(name, self._pinned - {name}):
                self.obstacles[name] = Obstacle(WaitReason.AGED_IN, self._goals[0].target if self._goals else None)
            else:
                self._await_memory(name)
        elif (victims := self._victims(name, holds := self._holds(name))) is not None:
            self._claim(name, victims)
            self._room.urgent.add(name)
        else:
            soonest = sorted(holds, key=lambda victim: (holds[victim], victim))
            later = enough_victims(soonest, lambda gone: self._has_room(name, gone)) or frozenset()
            self._claim(name, frozenset(), later)
            self._await_hold(name, {victim: holds[victim] for victim in later})

    def _await_memory(self, name: str) -> None:
        """Others hold its memory, as far as readings tell; they may be wrong, so that is believed for a while only."""
        end_s = self._short_s.setdefault(name, self._now_s) + self.plan.policy.memory_wait_s
        is_believed = end_s > self._now_s + EPSILON
        self.obstacles[name] = Obstacle(WaitReason.MEMORY, wait_until_s=end_s if is_believed else None)
        if is_believed:
            self.wake_s = min(self.wake_s, end_s)

    def _load_if_free(self, name: str) -> bool:
        if self._places <= 0 or not self._has_room(name, frozenset()):
            return False
        self._claim(name, frozenset())
        if name in self._promised:
            self._room.urgent.add(name)
        return True

    def _load_if_worth(self, name: str, due_s: float) -> None:
        self.wake_s = min(self.wake_s, due_s)
        self.obstacles[name] = Obstacle(WaitReason.LOADING, wait_until_s=due_s)
        # A swap for gain is judged while nothing else moves: whoever is swapped out beside a load that is under
        # way waits for two loads to come back. Measured: 26 % of the mean around a model that fills the memory.
        if self._is_loading or self._goals or not self._has_room(name, self._movable):
            return
        holds = self._holds(name)
        victims = self._victims(name, holds, below=self.density(name))
        if victims is None:
            if not self._await_hold(name, holds):
                self._await_worth(name, holds, due_s)
        elif self._could_start(name, victims):
            self._claim(name, victims)

    def _claim(self, target: str, victims: frozenset[str], later: frozenset[str] = frozenset()) -> None:
        self._goals.append(Goal(target, victims))
        self._places -= 1
        self._future = self._future - victims - later | {target}
        self._movable = self._movable - victims - later
        self.obstacles[target] = Obstacle(WaitReason.DRAINING, min(victims)) if victims else _TO_BE_LOADED
        self.obstacles |= {victim: Obstacle(WaitReason.AGED_IN, target) for victim in victims}

    def _has_room(self, target: str, leaving: frozenset[str]) -> bool:
        """Does it fit, and do those whose claim is older still fit beside it?"""
        staying = self._future - leaving
        if not self._admits(target, staying):
            return False
        beside = staying | {target}
        return all(self._admits(goal.target, beside - {goal.target}) for goal in self._goals)

    def _admits(self, target: str, others: frozenset[str]) -> bool:
        since_s = self._short_s.get(target)
        is_believed = since_s is None or since_s + self.plan.policy.memory_wait_s > self._now_s + EPSILON
        return self.space.admits(target, others, is_believed=is_believed)

    def _victims(self, target: str, holds: Mapping[str, float], *, below: float = math.inf) -> frozenset[str] | None:
        """The least regretted that may leave now and whose departure makes room; None: nobody's does."""
        if self._has_room(target, frozenset()):
            return frozenset()
        latest_s = self._now_s + EPSILON
        able = frozenset([name for name, end_s in holds.items() if end_s <= latest_s and self.density(name) < below])
        if not able or not self._has_room(target, able):
            return None
        costs = {name: self._cost(name, target) for name in able}
        ranked = sorted(able, key=lambda name: (costs[name], self.loaded_s.get(name, 0.0), name))
        best = cheapest_victims(ranked, [costs[name] for name in ranked], lambda gone: self._has_room(target, gone))
        own = self.space.residency.evict_for(target, self._future, self._future - able)
        if best is None or own is None or not self._has_room(target, own):
            return best
        regret, least = (sum([costs[name] for name in names]) for names in (own, best))
        return own if regret <= least + EPSILON else best

    def _holds(self, target: str) -> dict[str, float]:
        """Until when each of the movable keeps its place against the target; inf = it is not even there yet."""
        queues, policy = self._room.queues, self.plan.policy
        load_s, best_class = queues[target].load_s, queues[target].best_class()
        return {
            name: hold_end_s(policy, queues[name], self.loaded_s.get(name, -math.inf), load_s, best_class)
            if self._replicas[name].phase in _IN_USE
            else math.inf
            for name in self._movable
        }

    def _await_worth(self, target: str, holds: Mapping[str, float], due_s: float) -> None:
        """More waits for those in its place than for it: they keep it until they are done, or it is due."""
        in_use = [name for name, end_s in holds.items() if end_s < math.inf]
        busiest = max(in_use, key=lambda name: (self.density(name), name), default=None)
        self.obstacles[target] = Obstacle(WaitReason.HOLD, busiest, due_s)

    def _await_hold(self, target: str, holds: Mapping[str, float]) -> bool:
        """Look again when the next hold ends, if one does."""
        ends = [(end_s, name) for name, end_s in holds.items() if self._now_s + EPSILON < end_s < math.inf]
        if ends:
            end_s, name = min(ends)
            self.wake_s = min(self.wake_s, end_s)
            self.obstacles[target] = Obstacle(WaitReason.HOLD, name, end_s)
        return bool(ends)

    def _cost(self, name: str, target: str) -> float:
        """What it costs if `name` makes way: the waiting of those who come, of those who wait, and the drain."""
        policy, queue, other = self.plan.policy, self._room.queues[name], self._room.queues[target]
        away_s = other.load_s + min(other.backlog_s(), policy.hold_high * other.load_s) + queue.load_s
        if (demand := self._demands.get(name)) is None:
            rates = [queue.demand.rate(priority, self._now_s, policy.demand_memory_s) for priority in range(3)]
            demand = self._demands[name] = sum([rate * policy.weight[i] for i, rate in enumerate(rates)])
        drain_s = len(self._replicas[name].running) * self._room.service_s(queue)
        return queue.model.evict_cost * (demand * away_s * away_s / 2 + queue.weight(policy.weight) * away_s + drain_s)

    def _could_start(self, name: str, victims: frozenset[str]) -> bool:
        """Would its pool let one of its requests run, with the victims drained and the overdue calls ended?"""
        queue = self._room.queues[name]
        pool = next((pool for pool in self.plan.pools if pool.name == queue.model.pool), None)
        if pool is None or not queue.at_hand:
            return True
        others = [entry for entry in self._running.values() if entry.queue.model.pool == pool.name]
        busy = sum(
            entry.share
            for entry in others
            if entry.queue.model.name not in victims and entry.started_s + entry.estimate_s > self._now_s
        )
        return busy + min(entry.share for entry in queue.heads()) <= pool.budget + EPSILON
