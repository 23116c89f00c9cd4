"""Both databases, one after the other: where nothing is yet, and the store that is made there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.config.store_address import read_address
from penstock.store.opening import open_store
from penstock.store.postgres import PostgresStore
from penstock.store.sqlite import SqliteStore

KINDS = ("sqlite", "postgres")


def new_url(kind: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """Of a database with nothing in it. The server is started for those only that ask for PostgreSQL."""
    if kind == "sqlite":
        return f"sqlite:///{folder / 'penstock.db'}"
    return str(request.getfixturevalue("postgres").new_database())


def environ_for(kind: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """How a program is told where its store is; SQLite needs no telling."""
    return {} if kind == "sqlite" else {"DATABASE_URL": str(request.getfixturevalue("postgres").new_database())}


@contextmanager
def prepared(url: str) -> Iterator[SqliteStore | PostgresStore]:
    """The store there, with its tables."""
    store = open_store(read_address(url))
    store.prepare()
    try:
        yield store
    finally:
        store.close()
