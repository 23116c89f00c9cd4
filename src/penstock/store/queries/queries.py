"""All questions of one store, each a method: for an API, a report, or whoever asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from copy import copy

from penstock.config.store_address import StoreAddress
from penstock.store.queries import lists, present, questions, reporting, timeline
from penstock.store.queries.answers import Consumers, Models, Perf, Timeline, Workloads
from penstock.store.queries.asking import Asked
from penstock.store.queries.courses import EVERYTHING, Filter
from penstock.store.queries.present import Live
from penstock.store.queries.reader import LIMIT_S, Reader
from penstock.store.queries.reporting import Report
from penstock.store.queries.shown import Health, Hosts, Loads, Now, Requests
from penstock.store.queries.snapshot import Snapshot


class Queries:
    """Read-only; for as many threads as like. Each may raise StoreAway, TookTooLong, Busy.

    live: what a running gateway says itself; None = there is none, or it is not asked.
    """

    def __init__(
        self, address: StoreAddress, *, limit_s: float = LIMIT_S, now: Callable[[], float] = time.time
    ) -> None:
        """Raises DriverMissing."""
        self._reader = Reader(address, limit_s=limit_s, now=now)
        self._left: threading.Event | None = None
        self.now_s = now

    def for_one(self, left: threading.Event) -> Queries:
        """The same for an asker who may leave: what is asked there ends then (TookTooLong)."""
        its_own = copy(self)
        its_own._left = left
        return its_own

    def _look(self) -> AbstractContextManager[Snapshot]:
        return self._reader.snapshot(self._left)

    def now(self, live: Live | None = None) -> Now:
        with self._look() as snapshot:
            return present.now(snapshot, live)

    def health(self, live: Live | None = None) -> Health:
        with self._look() as snapshot:
            return present.health(snapshot, live)

    def timeline(self, asked: Asked) -> Timeline:
        with self._look() as snapshot:
            return timeline.timeline(snapshot, asked)

    def models(self, asked: Asked) -> Models:
        with self._look() as snapshot:
            return questions.models(snapshot, asked)

    def perf(self, asked: Asked) -> Perf:
        with self._look() as snapshot:
            return questions.perf(snapshot, asked)

    def consumers(self, asked: Asked) -> Consumers:
        with self._look() as snapshot:
            return questions.consumers(snapshot, asked)

    def workloads(self, asked: Asked) -> Workloads:
        with self._look() as snapshot:
            return questions.workloads(snapshot, asked)

    def requests(
        self,
        asked: Asked | None,
        *,
        filter: Filter = EVERYTHING,  # noqa: A002
        only_open: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Requests:
        """asked None = of all times; then `filter` says which. Raises BadCursor."""
        which = filter if asked is None else asked.filter
        with self._look() as snapshot:
            return lists.requests(snapshot, asked, which, limit, cursor, only_open=only_open)

    def loads(self, asked: Asked, *, limit: int = 100, cursor: str | None = None) -> Loads:
        """Raises BadCursor."""
        with self._look() as snapshot:
            return lists.loads_of(snapshot, asked, limit, cursor)

    def hosts(self, asked: Asked) -> Hosts:
        with self._look() as snapshot:
            return present.hosts(snapshot, asked)

    def report(self, asked: Asked) -> Report:
        """Looks at every call of the window: it takes seconds of a long one. Raises NoTables."""
        with self._look() as snapshot:
            return reporting.report(snapshot, asked)

    def close(self) -> None:
        self._reader.close()
