"""Which of several models serves a call: chosen once, when it arrives.

    pin        the first, whatever its state
    warm       the first that is ready, one with a free slot before one without; else the first that is being
               loaded; else the first
    spillover  of those in use the one with the fewest calls, in turns where they are equal, as long as it has fewer
               than `spillover`; else the next that is not loaded, if it fits beside those in use; else the one
               with the fewest calls
    failover   the first

All but `pin` pass over a model that would not let the call in: paused, failed, a prompt too long for it, a deadline
that it could not make. If none would, the first one says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penstock.core.model import Phase, Replica, Strategy

LOADING = (Phase.STARTING, Phase.WAKING)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model as a choice sees it. waiting: calls. chosen: the number of the choice that fell on it last."""

    replica: Replica
    waiting: int
    is_usable: bool = True
    chosen: int = 0

    @property
    def name(self) -> str:
        return self.replica.id

    @property
    def calls(self) -> int:
        return self.waiting + len(self.replica.running)

    @property
    def is_in_use(self) -> bool:
        """It is loaded, or will be; what need not be loaded is in use while it has calls."""
        if not self.replica.model.is_launched:
            return self.calls > 0
        return self.replica.phase in (Phase.READY, *LOADING) or (self.replica.phase is Phase.STOPPED and self.calls > 0)

    @property
    def is_cold(self) -> bool:
        return not self.is_in_use and self.replica.phase in (Phase.STOPPED, Phase.READY)


FitsBeside = Callable[[str, frozenset[str]], bool]
"""May the model be loaded while these others stay?"""


def choose(strategy: Strategy, candidates: Sequence[Candidate], spillover: int, fits_beside: FitsBeside) -> str:
    """The name of the one that serves the call. candidates: at least one, in order of preference."""
    usable = [candidate for candidate in candidates if candidate.is_usable] or candidates
    match strategy:
        case Strategy.PIN:
            return candidates[0].name
        case Strategy.WARM:
            return min(usable, key=_coldness).name
        case Strategy.SPILLOVER:
            return _spill(usable, spillover, fits_beside).name
    return usable[0].name


def _coldness(candidate: Candidate) -> int:
    replica = candidate.replica
    if replica.phase is Phase.READY:
        return 0 if replica.has_free_slot and not candidate.waiting else 1
    return 2 if replica.phase in LOADING else 3


def _spill(candidates: Sequence[Candidate], spillover: int, fits_beside: FitsBeside) -> Candidate:
    in_use = [candidate for candidate in candidates if candidate.is_in_use]
    least = min(in_use or candidates, key=lambda candidate: (candidate.calls, candidate.chosen))
    if in_use and least.calls < spillover:
        return least
    loaded = frozenset(candidate.name for candidate in in_use if candidate.replica.model.is_launched)
    cold = (candidate for candidate in candidates if candidate.is_cold)
    return next((each for each in cold if not each.replica.model.is_launched or fits_beside(each.name, loaded)), least)
