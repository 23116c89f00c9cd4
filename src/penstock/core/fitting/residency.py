"""Which models may be resident together, and the cheapest set that must leave so that another fits.

A policy is one class with one method: `fits`. Where loading A beside B is another question
than loading B beside A (groups), it overrides `admits`; where memory is measured, `seeing` and `knowing`; where the
operator says whom to stop rather (matrix), `evict_for`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import combinations
from typing import Protocol

MAX_EXACT = 10
"""Up to so many candidates every combination is looked at; beyond, the cheapest are taken greedily."""


Footprint = tuple[tuple[str, int], ...]
"""What a model takes: (device name, bytes) pairs."""


class Residency(Protocol):
    """What the machine's memory, or the operator, allows. Immutable: a reading makes another one.

    Whoever leaves only helps: what fits beside some residents fits beside fewer of them.
    """

    def fits(self, names: Collection[str]) -> bool:
        """May these models be resident at the same time, in whatever order they came?"""

    def admits(self, target: str, residents: Collection[str]) -> bool:
        """May `target` be loaded while `residents` stay?"""
        return self.fits({*residents, target})

    def shortfall(self, target: str) -> str:
        """Why the model does not fit even alone, with the arithmetic; empty if it does."""
        return "" if self.fits({target}) else "it does not fit even alone"

    def seeing(self, device: str, free_bytes: int, residents: Collection[str]) -> Residency:
        """The same policy after a reading of a device's free memory, taken while `residents` held theirs."""
        return self

    def knowing(self, sizes: Mapping[str, Footprint]) -> Residency:
        """The same policy with what these models were seen to take."""
        return self

    def evict_for(self, target: str, residents: Collection[str], staying: Collection[str]) -> frozenset[str] | None:
        """Of victims that are equally regretted, the policy's own choice, none of `staying`; None if it has none."""
        return None


Enough = Callable[[frozenset[str]], bool]
"""Whether it is enough if these leave."""


def cheapest_victims(candidates: Sequence[str], costs: Sequence[float], is_enough: Enough) -> frozenset[str] | None:
    """The candidates, given cheapest first, whose departure is enough at the least total cost; None if none is."""
    if len(candidates) > MAX_EXACT:
        return enough_victims(candidates, is_enough)
    best: frozenset[str] | None = None
    best_cost = float("inf")
    cost_of = dict(zip(candidates, costs, strict=True))
    for size in range(1, len(candidates) + 1):
        for names in combinations(candidates, size):
            cost = sum([cost_of[name] for name in names])
            if cost < best_cost and is_enough(chosen := frozenset(names)):
                best, best_cost = chosen, cost
    return best


def enough_victims(candidates: Sequence[str], is_enough: Enough) -> frozenset[str] | None:
    """Some of the candidates whose departure is enough, none of them needlessly, the last ones spared first."""
    victims = frozenset(candidates)
    if not is_enough(victims):
        return None
    for name in reversed(candidates):
        if is_enough(victims - {name}):
            victims -= {name}
    return victims
