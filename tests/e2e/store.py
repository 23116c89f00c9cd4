"""Reads the store of a running or ended program, as any other reader of the database would."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Protocol

import msgspec
from sqlalchemy import create_engine, exc, select

from penstock.core.accounting.record import CallRecord
from penstock.store.rows import record_of
from penstock.store.schema import calls


class Books(Protocol):
    """What the store of a program holds by now; nothing while there is no store yet."""

    def records(self) -> dict[str, CallRecord]: ...
    def count_closed(self, ids: Collection[str]) -> int: ...

    def count_open(self) -> int | None:
        """None = there is no store yet."""


class SqliteBooks:
    def __init__(self, path: Path) -> None:
        self._path = path

    def records(self) -> dict[str, CallRecord]:
        return {row["id"]: as_record(row) for row in ask_store(self._path, "SELECT * FROM calls")}

    def count_closed(self, ids: Collection[str]) -> int:
        count = "SELECT count(*) FROM calls WHERE outcome IS NOT NULL AND id IN (SELECT value FROM json_each(?))"
        rows = ask_store(self._path, count, json.dumps(sorted(ids)))
        return int(rows[0][0]) if rows else 0

    def count_open(self) -> int | None:
        rows = ask_store(self._path, "SELECT count(*) FROM calls WHERE outcome IS NULL")
        return int(rows[0][0]) if rows else None


class PostgresBooks:
    def __init__(self, url: str) -> None:
        self._url = url

    def records(self) -> dict[str, CallRecord]:
        return self._read() or {}

    def count_closed(self, ids: Collection[str]) -> int:
        return sum(not record.is_open() for record_id, record in self.records().items() if record_id in ids)

    def count_open(self) -> int | None:
        found = self._read()
        return None if found is None else sum(record.is_open() for record in found.values())

    def _read(self) -> dict[str, CallRecord] | None:
        engine = create_engine(self._url)
        try:
            with engine.connect() as connection:
                return {row.id: record_of(row) for row in connection.execute(select(calls))}
        except exc.ProgrammingError:  # no such table
            return None
        finally:
            engine.dispose()


def ask_store(path: Path, question: str, *values: str) -> list[sqlite3.Row]:
    """The rows; none while there is no store yet."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
            store.row_factory = sqlite3.Row
            return store.execute(question, values).fetchall()
    except sqlite3.OperationalError as error:
        if "unable to open" in str(error) or "no such table" in str(error):
            return []
        raise


def as_record(row: sqlite3.Row) -> CallRecord:
    """A row of `calls` with its types."""
    columns = {name: row[name] for name in row.keys()}  # noqa: SIM118 - a Row iterates over its values
    columns["wait_reasons"] = json.loads(columns["wait_reasons"])
    return msgspec.convert(columns, CallRecord, strict=False)
