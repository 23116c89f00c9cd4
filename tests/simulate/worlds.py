"""The smallest worlds that the simulation's tests are about."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from penstock.core.fitting.memory import MemoryResidency
from penstock.core.model import Device, Model, Pool, Priority
from penstock.core.scheduling.plan import Plan, Policy
from penstock.simulate.replay import Run, replay
from penstock.simulate.scenario import Scenario, read, world_of
from penstock.simulate.world import Call, Engine, World


@dataclass(frozen=True)
class Listed:
    """Calls as they stand, fresh for every run."""

    calls: tuple[Call, ...]

    def __call__(self, seed: int) -> Iterable[Call]:
        return copy.deepcopy(self.calls)


def call(
    number: int, at_s: float, model: str, work_s: float = 5.0, *, key: str = "ann", priority: Priority = Priority.NORMAL
) -> Call:
    return Call(number, at_s, model, key, priority, work_s)


def world(
    *calls: Call, slots: int = 1, load_s: float = 10.0, stop_s: float = 0.0, slowdown: float = 0.0, **fields: object
) -> World:
    """Models a, b and c, of which one fits; no shared budget. `fields`: of every model."""
    usual = Model("", slots=slots, footprint=(("gpu", 60),))
    models = tuple(replace(usual, name=name, **fields) for name in "abc")  # type: ignore[arg-type]
    plan = Plan(models, MemoryResidency([Device("gpu", 100)], models), (Pool("box"),), Policy(parallel_loads=1))
    return World("tiny", plan, {name: Engine(load_s, stop_s, slowdown) for name in "abc"}, Listed(calls))


def shared(*calls: Call, slots: int = 2) -> World:
    """Models a and b, both loaded at no cost in time, and one budget of 1 for both."""
    models = tuple(Model(name, slots=slots, footprint=(), load_s=0.0, pool="box") for name in "ab")
    plan = Plan(models, MemoryResidency([], models), (Pool("box"),))
    return World("shared", plan, {name: Engine(0.0) for name in "ab"}, Listed(calls))


def moments(given: World, policy: str) -> list[tuple[float, float]]:
    """(start, end) of every call, by number."""
    return [(one.started_s, one.ended_s) for one in in_order(replay(given, policy, 1))]


def in_order(run: Run) -> Sequence[Call]:
    return sorted(run.calls, key=lambda one: one.number)


SMALL: dict[str, object] = {
    "penstock_scenario": 1,
    "devices": {"gpu": "10GB"},
    "models": {"a": {"memory": "8GB", "load_s": 2}, "b": {"memory": "8GB", "load_s": 2}},
    "arrivals": [{"at_s": 0, "model": "a", "work_s": 1}, {"at_s": 0, "model": "b", "work_s": 1}],
}


def scenario(**changed: object) -> Scenario:
    return read(json.dumps(SMALL | changed).encode(), "FILE")


def world_from(**changed: object) -> World:
    return world_of(scenario(**changed), "small")
