"""Which models may be resident together, and the cheapest set that must leave so that another fits.

A policy is one class with one method: `fits`. Where loading A beside B is another question
than loading B beside A (groups), it overrides `admits`; where memory is measured, `seeing`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import combinations
from typing import Protocol

MAX_EXACT = 10
"""Up to so many candidates every combination is looked at; beyond, the cheapest are taken greedily."""


class Residency(Protocol):
    """What the machine's memory, or the operator, allows. Immutable: a reading makes another one."""

    def fits(self, names: Collection[str]) -> bool:
        """May these models be resident at the same time, in whatever order they came?"""
        ...

    def admits(self, target: str, residents: Collection[str]) -> bool:
        """May `target` be loaded while `residents` stay?"""
        return self.fits({*residents, target})

    def shortfall(self, target: str) -> str:
        """Why the model does not fit even alone, with the arithmetic; empty if it does."""
        return "" if self.fits({target}) else "it does not fit even alone"

    def seeing(self, device: str, free_bytes: int, residents: Collection[str]) -> Residency:
        """The same policy after a reading of a device's free memory, taken while `residents` held theirs."""
        return self


def cheapest_victims(
    candidates: Sequence[str], costs: Sequence[float], is_enough: Callable[[frozenset[str]], bool]
) -> frozenset[str] | None:
    """The candidates whose departure is enough at the least total cost; None if no departure is.

    Ties go to fewer victims, then to those that stand first.
    """
    if len(candidates) > MAX_EXACT:
        return _greedy_victims([name for _, name in sorted(zip(costs, candidates, strict=True))], is_enough)
    best: frozenset[str] | None = None
    best_cost = float("inf")
    for size in range(len(candidates) + 1):
        for chosen in combinations(range(len(candidates)), size):
            cost = sum(costs[i] for i in chosen)
            if cost < best_cost and is_enough(names := frozenset(candidates[i] for i in chosen)):
                best, best_cost = names, cost
    return best


def _greedy_victims(cheapest_first: list[str], is_enough: Callable[[frozenset[str]], bool]) -> frozenset[str] | None:
    victims = frozenset(cheapest_first)
    if not is_enough(victims):
        return None
    for name in reversed(cheapest_first):  # the dearest are spared first
        if is_enough(victims - {name}):
            victims -= {name}
    return victims
