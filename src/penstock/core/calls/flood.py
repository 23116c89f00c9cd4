"""Refusals without end: those of one address beyond a rate leave one record with a count, not one each."""

from __future__ import annotations

OTHERS = "others"
"""Stands for all addresses beyond the number that is kept apart."""


class Flood:
    """Counts what happened in each second, address by address."""

    def __init__(self, *, per_second: int = 10, addresses: int = 10_000) -> None:
        self._per_second = per_second
        self._addresses = addresses
        self._second = 0
        self._seen: dict[str, int] = {}
        self._due: dict[str, int] = {}

    def note(self, address: str | None, now_s: float) -> bool:
        """One more. True = it leaves a record of its own; False = it will be part of the next `due`."""
        self._turn(now_s)
        name = address or ""
        if name not in self._seen and len(self._seen) >= self._addresses:
            name = OTHERS
        self._seen[name] = count = self._seen.get(name, 0) + 1
        return count <= self._per_second

    def due(self, now_s: float) -> list[tuple[str | None, int]]:
        """Address and count of those of past seconds that left no record. Each is told once."""
        self._turn(now_s)
        due, self._due = self._due, {}
        return [(name or None, count) for name, count in due.items()]

    def _turn(self, now_s: float) -> None:
        if int(now_s) == self._second:
            return
        self._second = int(now_s)
        for name, count in self._seen.items():
            if count > self._per_second:
                kept = name if name in self._due or len(self._due) < self._addresses else OTHERS
                self._due[kept] = self._due.get(kept, 0) + count - self._per_second
        self._seen.clear()
