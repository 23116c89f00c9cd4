"""Several policies on one world, several seeds each, on two processors if there is much to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

from penstock.simulate.curves import Curves, curves
from penstock.simulate.figures import Figures, figures, mean_of
from penstock.simulate.policies import Penstock
from penstock.simulate.replay import replay
from penstock.simulate.world import World

PROCESSES = 2
_FEW = 4
"""So many runs are done before other processes would have started."""


@dataclass(frozen=True, slots=True)
class Result:
    """One policy on one world: means over the seeds, and the course of the first one."""

    policy: str
    seeds: tuple[int, ...]
    figures: Figures
    curves: Curves


@dataclass(frozen=True, slots=True)
class Comparison:
    world: str
    about: str
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class _Job:
    world: World
    policy: str
    seed: int


def compare(worlds: Iterable[World], policies: Sequence[str], seeds: Sequence[int]) -> Iterable[Comparison]:
    """One comparison after the other, as soon as it is there. A world that is not random has one seed."""
    worlds = list(worlds)
    runs = sum(len(policies) * (len(seeds) if world.is_random else 1) for world in worlds)
    with ProcessPoolExecutor(PROCESSES) if runs > _FEW else nullcontext() as executor:
        for world in worlds:
            yield _comparison(world, policies, tuple(seeds) if world.is_random else (0,), executor)


def _comparison(world: World, policies: Sequence[str], seeds: tuple[int, ...], executor: Executor | None) -> Comparison:
    jobs = [_Job(world, policy, seed) for policy in policies for seed in seeds]
    done = iter(executor.map(_run, jobs) if executor is not None else map(_run, jobs))
    results = []
    for policy in policies:
        runs = [next(done) for _ in seeds]
        results.append(Result(policy, seeds, mean_of([numbers for numbers, _ in runs]), runs[0][1]))
    return Comparison(world.name, world.about, tuple(results))


def _run(job: _Job) -> tuple[Figures, Curves]:
    run = replay(job.world, job.policy, job.seed)
    exceeded = run.policy.scheduler.bound_exceeded if isinstance(run.policy, Penstock) else 0
    numbers = figures(run, exceeded)
    return numbers, curves(run, numbers.span_s)
