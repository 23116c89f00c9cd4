"""Shared compute: a pool's budget, what a call takes of it, and the reservation for who is blocked too long.

Small calls may pass a big one that does not fit, for a grace. Then its share is reserved: whoever passes
it now must fit beside it, so it starts at the latest when everything that ran before has ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.core.model import Model, Pool
from penstock.core.scheduling.explain import Obstacle, WaitReason
from penstock.core.scheduling.lines import Entry
from penstock.core.scheduling.plan import EPSILON, Policy, base_cost

_FULL = Obstacle(WaitReason.BUDGET_FULL)


def share_of(model: Model, pool: Pool | None, prompt_tokens: int, policy: Policy) -> float:
    """What a call takes of the pool: more for a long prompt, but never the lane of one short call beside it."""
    share = base_cost(model)
    if pool is None or not prompt_tokens:
        return share
    factor = next((times for tokens, times in policy.prompt_tiers if prompt_tokens <= tokens), policy.prompt_beyond)
    return max(share, min(share * factor, pool.budget - share))


@dataclass(slots=True, eq=False)
class Reservation:
    """The share kept for one entry, and what those take who started since."""

    entry: Entry
    share: float  # the whole budget, where the pool belongs to one model at a time
    passed: float = 0.0


class Budget:
    """One pool's budget, with what runs in it."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.used = 0.0
        self.running: dict[str, int] = {}  # calls by model
        self.reservation: Reservation | None = None
        self._lapsed: Reservation | None = None

    def obstacle(self, entry: Entry) -> Obstacle | None:
        """What keeps the entry from starting now; None if nothing in this pool does."""
        name = entry.queue.model.name
        if self.pool.is_exclusive and self.running and name not in self.running:
            return Obstacle(WaitReason.EXCLUSIVE, next(iter(self.running)))
        if self.used + entry.share > self.pool.budget + EPSILON:
            return _FULL
        kept = self.reservation
        if kept is None or (kept.entry.due_s, kept.entry.seq) >= (entry.due_s, entry.seq):
            return None  # only who is due later stands back
        if kept.passed + entry.share > self.pool.budget - kept.share + EPSILON:
            return Obstacle(WaitReason.RESERVED, kept.entry.queue.model.name)
        return None

    def lapse(self) -> None:
        """A reservation holds for one round of decisions; `reserve` renews it."""
        self._lapsed, self.reservation = self.reservation, None

    def reserve(self, entry: Entry) -> None:
        if self._lapsed is not None and self._lapsed.entry is entry:
            self.reservation = self._lapsed
        else:
            self.reservation = Reservation(entry, self.pool.budget if self.pool.is_exclusive else entry.share)

    def take(self, entry: Entry) -> None:
        name = entry.queue.model.name
        self.used += entry.share
        self.running[name] = self.running.get(name, 0) + 1
        if self.reservation is not None:
            self.reservation.passed += entry.share
            entry.reservation = self.reservation

    def give_back(self, entry: Entry) -> None:
        """Exactly what was taken."""
        name = entry.queue.model.name
        self.running[name] -= 1
        if not self.running[name]:
            del self.running[name]
        self.used = self.used - entry.share if self.running else 0.0
        if self.reservation is not None and entry.reservation is self.reservation:
            self.reservation.passed -= entry.share
