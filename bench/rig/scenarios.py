"""What is measured: each scenario for every target in turn, round after round, so that all share the same minutes."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TypeAlias

from bench.rig.build import Programs
from bench.rig.client import Figures, Load, holding, run
from bench.rig.processes import cores_kept_awake, cpu_us_by_process, role, rss_bytes, tree, wait_until_calm
from bench.rig.proxies import Target, upstream_counts

Samples: TypeAlias = "defaultdict[str, defaultdict[str, list[float]]]"
"""Metric, then target: one value a round."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is enough."""

    rounds: int
    seconds: float
    streams: int
    waiters: int


@dataclass(slots=True)
class Bench:
    """One comparison under way: who is compared, and what was found so far."""

    programs: Programs
    upstream_port: int
    targets: Sequence[Target]
    sizes: Sizes
    say: Callable[[str], None]
    samples: Samples = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    errors: list[str] = field(default_factory=list)

    def run(self) -> None:
        self._memory()
        seconds = self.sizes.seconds
        self._alternate("c1", Load(1, seconds=seconds), cores_kept_awake)
        for connections in (16, 64):
            self._alternate(f"c{connections}", Load(connections, seconds=seconds))
        self._alternate("chunk_5ms", Load(32, rig="sse:100:5", seconds=seconds))
        self._alternate("chunk_burst", Load(32, rig="sse:100:0", seconds=seconds))
        self._waiters()

    def _alternate(
        self, name: str, load: Load, around: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        self.say(name)
        for target in self._in_turn(self.targets):
            with around():
                figures, cpu_us = self._measure(target, load)
            per = figures.chunks if load.rig.startswith("sse") else figures.requests
            self._note_sum(f"{name} cpu_us", target, {process: us / max(per, 1) for process, us in cpu_us.items()})
            self._note_times(name, target, figures)

    def _in_turn(self, targets: Sequence[Target]) -> Iterator[Target]:
        """Every target once a round, each round beginning with another."""
        for at in range(self.sizes.rounds):
            start = at % max(len(targets), 1)
            yield from (*targets[start:], *targets[:start])

    def _measure(self, target: Target, load: Load) -> tuple[Figures, dict[str, float]]:
        """What the client saw, and the CPU time that the target's processes used for it, work put off included."""
        before = cpu_us_by_process(target.pid) if target.pid else {}
        figures = run(self.programs, target.port, load)
        if figures.errors:
            self.errors.append(f"{target.name}: {figures.errors} of {load}: {figures.first_error}")
        if not target.pid:
            return figures, {}
        wait_until_calm(target.pid)
        used: dict[str, float] = defaultdict(float)
        for pid, total_us in cpu_us_by_process(target.pid).items():
            used[role(pid)] += total_us - before.get(pid, 0.0)
        return figures, used

    def _note_times(self, name: str, target: Target, figures: Figures) -> None:
        if name.startswith("chunk"):
            if figures.chunk_delay_us and figures.ttfb_us:
                self._note(f"{name} delay_p50_us", target, figures.chunk_delay_us.p50)
                self._note(f"{name} delay_p99_us", target, figures.chunk_delay_us.p99)
                self._note(f"{name} ttfb_p50_us", target, figures.ttfb_us.p50)
            return
        self._note(f"{name} rps", target, figures.rps)
        if figures.latency_us:
            self._note(f"{name} p50_us", target, figures.latency_us.p50)
            self._note(f"{name} p99_us", target, figures.latency_us.p99)

    def _note(self, metric: str, target: Target, value: float) -> None:
        self.samples[metric][target.name].append(value)

    def _note_sum(self, metric: str, target: Target, by_role: Mapping[str, float]) -> None:
        """The whole, and its parts where there are several."""
        if by_role:
            self._note(metric, target, sum(by_role.values()))
        for process, value in by_role.items():
            if len(by_role) > 1:
                self._note(f"{metric} {process}", target, value)

    def _memory(self) -> None:
        """First of all, so that no other load has left its traces yet."""
        self.say("memory")
        for target in self.targets:
            if not target.pid:
                continue
            run(self.programs, target.port, Load(1, requests=10))
            wait_until_calm(target.pid)
            self._note_rss("rss_mb idle", target)
            with holding(self.programs, target.port, self.sizes.streams) as held:
                if held < self.sizes.streams:
                    self.errors.append(f"{target.name}: only {held} of {self.sizes.streams} streams open")
                wait_until_calm(target.pid, limit_s=2.0)
                self._note_rss(f"rss_mb {self.sizes.streams} streams", target)
            wait_until_calm(target.pid)

    def _note_rss(self, metric: str, target: Target) -> None:
        assert target.pid
        by_role: dict[str, float] = defaultdict(float)
        for pid in tree(target.pid):
            by_role[role(pid)] += rss_bytes(pid) / 1e6
        self._note_sum(metric, target, by_role)

    def _waiters(self) -> None:
        """All at once for a model with 32 slots whose every call takes 100 ms: ideally waiters / 32 * 0.1 s."""
        name = f"{self.sizes.waiters} waiters"
        self.say(name)
        load = Load(self.sizes.waiters, rig="delay:100", model="q", requests=self.sizes.waiters, give_up_s=120.0)
        for target in self._in_turn([target for target in self.targets if target.queues]):
            upstream_counts(self.upstream_port)
            figures, cpu_us = self._measure(target, load)
            self._note(f"{name} s", target, figures.seconds)
            self._note(f"{name} errors", target, figures.errors)
            self._note(f"{name} most at once", target, upstream_counts(self.upstream_port)["busy_max"])
            self._note_sum(
                f"{name} cpu_us", target, {process: us / self.sizes.waiters for process, us in cpu_us.items()}
            )


def added_latency(samples: Samples) -> None:
    """Add what each proxy adds to `direct` at c=1, round by round."""
    for quantile in ("p50", "p99"):
        by_target = samples[f"c1 {quantile}_us"]
        for name, values in list(by_target.items()):
            added = [value - direct for value, direct in zip(values, by_target["direct"], strict=True)]
            samples[f"c1 added_{quantile}_us"][name] = added


def medians(samples: Samples) -> dict[str, dict[str, float]]:
    return {
        metric: {target: statistics.median(values) for target, values in by_target.items() if values}
        for metric, by_target in samples.items()
    }
