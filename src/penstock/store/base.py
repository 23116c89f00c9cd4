"""What every store of records promises; sqlite.py and postgres.py keep it, and one conformance suite tests it."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from penstock.core.accounting.record import CallRecord
from penstock.errors import PenstockError
from penstock.store.belief import Belief
from penstock.store.rows import Row
from penstock.store.segments import BadLine


class StoreAway(PenstockError):
    """The store does not take or give records at the moment; nothing was written, and trying again may help."""

    def __init__(self, reason: str, *, is_locked: bool = False) -> None:
        """is_locked: somebody else is writing, nothing is broken."""
        super().__init__(reason)
        self.is_locked = is_locked


class Kind(enum.Enum):
    """What there are records of; the value is the name of their table."""

    CALLS = "calls"
    LOADS = "loads"
    SAMPLES = "samples"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a segment of this gateway's journal has been carried over."""

    gateway_id: str
    segment: str
    offset: int


@dataclass(frozen=True, slots=True)
class Window:
    """Records from `since` on, up to but without `until`, by when they were received; epoch seconds, None = no end."""

    since: float | None = None
    until: float | None = None


EVER = Window()

FIRST_SOUND_CLOCK = 1_577_836_800.0
"""2020: a clock that says less was not set since its battery died, which is what it says then, 1970 or 2000."""


@dataclass(frozen=True, slots=True)
class Place:
    """A record's place among those of its kind, which are in the order of their time, then of their id."""

    at: float
    id: str


class Store(Protocol):
    """Records by id, for one writer and any number of readers. Every method but close() may raise StoreAway."""

    def prepare(self) -> None:
        """Create the tables or bring them up to date. Before anything else; idempotent."""

    def upsert(
        self,
        rows: Sequence[Row],
        bad: Sequence[BadLine],
        checkpoint: Checkpoint,
        *,
        loads: Sequence[Row] = (),
        samples: Sequence[Row] = (),
    ) -> int:
        """Write all of it or nothing, in one transaction; return how many lines were set aside. `rows` are of calls.

        The last row of an id wins, but nothing changes a record that has ended, unless it was only taken
        for interrupted. A row that the tables refuse is set aside with the bad lines.
        """

    def checkpoints(self, gateway_id: str) -> dict[str, int]:
        """Segment -> offset, for all that is remembered of this gateway."""

    def forget(self, gateway_id: str, segments: Sequence[str]) -> None:
        """Drop the checkpoints of segments that are gone."""

    def register(self, gateway_id: str, state_dir: str) -> None:
        """Remember where the journal of a gateway is that is carried over to here."""

    def gateways(self) -> dict[str, str]:
        """Gateway id -> its state folder, for all that were ever registered."""

    def interrupt_open(self, gateway_id: str, *, but_not_boot: str) -> int:
        """End the open records of this gateway's earlier boots as `interrupted`; return how many.

        Their done_s stays None: nobody knows when they ended.
        """

    def settle(self) -> None:
        """Return when all that was written would survive a loss of power."""

    def shed(self, kind: Kind, *, before: float | None, limit: int) -> int:
        """Delete the oldest records, at most `limit` and none received at `before` or later; return how many.

        With `before`, those from before FIRST_SOUND_CLOCK stay: nobody knows how old they are.
        """

    def oldest_at(self, kind: Kind) -> float | None:
        """When the first of a kind was received; None = there is none."""

    def newest_at(self, kind: Kind) -> float | None:
        """When the last of a kind was received; None = there is none."""

    def belief(self) -> Belief | None:
        """What was last believed about the time, by whichever gateway; None = nobody has looked for old records yet."""

    def believe(self, belief: Belief) -> None: ...

    def used_bytes(self) -> int:
        """What the records take, as far as the database can say; space that was freed does not count."""

    def give_back(self) -> bool:
        """Return a little of the space that was freed to the file system, quickly; True = there is more."""

    def get(self, record_id: str) -> CallRecord | None: ...

    def latest(self, limit: int) -> list[CallRecord]:
        """The calls received last, newest first."""

    def page(self, kind: Kind, window: Window, after: Place | None, limit: int) -> list[Row]:
        """The next rows of a window, oldest first."""

    def count(self, kind: Kind = Kind.CALLS, window: Window = EVER) -> int: ...

    def count_poisoned(self) -> int:
        """How many lines were set aside, ever."""

    def close(self) -> None: ...
