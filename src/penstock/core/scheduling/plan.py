"""What the operator wants of the scheduler: models, pools, the residency policy, and the policy's numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from penstock.core.fitting.residency import Residency
from penstock.core.model import Model, Pool


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers of the due-time policy. Triples are for high, normal, low."""

    patience_s: tuple[float, float, float] = (15.0, 90.0, 900.0)  # how long a class waits for the sake of fewer swaps
    weight: tuple[float, float, float] = (16.0, 4.0, 1.0)  # what a second of waiting is worth
    hold: float = 4.0  # a model with waiters keeps its place so many swap round trips long
    hold_high: float = 1.0  # the same against a better class than waits for itself
    hold_stretch: float = (
        3.0  # both so much longer while the model's work exceeds its load time; not if two classes better
    )
    grace_s: float = 5.0  # so long a budget-blocked request lets later ones pass before its share is reserved
    prompt_tiers: tuple[tuple[int, float], ...] = ((2000, 1.0), (8000, 2.0))  # up to so many tokens: cost times this
    prompt_beyond: float = 4.0  # cost times this above the last tier
    demand_memory_s: float = 300.0  # how long an arrival counts as demand
    estimate_s: float = 5.0  # a call's duration before anything was measured
    call_limit_s: float = 3600.0  # no call runs longer; part of the bound
    memory_wait_s: float = 30.0  # so long a reading of free memory is believed that leaves no room even for one alone
    parallel_loads: int = 2  # also counts those whose room is still being made
    cancel_loads: bool = True  # give up a load whose last waiter left
    start_attempts: int = 3
    backoff_s: tuple[float, ...] = (0.5, 2.0)
    failed_pause_s: float = 30.0
    max_failed_pause_s: float = 600.0

    def backoff_after(self, failures: int) -> float:
        """Seconds until the next attempt after so many failures in a row, counted from 1."""
        return self.backoff_s[min(failures, len(self.backoff_s)) - 1] if self.backoff_s else 0.0

    def pause_after(self, failures: int) -> float:
        """Seconds a model rests that failed `start_attempts` times or more; doubles with each further one."""
        return min(self.failed_pause_s * 2.0 ** max(0, failures - self.start_attempts), self.max_failed_pause_s)


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """How a key is served. weight: its share of its class beside the others', more than 0.

    max_concurrent: calls that it may run at once; more of them wait. None = any number.
    """

    weight: float = 1.0
    max_concurrent: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """keys: by the key that tickets carry; one that is not in it has the terms that are not said."""

    models: tuple[Model, ...]
    residency: Residency
    pools: tuple[Pool, ...] = ()
    policy: Policy = Policy()
    keys: Mapping[str, KeyTerms] = field(default_factory=dict)
    max_resident: int | None = None  # of launched models, whatever the residency policy allows
    max_waiting: int = 100_000

    def admits(self, target: str, residents: Collection[str], residency: Residency | None = None) -> bool:
        """May `target` be loaded beside `residents` (without itself)?"""
        if self.max_resident is not None and len(residents) >= self.max_resident:
            return False
        return (residency or self.residency).admits(target, residents)

    def faults(self) -> list[str]:
        """Why this plan could never serve some model, with the arithmetic; empty if it can serve all."""
        faults = ((model.name, self.fault(model, self.pinned())) for model in self.models)
        return [f"`{name}` can never be served: {fault}" for name, fault in faults if fault]

    def pinned(self) -> frozenset[str]:
        return frozenset(model.name for model in self.models if model.is_pinned and model.is_launched)

    def fault(self, model: Model, pinned: frozenset[str]) -> str:
        """Why this one model could never be served beside the pinned ones; empty if it can."""
        budgets = {pool.name: pool.budget for pool in self.pools}
        if model.pool is not None:
            if model.pool not in budgets:
                return f"its pool `{model.pool}` does not exist"
            if (cost := base_cost(model)) > budgets[model.pool] + EPSILON:
                return f"one call costs {cost:g} of pool `{model.pool}`, whose budget is {budgets[model.pool]:g}"
        if model.slots == 0:
            return "it has no slots"
        if not model.is_launched:
            return ""
        if self.max_resident == 0:
            return "max_resident is 0"
        if shortfall := self.residency.shortfall(model.name):
            return shortfall
        others = set(pinned - {model.name})
        return (
            "" if self.admits(model.name, others) else f"it does not fit beside the pinned {', '.join(sorted(others))}"
        )


EPSILON = 1e-9
"""Sums of shares are compared with this much tolerance."""


def base_cost(model: Model) -> float:
    """The share of its pool's budget that a short call takes; without a cap or a declared cost it takes nothing."""
    if model.cost is not None:
        return model.cost
    return 1.0 / model.slots if model.slots else 0.0
