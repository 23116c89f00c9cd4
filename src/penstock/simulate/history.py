"""Recorded calls as traffic: what came once, through another configuration.

A recorded call's work is the time it held its slot; how much its neighbours slowed it down is part of that, so
engines of such a world do not slow down further.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from penstock.core.model import Priority
from penstock.core.scheduling.plan import Plan
from penstock.simulate.sources import PRIORITIES
from penstock.simulate.world import Call, Engine, World

_NO_KEY = "(none)"


@dataclass(frozen=True, slots=True)
class PastCall:
    """What the store knows of a call. load_s: how long it waited for a load that it caused itself."""

    at_s: float
    model: str
    key: str | None
    priority: str | None
    service_s: float
    prompt_tokens: int
    load_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Past:
    calls: tuple[PastCall, ...]

    def __call__(self, seed: int) -> Iterable[Call]:
        return [
            Call(
                number,
                past.at_s,
                past.model,
                past.key or _NO_KEY,
                PRIORITIES.get(past.priority or "", Priority.NORMAL),
                past.service_s,
                past.prompt_tokens,
            )
            for number, past in enumerate(self.calls, start=1)
        ]


def world_of_history(name: str, plan: Plan, calls: Sequence[PastCall]) -> World:
    """All calls must be for models of the plan. Loads take the median of what they took, or what the plan expects."""
    engines = {}
    for model in plan.models:
        took_s = [past.load_s for past in calls if past.model == model.name and past.load_s is not None]
        engines[model.name] = Engine(statistics.median(took_s) if took_s else model.load_s)
    start_s = min((past.at_s for past in calls), default=0.0)
    moved = tuple(
        PastCall(
            past.at_s - start_s, past.model, past.key, past.priority, past.service_s, past.prompt_tokens, past.load_s
        )
        for past in sorted(calls, key=lambda past: past.at_s)
    )
    loads_at_once = plan.policy.parallel_loads
    about = f"{len(calls)} recorded calls."
    return World(name, plan, engines, _Past(moved), about, loads_at_once, is_random=False)
