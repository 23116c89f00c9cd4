"""Bringing a store's tables up to date. Alembic is imported only when there is something to do: it costs 12 MB."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

from penstock.store.base import StoreAway
from penstock.store.views import views

HEAD = "0002"
"""The newest revision in versions/."""


def migrate(connection: Connection) -> None:
    """Run what is missing, inside the caller's transaction. Raises StoreAway for tables newer than this program.

    The views are made anew: SQLite alters no table that one of them looks at, and they follow the newest tables.
    A table that has the name of one is somebody else's, and stays.
    """
    if revision_of(connection) == HEAD:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "penstock.store:migrations")
    config.attributes["connection"] = connection
    taken = inspect(connection).get_table_names()
    created = {name: statement for name, statement in views(connection.dialect.name).items() if name not in taken}
    for name in created:
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
    try:
        command.upgrade(config, "head")
    except CommandError as exc:
        raise StoreAway(f"its tables do not fit this version: {exc}") from exc
    for statement in created.values():
        connection.exec_driver_sql(statement)


def revision_of(connection: Connection) -> str | None:
    """The revision that the tables are at; None = there are none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
