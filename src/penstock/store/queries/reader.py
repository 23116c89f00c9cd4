"""Reading a store while somebody else writes it: read-only, a consistent look for each question, and a time limit."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, exc, make_url
from sqlalchemy.pool import QueuePool

from penstock.config.store_address import StoreAddress
from penstock.errors import PenstockError
from penstock.store.base import StoreAway
from penstock.store.opening import check_driver
from penstock.store.queries.snapshot import Snapshot

LIMIT_S = 10.0
BUSY_TIMEOUT_MS = 2000
CONNECT_WITHIN_S = 5
AT_ONCE = 2
"""Questions that are answered at the same time; others wait for their turn."""

TURN_WITHIN_S = 4.0
"""With the time that a question may take, less than a gateway waits for the answer: so that its reason is heard."""

LOOK_EVERY_S = 0.05
"""Whether a question of PostgreSQL is to be ended."""

CHECK_EVERY_STEPS = 20_000
CACHE_KIB = 32 * 1024

_QUERY_CANCELED = "57014"


class TookTooLong(PenstockError):
    """The question took longer than it may. A shorter window, or a filter, makes it smaller."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class Busy(PenstockError):
    """Too many questions are being answered at the moment."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class Reader:
    """The store at an address, for as many threads as like. Nothing is connected before the first question."""

    def __init__(
        self,
        address: StoreAddress,
        *,
        limit_s: float = LIMIT_S,
        turn_within_s: float = TURN_WITHIN_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Raises DriverMissing."""
        check_driver(address)
        self._limit_s = limit_s
        self._turn_within_s = turn_within_s
        self._now = now
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._engine = _sqlite(address) if address.path is not None else _postgres(address, limit_s)

    @contextmanager
    def snapshot(self, left: threading.Event | None = None) -> Iterator[Snapshot]:
        """One look; for one question. `left`: whoever asked has gone, so that it is ended as if its time were over.

        Raises StoreAway, TookTooLong, Busy.
        """
        left = left or threading.Event()
        if not self._turns.acquire(timeout=self._turn_within_s):
            raise Busy
        try:
            if left.is_set():  # while it waited for its turn
                raise TookTooLong
            with self._engine.connect() as connection, _ended(connection, self._limit_s, left), connection.begin():
                yield Snapshot(connection, self._now())
        except exc.DBAPIError as error:
            if _is_interrupted(error):
                raise TookTooLong from error
            raise StoreAway(str(error.orig)) from error
        except exc.TimeoutError as error:
            raise Busy from error
        finally:
            self._turns.release()

    def close(self) -> None:
        self._engine.dispose()


@contextmanager
def _ended(connection: Connection, limit_s: float, left: threading.Event) -> Iterator[None]:
    """When its time is over, or nobody waits for it. SQLite asks us while it works, PostgreSQL must be told.

    Its statement_timeout is for one statement: a question has several, and reads the rows of some bit by bit.
    """
    if connection.dialect.name == "sqlite":
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        end_s = time.monotonic() + limit_s
        driver.set_progress_handler(lambda: time.monotonic() > end_s or left.is_set(), CHECK_EVERY_STEPS)
        yield
        return
    is_over = threading.Event()
    args = connection, limit_s, left, is_over
    watch = threading.Thread(target=_cancel, args=args, name="question's end", daemon=True)
    watch.start()
    try:
        yield
    finally:
        is_over.set()
        watch.join()  # whoever has this connection next is not to be cancelled


def _cancel(connection: Connection, limit_s: float, left: threading.Event, is_over: threading.Event) -> None:
    """Again and again: between two statements there is nothing to be cancelled."""
    driver: Any = connection.connection.driver_connection
    end_s = time.monotonic() + limit_s
    while not is_over.wait(LOOK_EVERY_S):
        if left.is_set() or time.monotonic() > end_s:
            driver.cancel_safe(timeout=CONNECT_WITHIN_S)


def _is_interrupted(error: exc.DBAPIError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_INTERRUPT or getattr(error.orig, "sqlstate", None) == _QUERY_CANCELED


def _sqlite(address: StoreAddress) -> Engine:
    uri = f"file:{quote(str(address.path))}?mode=ro"
    engine = create_engine("sqlite+pysqlite://", creator=lambda: _open(uri), poolclass=QueuePool, pool_size=AT_ONCE)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _open(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    return connection


def _postgres(address: StoreAddress, limit_s: float) -> Engine:
    options = {
        "statement_timeout": int(1000 * limit_s),
        "default_transaction_read_only": "on",
        "default_transaction_isolation": r"repeatable\ read",
        "jit": "off",  # to compile a question takes longer than to answer it
    }
    return create_engine(
        make_url(address.url).set(drivername="postgresql+psycopg"),
        pool_size=AT_ONCE,
        pool_pre_ping=True,
        connect_args={
            "application_name": "penstock usage",
            "connect_timeout": CONNECT_WITHIN_S,
            "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
        },
    )
