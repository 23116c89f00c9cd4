"""Records from their opening to the journal: each opened once, each closed once.

A record's opening line is written at the end of the loop turn in which it was opened, which is
before any byte of an answer. One that was closed within that turn (a refusal) needs a single line.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from random import getrandbits
from typing import Protocol

from penstock.core.accounting.outcomes import INTERRUPTED, Outcome
from penstock.core.accounting.record import CallRecord
from penstock.core.calls.message import Head
from penstock.errors import GatewayError, JournalFull, UnknownKey

RECENT = 100


class Journal(Protocol):
    """What the recorder needs of store.journal.Journal."""

    @property
    def is_nearly_full(self) -> bool: ...
    def opened(self, record: CallRecord) -> None: ...
    def closed(self, record: CallRecord) -> None: ...
    def flush(self) -> bool: ...


class Recorder:
    """The one owner of open records."""

    def __init__(
        self, journal: Journal, *, gateway_id: str, boot_id: str, version: str, refuses_when_full: bool = False
    ) -> None:
        """refuses_when_full: rather than lose a record."""
        self.gateway_id = gateway_id
        self.boot_id = boot_id
        self.recent: deque[CallRecord] = deque(maxlen=RECENT)  # closed ones, newest last
        self.closed_count = 0
        self.on_change: Callable[[], None] = _nothing
        self.wake: Callable[[], None] = _nothing  # asks for a `flush` at the end of this turn
        self.turn = 0  # counts the flushes
        self.on_end: Callable[[CallRecord], None] | None = None
        self._version = version
        self._journal = journal
        self._refuses_when_full = refuses_when_full
        self._refused = 0  # since the journal had room
        self._fresh: list[CallRecord] = []
        self._ending: list[CallRecord] = []

    def open(self, head: Head, dialect: str) -> CallRecord:
        """A new record, stamped with the wall clock."""
        now = time.time()
        record = CallRecord(
            uuid7(now),
            self.gateway_id,
            self.boot_id,
            self._version,
            now,
            head.method.decode("ascii"),
            head.path.decode("latin-1"),
            dialect,
            head.client_address,
        )
        self._fresh.append(record)
        self.wake()
        return record

    def turned_away(self, address: str | None, count: int) -> None:
        """So many requests of an address showed no key that counts, and left no records of their own."""
        self._close_many(UnknownKey, count, address)

    def has_no_room(self) -> bool:
        """Whether the next call must be refused, for its record could be lost.

        It is counted: when there is room again, one record tells of all of them.
        """
        if not self._refuses_when_full or not self._journal.is_nearly_full:
            return False
        self._refused += 1
        return True

    def _close_many(self, error: type[GatewayError], count: int, address: str | None) -> None:
        now = time.time()
        record = CallRecord(uuid7(now), self.gateway_id, self.boot_id, self._version, now, "", "", "", address)
        record.count, record.http_status, record.error_code = count, error.status, error.code
        self.close(record, Outcome(error.outcome), 0.0)

    def reopen(self, record: CallRecord) -> None:
        """More is known of an open record than its opening line said."""
        self._fresh.append(record)
        self.wake()

    def close(self, record: CallRecord, outcome: Outcome, done_s: float) -> None:
        """The call has ended; what came after an end would be our bug."""
        assert record.outcome is None, f"{record.id} closed twice"
        record.outcome = outcome
        record.done_s = None if outcome is INTERRUPTED else done_s  # it never came to its end
        self._ending.append(record)
        self.recent.append(record)
        self.closed_count += 1
        if self.on_end is not None:
            self.on_end(record)
        self.wake()
        self.on_change()

    def flush(self) -> None:
        """Bring what this turn opened and closed to the journal, in one write."""
        self.turn += 1
        if self._refused and not self._journal.is_nearly_full:
            count, self._refused = self._refused, 0
            self._close_many(JournalFull, count, None)
        if self._fresh:
            fresh, self._fresh = self._fresh, []
            for record in fresh:
                if record.outcome is None:
                    self._journal.opened(record)
        if self._ending:
            ending, self._ending = self._ending, []
            for record in ending:
                self._journal.closed(record)
        self._journal.flush()


def uuid7(epoch_s: float) -> str:
    """A UUID that sorts by time (RFC 9562, version 7): 48 bits of milliseconds, 74 random bits.

    Random enough to be unique, not to be a secret: nothing is granted for knowing it.
    """
    time_ms, version, variant = int(epoch_s * 1000), 0x7000 | getrandbits(12), 0x8000 | getrandbits(14)
    parts = (time_ms >> 16, time_ms & 0xFFFF, version, variant, getrandbits(48))
    return (b"%08x-%04x-%04x-%04x-%012x" % parts).decode("ascii")


def _nothing() -> None:
    """Until somebody listens."""
