"""What one decision of the scheduler costs: python -m bench.decisions --help.

A machine on which three of eight models fit, 50 keys, all classes, prompts of all lengths, one pool. So many calls wait
all the time: whenever one ends, another comes. A sample is the end of one and the arrival of the next, with all that is
decided on them; what replicas and the clock tell in between (facts) is timed apart. Only this thread's CPU time counts,
and of the rounds, which all tell the same story, the least that each call took, so that others on the machine do not
show. As in the gateway, what lives as long as the program is frozen for the garbage collector, which stays on
otherwise.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import math
import random
import statistics
import time
from array import array
from collections.abc import Callable, Sequence

from penstock.core.fitting.memory import MemoryResidency
from penstock.core.model import Device, Model, Pool, Priority, Ticket
from penstock.core.scheduling.actions import Action, Admit, Cancel, Start, Stop, WakeAt
from penstock.core.scheduling.plan import Plan
from penstock.core.scheduling.scheduler import Scheduler

SERVICE_S, LOAD_S, STOP_S = 5.0, 20.0, 1.0
PROMPTS = (300, 5000, 20_000)
"""Tokens: one below, one between, one above the tiers of the budget."""
CLASSES = (Priority.HIGH, Priority.NORMAL, Priority.NORMAL, Priority.LOW)


class Machine:
    """Does what the scheduler asks, in a time of its own. samples: microseconds per call; facts: per replica's fact."""

    def __init__(self, models: int, keys: int, seed: int, *, has_pool: bool) -> None:
        pool = "gpu" if has_pool else None
        names = [f"model{number}" for number in range(models)]
        self.models = [
            Model(name, 4, (("gpu0", 20 + 2 * (number % 4)),), LOAD_S, pool=pool) for number, name in enumerate(names)
        ]
        residency = MemoryResidency([Device("gpu0", 80)], self.models)
        self.scheduler = Scheduler(Plan(tuple(self.models), residency, (Pool("gpu"),) if has_pool else ()))
        self.samples, self.facts = array("d"), array("d")
        self.now_s = 0.0
        self._random = random.Random(seed)
        self._keys = [f"key{number}" for number in range(keys)]
        self._running: list[str] = []
        self._coming: list[tuple[float, str, int, bool]] = []  # when which replica is ready, or else gone
        self._wake_s = math.inf
        self._count = 0

    def fill(self, queued: int) -> None:
        while self.scheduler.waiting_count() < queued:
            self.now_s += 0.001
            self._do(self.scheduler.arrive(self._ticket(), self.now_s))

    def step(self) -> None:
        """The next call ends, another comes; what replicas have to tell until then is told first."""
        end_s = self.now_s + SERVICE_S / len(self._running) if self._running else math.inf
        if min(self._next_fact_s(), end_s) == math.inf:
            raise RuntimeError("nothing will ever happen again")
        while (fact_s := self._next_fact_s()) <= end_s:
            self.now_s = fact_s
            self.facts.append(self._timed(self._next_fact()))
            if end_s == math.inf and self._running:
                return
        self.now_s = end_s
        ended, ticket, scheduler = self._one_of_running(), self._ticket(), self.scheduler
        self.samples.append(self._timed(lambda: scheduler.leave(ended, end_s), lambda: scheduler.arrive(ticket, end_s)))

    def _timed(self, *facts: Callable[[], list[Action]]) -> float:
        """Microseconds of this thread's time."""
        begin_ns = time.thread_time_ns()
        actions = [fact() for fact in facts]
        took_ns = time.thread_time_ns() - begin_ns
        for some in actions:
            self._do(some)
        return took_ns / 1000

    def _next_fact_s(self) -> float:
        return min(self._wake_s, self._coming[0][0] if self._coming else math.inf)

    def _next_fact(self) -> Callable[[], list[Action]]:
        now_s, scheduler = self.now_s, self.scheduler
        if self._wake_s <= now_s:
            self._wake_s = math.inf
            return lambda: scheduler.tick(now_s)
        _, name, generation, is_ready = heapq.heappop(self._coming)
        if is_ready:
            return lambda: scheduler.replica_ready(name, generation, now_s)
        return lambda: scheduler.replica_gone(name, generation, now_s)

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Admit(ticket_id):
                    self._running.append(ticket_id)
                case Start(name, generation):
                    heapq.heappush(self._coming, (self.now_s + LOAD_S, name, generation, True))
                case Stop(name, generation) | Cancel(name, generation):
                    heapq.heappush(self._coming, (self.now_s + STOP_S, name, generation, False))
                case WakeAt(at_s):
                    self._wake_s = at_s

    def _one_of_running(self) -> str:
        at = self._random.randrange(len(self._running))
        self._running[at], self._running[-1] = self._running[-1], self._running[at]
        return self._running.pop()

    def _ticket(self) -> Ticket:
        self._count += 1
        model, key = self._random.choice(self.models).name, self._random.choice(self._keys)
        priority, tokens = self._random.choice(CLASSES), self._random.choice(PROMPTS)
        return Ticket(f"ticket{self._count}", model, key, self.now_s, priority, tokens)


def main() -> None:
    args = _parser().parse_args()
    print(f"{args.models} models, {args.keys} keys, {args.steps} calls, {args.rounds} rounds; µs of CPU time")
    print(f"{'queued':>8} {'mean':>8} {'p50':>8} {'p99':>8} {'as it came: p99':>16} {'a fact: p50':>12} {'p99':>8}")
    for queued in args.queued:
        rounds = [_measure(args, queued) for _ in range(args.rounds)]
        calls, facts = (sorted(map(min, zip(*columns, strict=True))) for columns in zip(*rounds, strict=True))
        raw_p99 = statistics.median(_quantile(sorted(samples), 0.99) for samples, _ in rounds)
        print(
            f"{queued:8} {statistics.fmean(calls):8.1f} {_quantile(calls, 0.5):8.1f} {_quantile(calls, 0.99):8.1f}",
            end="",
        )
        print(f"{raw_p99:17.1f} {_quantile(facts, 0.5):12.1f} {_quantile(facts, 0.99):8.1f}")
    print(f"uncontended arrive + leave: {min(_uncontended() for _ in range(args.rounds)):.2f} µs")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.decisions", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--queued", type=int, nargs="*", default=[10, 100, 1000, 10_000, 100_000])
    parser.add_argument("--models", type=int, default=8)
    parser.add_argument("--keys", type=int, default=50)
    parser.add_argument("--steps", type=int, default=20_000, help="calls per round")
    parser.add_argument("--rounds", type=int, default=5, help="of each call, the fastest counts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-pool", action="store_true", help="no shared compute budget")
    return parser


def _measure(args: argparse.Namespace, queued: int) -> tuple[array[float], array[float]]:
    """The same story every time."""
    machine = Machine(args.models, args.keys, args.seed, has_pool=not args.no_pool)
    machine.fill(queued)
    for _ in range(500):
        machine.step()
    _freeze()
    del machine.samples[:], machine.facts[:]
    while len(machine.samples) < args.steps:
        machine.step()
    gc.unfreeze()
    return machine.samples, machine.facts


def _uncontended(calls: int = 50_000) -> float:
    """Microseconds per call: nobody waits, the replica is ready."""
    model = Model("only", 4, (("gpu0", 1),))
    scheduler = Scheduler(Plan((model,), MemoryResidency([Device("gpu0", 1)], [model])))
    tickets = [Ticket(f"ticket{number}", "only", "ann", 0.0) for number in range(calls)]
    scheduler.arrive(tickets[0], 0.0)
    scheduler.replica_ready("only", 1, 1.0)
    scheduler.leave(tickets[0].id, 2.0)
    _freeze()
    begin_ns = time.thread_time_ns()
    for ticket in tickets:
        scheduler.arrive(ticket, 3.0)
        scheduler.leave(ticket.id, 4.0)
    took_ns = time.thread_time_ns() - begin_ns
    gc.unfreeze()
    return took_ns / 1000 / calls


def _freeze() -> None:
    gc.collect()
    gc.freeze()


def _quantile(ranked: Sequence[float], part: float) -> float:
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))]


if __name__ == "__main__":
    main()
