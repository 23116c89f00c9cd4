"""Reads the store of a running or ended program, as any other reader of SQLite would."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from penstock.core.record import CallRecord


def ask_store(path: Path, question: str, *values: str) -> list[sqlite3.Row]:
    """The rows; none while there is no store yet."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
            store.row_factory = sqlite3.Row
            return store.execute(question, values).fetchall()
    except sqlite3.OperationalError as exc:
        if "unable to open" in str(exc) or "no such table" in str(exc):
            return []
        raise


def as_record(row: sqlite3.Row) -> CallRecord:
    """A row of `calls` with its types."""
    columns = {name: row[name] for name in row.keys()}  # noqa: SIM118 - a Row iterates over its values
    columns["wait_reasons"] = json.loads(columns["wait_reasons"])
    return msgspec.convert(columns, CallRecord, strict=False)
