"""What every key has been served, class by class: the measure of fairness between keys."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Account:
    """What one key has been served in one class, in seconds of the whole box, since it was last even."""

    served_s: float = 0.0
    calls: int = 0  # waiting and running


class Accounts:
    """The accounts of one class. A key that comes back gets no credit for having been away."""

    def __init__(self) -> None:
        self._active: dict[str, Account] = {}
        self._idle: dict[str, Account] = {}

    def join(self, key: str) -> Account:
        account = self._active.get(key)
        if account is None:
            account = self._idle.pop(key, None) or Account()
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

    def lead_s(self, account: Account) -> float:
        """How far it is ahead of the least served, once for each of the others."""
        others = len(self._active) - 1
        return (account.served_s - self._least_s()) * others if others else 0.0

    def _least_s(self) -> float:
        return min([account.served_s for account in self._active.values()])
