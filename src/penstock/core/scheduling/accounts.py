"""What every key has been served, class by class: the measure of fairness between keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penstock.core.scheduling.plan import KeyTerms


@dataclass(slots=True, eq=False)
class Account:
    """What one key has been served in one class since it was last even, in seconds of the whole box by its weight."""

    served_s: float = 0.0
    weight: float = 1.0
    calls: int = 0  # waiting and running

    def charge(self, box_s: float) -> None:
        """A key of twice the weight is as far with twice the time."""
        self.served_s += box_s / self.weight


class Accounts:
    """The accounts of one class. A key that comes back gets no credit for having been away."""

    def __init__(self) -> None:
        self._active: dict[str, Account] = {}
        self._idle: dict[str, Account] = {}
        self._keys: Mapping[str, KeyTerms] = {}

    def adopt(self, keys: Mapping[str, KeyTerms]) -> None:
        """Other weights: what was served before them stays as it counted then."""
        self._keys = keys
        for key, account in (*self._active.items(), *self._idle.items()):
            account.weight = self._weight(key)

    def join(self, key: str) -> Account:
        account = self._active.get(key)
        if account is None:
            account = self._idle.pop(key, None) or Account(0.0, self._weight(key))
            if self._active:
                account.served_s = max(account.served_s, self._least_s())
            self._active[key] = account
        account.calls += 1
        return account

    def part(self, key: str, account: Account) -> None:
        account.calls -= 1
        if not account.calls:
            del self._active[key]
            if self._active:
                self._idle[key] = account
            else:
                self._idle.clear()  # with nobody there, nobody owes anything

    def calls(self, key: str) -> int:
        """Of the key, waiting and running."""
        account = self._active.get(key)
        return 0 if account is None else account.calls

    def lead_s(self, account: Account) -> float:
        """How far it is ahead of the least served, once for each of the others."""
        others = len(self._active) - 1
        return (account.served_s - self._least_s()) * others if others else 0.0

    def _weight(self, key: str) -> float:
        terms = self._keys.get(key)
        return 1.0 if terms is None else terms.weight

    def _least_s(self) -> float:
        return min([account.served_s for account in self._active.values()])
