"""The simulated machine: memory, loads, and engines that slow down when they are asked for much at once.

It obeys whatever a policy asks, but raises when that is impossible: a call beyond the slots, a load without room,
a stop of what works. Nothing that runs is ever interrupted.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from penstock.core.model import Model, Phase
from penstock.core.scheduling.budget import share_of
from penstock.core.scheduling.plan import EPSILON
from penstock.simulate.world import Call, World

_INSTANT_S = 1e-9
"""Moments nearer than this are the same."""


class BrokenRule(AssertionError):
    """A policy asked for what no machine can do."""


@dataclass(frozen=True, slots=True)
class Ready:
    model: str


@dataclass(frozen=True, slots=True)
class Gone:
    model: str


@dataclass(frozen=True, slots=True)
class Ended:
    call: Call


Fact = Ready | Gone | Ended


class _Engine:
    """The calls that run in one model. `progress_s`: how much of a lone call's time each of them has had so far."""

    def __init__(self, model: Model, slowdown: float) -> None:
        self.model = model
        self.slowdown = slowdown
        self.progress_s = 0.0
        self.calls: list[tuple[float, int, Call]] = []  # a heap by the progress at which they end

    def pace(self) -> float:
        """Seconds of a lone call's time in one second."""
        return 1.0 / (1.0 + self.slowdown * (len(self.calls) - 1))


class Box:
    """The machine, as policies may see it and as they may use it. Moments are seconds since the start."""

    def __init__(self, world: World, *, keeps_budget: bool = False) -> None:
        """keeps_budget: more calls than a pool's budget allows are a broken rule too, not just slow."""
        self.world, self.plan = world, world.plan
        self.now_s = 0.0
        self.models = {model.name: model for model in world.plan.models}
        self.phase = {name: Phase.STOPPED if model.is_launched else Phase.READY for name, model in self.models.items()}
        self.loads = dict.fromkeys(self.models, 0)
        self.loading_s = dict.fromkeys(self.models, 0.0)
        self.history: list[tuple[float, str, Phase]] = []
        self.used = {pool.name: 0.0 for pool in world.plan.pools}
        self.peak_used = 0.0  # of any pool, as a part of its budget
        self._pools = {pool.name: pool for pool in world.plan.pools}
        self._keeps_budget = keeps_budget
        self._engines = {name: _Engine(model, world.engines[name].slowdown) for name, model in self.models.items()}
        self._queue: list[str] = []  # asked to load, not begun
        self._loading: dict[str, float] = {}  # until when
        self._stopping: dict[str, float] = {}

    # What policies may ask.

    def running(self, name: str) -> int:
        return len(self._engines[name].calls)

    def has_free_slot(self, name: str) -> bool:
        slots = self.models[name].slots
        return self.phase[name] is Phase.READY and (slots is None or self.running(name) < slots)

    def share(self, call: Call) -> float:
        """What the call takes of its pool."""
        model = self.models[call.model]
        return share_of(model, self._pools.get(model.pool or ""), call.prompt_tokens, self.plan.policy)

    def resident(self) -> frozenset[str]:
        """The launched models that are ready or on their way in."""
        there = (Phase.STARTING, Phase.READY)
        return frozenset(name for name, phase in self.phase.items() if phase in there and self.models[name].is_launched)

    def fits(self, target: str, others: Collection[str]) -> bool:
        return self.plan.admits(target, frozenset(others) - {target})

    def has_room_now(self, target: str) -> bool:
        """Does it fit beside everything that still holds memory?"""
        return self.fits(target, self.resident() | self._stopping.keys())

    # What policies may do.

    def admit(self, call: Call) -> None:
        name = call.model
        _demand(self.has_free_slot(name), f"no free slot in {name}")
        _demand(call.started_s == math.inf, f"call {call.number} has begun already")
        self._charge(call, self.share(call))
        call.started_s = self.now_s
        engine = self._engines[name]
        heapq.heappush(engine.calls, (engine.progress_s + call.work_s, call.number, call))

    def load(self, name: str) -> None:
        """Begins when those who are being stopped are gone and the loads before it are done."""
        _demand(self.phase[name] is Phase.STOPPED, f"{name} is {self.phase[name].value}, it cannot be loaded")
        _demand(self.fits(name, self.resident()), f"no room for {name}")
        self._enter(name, Phase.STARTING)
        self._queue.append(name)
        self._begin_loads()

    def stop(self, name: str) -> None:
        _demand(self.phase[name] is Phase.READY and self.models[name].is_launched, f"{name} is not there to be stopped")
        _demand(not self._engines[name].calls, f"{name} would be stopped while it works")
        self._enter(name, Phase.STOPPING)
        self._stopping[name] = self.now_s + self.world.engines[name].stop_s

    def cancel(self, name: str) -> None:
        """Give up a load."""
        _demand(self.phase[name] is Phase.STARTING, f"{name} is not being loaded")
        self._loading.pop(name, None)
        self._queue = [other for other in self._queue if other != name]
        self._enter(name, Phase.STOPPING)
        self._stopping[name] = self.now_s + self.world.engines[name].stop_s

    def swap(self, target: str, victims: Collection[str]) -> None:
        for victim in victims:
            self.stop(victim)
        self.load(target)

    # The course of time.

    def next_event_s(self) -> float:
        """When something happens by itself; inf = never."""
        ends_s = [*self._loading.values(), *self._stopping.values()]
        for engine in self._engines.values():
            if engine.calls:
                left_s = max(0.0, engine.calls[0][0] - engine.progress_s)
                ends_s.append(self.now_s + left_s / self._pace(engine))
        return min(ends_s, default=math.inf)

    def advance(self, now_s: float) -> None:
        span_s = now_s - self.now_s
        for name in self._loading:
            self.loading_s[name] += span_s
        for engine in self._engines.values():
            if engine.calls:
                engine.progress_s += self._pace(engine) * span_s
        self.now_s = now_s

    def happened(self) -> Iterator[Fact]:
        """What has just come to its end. A policy may act between two facts."""
        for name in [name for name, end_s in self._loading.items() if end_s <= self.now_s + _INSTANT_S]:
            if self._loading.pop(name, None) is not None:
                self._enter(name, Phase.READY)
                self._begin_loads()
                yield Ready(name)
        for name in [name for name, end_s in self._stopping.items() if end_s <= self.now_s + _INSTANT_S]:
            del self._stopping[name]
            self._enter(name, Phase.STOPPED)
            self._begin_loads()
            yield Gone(name)
        for engine in self._engines.values():
            while engine.calls and engine.calls[0][0] <= engine.progress_s + 1e-7:
                call = heapq.heappop(engine.calls)[2]
                call.ended_s = self.now_s
                self._refund(call, self.share(call))
                yield Ended(call)

    def _pace(self, engine: _Engine) -> float:
        """A machine that is asked for more than its budget gives everybody less than the fair part."""
        pool = self._pools.get(engine.model.pool or "")
        if pool is None or (asked := self.used[pool.name] / pool.budget) <= 1.0 + EPSILON:
            return engine.pace()
        return float(engine.pace() / asked ** (1.0 + self.world.thrash))

    def _begin_loads(self) -> None:
        while self._queue and len(self._loading) < self.world.loads_at_once:
            name = self._queue[0]
            holding = (self.resident() | self._stopping.keys()) - set(self._queue)
            if not self.fits(name, holding):
                return
            del self._queue[0]
            self.loads[name] += 1
            self._loading[name] = self.now_s + self.world.engines[name].load_s

    def _enter(self, name: str, phase: Phase) -> None:
        self.phase[name] = phase
        self.history.append((self.now_s, name, phase))

    def _charge(self, call: Call, share: float) -> None:
        if (pool := self._pools.get(self.models[call.model].pool or "")) is None:
            return
        self.used[pool.name] += share
        self.peak_used = max(self.peak_used, self.used[pool.name] / pool.budget)
        is_kept = self.used[pool.name] <= pool.budget + 1e-6
        _demand(is_kept or not self._keeps_budget, f"pool {pool.name} is asked for {self.used[pool.name]:g}")

    def _refund(self, call: Call, share: float) -> None:
        if (pool := self.models[call.model].pool) is not None:
            left = self.used[pool] - share
            self.used[pool] = left if abs(left) > 1e-9 else 0.0


def _demand(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise BrokenRule(otherwise)
