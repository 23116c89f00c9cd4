"""The default store: one SQLite file in the state folder, in WAL mode, so that readers and the writer do not wait."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from penstock.store.base import StoreAway
from penstock.store.sql import SqlStore

BUSY_TIMEOUT_MS = 250
"""Short: whoever waits for a lock has other duties, and tries again."""

GIVE_BACK_PAGES = 256
"""1 MiB at a time: a few milliseconds, in which nobody else can write."""

KEPT_FREE_PAGES = 1024
"""Or a tenth of the file: what the next records will fill again need not be given back."""

LOG_AT_MOST_BYTES = 64 << 20
"""What the write-ahead log is cut to once it was carried over, however much a slow reader made it grow."""

_INCREMENTAL = 2


class SqliteStore(SqlStore):
    """A Store in the file at `path`, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(_engine(path), insert_or=insert, is_locked=_is_locked)

    def prepare(self) -> None:
        self._create()
        super().prepare()

    def settle(self) -> None:
        """A commit in WAL mode is in the system's hands only; the frames of the log are what must reach the disk."""
        try:
            _fsync(f"{self._path}-wal")
        except FileNotFoundError:
            return  # all of it is in the file itself, which SQLite syncs before it drops the log
        except OSError as error:
            raise StoreAway(str(error)) from error

    def used_bytes(self) -> int:
        with self._transaction() as connection:
            size = _pragma(connection, "page_size")
            return (_pragma(connection, "page_count") - _pragma(connection, "freelist_count")) * size

    def give_back(self) -> bool:
        with self._transaction() as connection:
            if _pragma(connection, "auto_vacuum") != _INCREMENTAL:  # a file that was not made here
                return False
            kept = max(KEPT_FREE_PAGES, _pragma(connection, "page_count") // 10)
            if _pragma(connection, "freelist_count") <= kept:
                return False
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.executescript(f"PRAGMA incremental_vacuum({GIVE_BACK_PAGES})")  # execute() stops after one page
            return _pragma(connection, "freelist_count") > kept

    def _create(self) -> None:
        """Make the file before SQLite does, which would let others read it; -wal and -shm inherit its mode.

        A file that exists is not even opened: closing it would drop every lock that this process holds on it
        (https://www.sqlite.org/howtocorrupt.html, 2.2), and the next to close it would delete our log.
        """
        try:
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            return
        except OSError as error:
            raise StoreAway(str(error)) from error


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())


def _fsync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _engine(path: Path) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)))

    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver's own idea of when a transaction begins leaves out DDL
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA auto_vacuum = INCREMENTAL")  # heeded by a new file only, and only before the next line
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA journal_size_limit = {LOG_AT_MOST_BYTES}")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _is_locked(error: exc.DBAPIError) -> bool:
    """The low byte is the error, the rest says which kind of it."""
    code = getattr(error.orig, "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
