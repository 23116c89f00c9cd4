"""Bringing a store's tables up to date. Alembic is imported only when there is something to do: it costs 12 MB."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

from penstock.store.base import StoreAway

HEAD = "0001"
"""The newest revision in versions/."""


def migrate(connection: Connection) -> None:
    """Run what is missing, inside the caller's transaction. Raises StoreAway for tables newer than this program."""
    if revision_of(connection) == HEAD:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "penstock.store:migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as exc:
        raise StoreAway(f"its tables do not fit this version: {exc}") from exc


def revision_of(connection: Connection) -> str | None:
    """The revision that the tables are at; None = there are none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
