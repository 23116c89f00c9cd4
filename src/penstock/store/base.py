"""What every store of records promises; sqlite.py and postgres.py keep it, and one conformance suite tests it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from penstock.core.record import CallRecord
from penstock.errors import PenstockError
from penstock.store.rows import Row
from penstock.store.segments import BadLine


class StoreAway(PenstockError):
    """The store does not take or give records at the moment; nothing was written, and trying again may help."""

    def __init__(self, reason: str, *, is_locked: bool = False) -> None:
        """is_locked: somebody else is writing, nothing is broken."""
        super().__init__(reason)
        self.is_locked = is_locked


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a segment of this gateway's journal has been carried over."""

    gateway_id: str
    segment: str
    offset: int


class Store(Protocol):
    """Records by id, for one writer and any number of readers. Every method but close() may raise StoreAway."""

    def prepare(self) -> None:
        """Create the tables or bring them up to date. Before anything else; idempotent."""

    def upsert(self, rows: Sequence[Row], bad: Sequence[BadLine], checkpoint: Checkpoint) -> int:
        """Write all of it or nothing, in one transaction; return how many lines were set aside.

        The last row of an id wins, but nothing changes a record that has ended, unless it was only taken
        for interrupted. A row that the tables refuse is set aside with the bad lines.
        """

    def checkpoints(self, gateway_id: str) -> dict[str, int]:
        """Segment -> offset, for all that is remembered of this gateway."""

    def forget(self, gateway_id: str, segments: Sequence[str]) -> None:
        """Drop the checkpoints of segments that are gone."""

    def interrupt_open(self, gateway_id: str, *, but_not_boot: str) -> int:
        """End the open records of this gateway's earlier boots as `interrupted`; return how many.

        Their done_s stays None: nobody knows when they ended.
        """

    def settle(self) -> None:
        """Return when all that was written would survive a loss of power."""

    def get(self, record_id: str) -> CallRecord | None: ...

    def latest(self, limit: int) -> list[CallRecord]:
        """The records received last, newest first."""

    def count(self) -> int: ...

    def count_poisoned(self) -> int:
        """How many lines were set aside, ever."""

    def close(self) -> None: ...
