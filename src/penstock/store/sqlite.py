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
        cursor.execute("PRAGMA journal_mode = WAL")
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
