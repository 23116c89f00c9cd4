"""The tables and views as statements, for those who make them by hand or want to know what they can ask."""

from __future__ import annotations

from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from penstock.store.migrations import HEAD
from penstock.store.schema import metadata
from penstock.store.views import POSTGRESQL, SQLITE, views

_DIALECTS = {SQLITE: sqlite.dialect, POSTGRESQL: postgresql.dialect}


def ddl(dialect_name: str) -> list[str]:
    """Every statement, in an order that works on an empty database; `dialect_name` is SQLITE or POSTGRESQL.

    With the version of the tables, so that a gateway finds nothing left to do.
    """
    dialect: Dialect = _DIALECTS[dialect_name]()
    made = []
    for table in metadata.sorted_tables:
        made.append(str(CreateTable(table).compile(dialect=dialect)).strip())
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        made += [str(CreateIndex(index).compile(dialect=dialect)).strip() for index in indexes]
    made += views(dialect_name).values()
    made.append("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    made.append(f"INSERT INTO alembic_version VALUES ('{HEAD}')")  # noqa: S608 - our own
    return made
