"""A store of any older version becomes one of today's, and keeps what is in it.

In released/ stand the tables as each version printed them (`penstock store ddl`), never to be changed again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, Text, create_engine, inspect

from penstock.store.base import Checkpoint, Store
from penstock.store.migrations import HEAD, revision_of
from penstock.store.postgres import PostgresStore
from penstock.store.schema import metadata
from penstock.store.sqlite import SqliteStore
from tests.store.some_calls import an_open_call, rows

RELEASED = Path(__file__).with_name("released")
OLDER = sorted(path.name.partition(".")[0] for path in RELEASED.glob("*.sqlite.sql"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Store, Engine]]:
    """A store without tables, and another way into its database."""
    store: Store
    if request.param == "sqlite":
        store, url = SqliteStore(tmp_path / "penstock.db"), f"sqlite:///{tmp_path / 'penstock.db'}"
    else:
        url = request.getfixturevalue("postgres").new_database()
        store = PostgresStore(url)
    engine = create_engine(url)
    yield store, engine
    engine.dispose()
    store.close()


def fill(connection: Connection) -> dict[str, dict[str, object]]:
    """One row in every table, with what it cannot do without."""
    found = MetaData()
    found.reflect(connection)
    written: dict[str, dict[str, object]] = {}
    for name, table in found.tables.items():
        if name == "alembic_version":
            continue
        needed = [column for column in table.c if not column.nullable]
        written[name] = {column.name: "{}" if isinstance(column.type, Text) else 1 for column in needed}
        connection.execute(table.insert(), written[name])
    return written


@pytest.mark.parametrize("version", OLDER)
def test_an_older_store_is_brought_up_to_date_and_keeps_its_rows(empty: tuple[Store, Engine], version: str) -> None:
    store, engine = empty
    with engine.begin() as connection:
        for statement in (RELEASED / f"{version}.{engine.dialect.name}.sql").read_text().split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
        written = fill(connection)
    store.prepare()
    with engine.begin() as connection:
        assert revision_of(connection) == HEAD
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert set(inspect(connection).get_view_names()) == {"host_samples", "model_loads", "request_events"}
        for name, row in written.items():
            kept = connection.exec_driver_sql(f"SELECT * FROM {name}").mappings().one()
            assert {column: kept[column] for column in row} == row
    store.upsert(rows(an_open_call()), [], Checkpoint("g", "s", 1))
    assert store.count() == 2


def test_every_version_but_the_newest_is_written_down_as_it_was_released() -> None:
    """Whoever adds a migration puts what `penstock store ddl` printed before it into released/."""
    config = Config()
    config.set_main_option("script_location", "penstock.store:migrations")
    line = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert line[0] == HEAD
    assert sorted(line[1:]) == OLDER
    assert {path.name for path in RELEASED.iterdir()} == {
        f"{version}.{dialect}.sql" for version in OLDER for dialect in ("sqlite", "postgresql")
    }
