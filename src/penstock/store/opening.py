"""From an address to a store. Only here the kinds of stores have names."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from penstock.config.store_address import StoreAddress
from penstock.errors import PenstockError

if TYPE_CHECKING:  # who only checks imports no database
    from penstock.store.postgres import PostgresStore
    from penstock.store.sqlite import SqliteStore


class DriverMissing(PenstockError):
    """The store needs something that is not installed; the message says how to get it."""


def check_driver(address: StoreAddress) -> None:
    """Raises DriverMissing. Imports no database, so that the gateway may ask before it starts."""
    if address.is_postgres and find_spec("psycopg") is None:
        raise DriverMissing(f"{address} needs psycopg: pip install 'penstock[postgres]'")


def open_store(address: StoreAddress) -> SqliteStore | PostgresStore:
    """Nothing is connected yet: that is for the first question. Raises DriverMissing."""
    check_driver(address)
    if address.path is not None:
        from penstock.store.sqlite import SqliteStore

        return SqliteStore(address.path)
    from penstock.store.postgres import PostgresStore

    return PostgresStore(address.url)
