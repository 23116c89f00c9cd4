"""What others do, to compare with: modelled kindly, without their crashes, limits and refusals."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from itertools import combinations

from penstock.core.model import Phase
from penstock.core.scheduling.plan import EPSILON
from penstock.simulate.box import Box
from penstock.simulate.world import Call


class _Baseline:
    """Told of everything, interested in little."""

    def __init__(self, box: Box) -> None:
        self.wake_s = math.inf
        self._box = box
        self._used_s = dict.fromkeys(box.models, -1.0)

    def ended(self, call: Call) -> None: ...
    def ready(self, model: str) -> None: ...
    def gone(self, model: str) -> None: ...

    def _admit(self, call: Call) -> None:
        self._used_s[call.model] = self._box.now_s
        self._box.admit(call)

    def _is_loading(self) -> bool:
        return Phase.STARTING in self._box.phase.values()

    def _movable(self) -> list[str]:
        """Residents that nobody has pinned, the one used longest ago first."""
        box = self._box
        movable = [name for name in box.resident() if not box.models[name].is_pinned]
        return sorted(movable, key=lambda name: (self._used_s[name], name))

    def _idle_victims(self, target: str) -> list[str] | None:
        """Idle models in the order of their last use, until the target fits; None: not even all are enough."""
        box, victims, staying = self._box, [], set(self._box.resident())
        for name in self._movable():
            if box.fits(target, staying):
                break
            if box.phase[name] is Phase.READY and not box.running(name):
                victims.append(name)
                staying.remove(name)
        return victims if box.fits(target, staying) else None


class Fifo(_Baseline):
    """Strict order of arrival. The head swaps models when it must, once the work in flight has ended."""

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        self._queue: deque[Call] = deque()

    def arrive(self, call: Call) -> None:
        self._queue.append(call)

    def settle(self) -> None:
        box = self._box
        while self._queue:
            head = self._queue[0]
            if box.has_free_slot(head.model):
                self._admit(self._queue.popleft())
                continue
            if box.phase[head.model] is Phase.STOPPED and (victims := self._idle_victims(head.model)) is not None:
                box.swap(head.model, victims)
            return


class _Granting(_Baseline):
    """Hands calls to a loaded model at once, where they queue for a slot."""

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        self._granted: dict[str, deque[Call]] = {name: deque() for name in box.models}

    def _is_busy(self, name: str) -> bool:
        return bool(self._granted[name]) or self._box.running(name) > 0

    def _serve(self) -> None:
        for name, calls in self._granted.items():
            while calls and self._box.has_free_slot(name):
                self._box.admit(calls.popleft())


class Collating(_Granting):
    """As llama-swap: calls of a loaded model never wait for others; a swap waits until its victims have nothing to do.

    The others wait in one queue, walked through when a model falls idle or a swap is over.
    """

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        self._queue: list[Call] = []
        self._is_due = False

    def arrive(self, call: Call) -> None:
        if not self._grant(call):
            self._queue.append(call)

    def ended(self, call: Call) -> None:
        self._is_due |= not self._is_busy(call.model)

    def ready(self, model: str) -> None:
        self._is_due = True

    def gone(self, model: str) -> None:
        self._is_due = True

    def settle(self) -> None:
        if self._is_due:
            self._is_due = False
            refused: set[str] = set()  # models for which nothing has changed since they were tried
            waiting = []
            for call in self._queue:
                if call.model in refused or not self._grant(call):
                    refused.add(call.model)
                    waiting.append(call)
                elif len(self._granted[call.model]) == 1:
                    refused.clear()  # it has swapped: others may find their victims gone
            self._queue = waiting
        self._serve()

    def _grant(self, call: Call) -> bool:
        box, name = self._box, call.model
        if box.phase[name] is Phase.STOPPED:
            victims = self._fewest_victims(name)
            if victims is None or any(self._is_busy(v) or box.phase[v] is Phase.STARTING for v in victims):
                return False
            box.swap(name, victims)
        elif box.phase[name] is Phase.STOPPING:
            return False
        self._granted[name].append(call)
        return True

    def _fewest_victims(self, target: str) -> Sequence[str] | None:
        box = self._box
        resident, movable = box.resident(), sorted(self._movable())
        for count in range(len(movable) + 1):
            for victims in combinations(movable, count):
                if box.fits(target, resident.difference(victims)):
                    return victims
        return None


class Lru(_Granting):
    """As Ollama: one queue for models that are not loaded, whose head stops the idle model used longest ago."""

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        self._queue: deque[Call] = deque()

    def arrive(self, call: Call) -> None:
        if self._box.phase[call.model] is Phase.READY:
            self._grant(call)
        else:
            self._queue.append(call)

    def settle(self) -> None:
        while self._queue and self._box.phase[self._queue[0].model] is Phase.READY:
            self._grant(self._queue.popleft())
        if self._queue and self._box.phase[self._queue[0].model] is Phase.STOPPED and not self._is_loading():
            self._make_room(self._queue[0].model)
        self._serve()

    def _grant(self, call: Call) -> None:
        self._used_s[call.model] = self._box.now_s
        self._granted[call.model].append(call)

    def _make_room(self, target: str) -> None:
        """Stop what is idle even if it is not enough yet, and load once it is."""
        box = self._box
        idle = [name for name in self._movable() if not self._is_busy(name)]
        while not box.fits(target, box.resident()) and idle:
            box.stop(idle.pop(0))
        if box.fits(target, box.resident()):
            box.load(target)


class CostPool(_Baseline):
    """As Overlaat: one list by class and arrival, a compute budget with a reservation for its head; no idea of memory.

    Whoever is admitted holds its part of the budget while an LRU engine below swaps for it.
    """

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        self._waiting: dict[str, list[tuple[int, float, int, Call]]] = {name: [] for name in box.models}
        self._in_flight = dict.fromkeys(box.models, 0)
        self._used = {pool.name: 0.0 for pool in box.plan.pools}
        self._admitted: list[Call] = []

    def arrive(self, call: Call) -> None:
        heapq.heappush(self._waiting[call.model], (call.priority, call.arrived_s, call.number, call))

    def ended(self, call: Call) -> None:
        self._in_flight[call.model] -= 1
        pool = self._box.models[call.model].pool
        if pool is not None:
            left = self._used[pool] - self._box.share(call)
            self._used[pool] = left if abs(left) > 1e-9 else 0.0

    def settle(self) -> None:
        for pool in self._box.plan.pools:
            while call := self._next_of(pool.name, pool.budget):
                self._used[pool.name] += self._box.share(call)
                self._let_in(call)
        while call := self._next_of(None, math.inf):
            self._let_in(call)
        self._run()

    def _next_of(self, pool: str | None, budget: float) -> Call | None:
        """The first of the list that may run; each model is represented by its first."""
        box = self._box
        heads = [heap[0] for name, heap in self._waiting.items() if heap and box.models[name].pool == pool]
        if not heads:
            return None
        used, head = (0.0 if pool is None else self._used[pool]), min(heads)[3]
        is_blocked = self._has_slot(head) and used + box.share(head) > budget + EPSILON
        kept = box.share(head) if is_blocked else 0.0
        for *_, call in sorted(heads):
            limit = budget if call is head else budget - kept
            if self._has_slot(call) and used + box.share(call) <= limit + EPSILON:
                return call
        return None

    def _has_slot(self, call: Call) -> bool:
        slots = self._box.models[call.model].slots
        return slots is None or self._in_flight[call.model] < slots

    def _let_in(self, call: Call) -> None:
        heapq.heappop(self._waiting[call.model])
        self._in_flight[call.model] += 1
        self._admitted.append(call)

    def _run(self) -> None:
        box = self._box
        left = []
        for call in self._admitted:
            if box.has_free_slot(call.model):
                self._admit(call)
            else:
                left.append(call)
        self._admitted = left
        for call in left:
            if box.phase[call.model] is Phase.STOPPED and not self._is_loading():
                victims = self._idle_victims(call.model)
                if victims is not None:
                    box.swap(call.model, victims)
