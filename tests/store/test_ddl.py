from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect

from penstock.store.base import Checkpoint
from penstock.store.ddl import ddl
from penstock.store.postgres import PostgresStore
from penstock.store.schema import metadata
from penstock.store.sqlite import SqliteStore
from tests.store.postgres_server import Server
from tests.store.some_calls import an_open_call, rows


def build(engine: Engine, dialect: str) -> None:
    """The tables by hand; they must be those of the schema."""
    with engine.begin() as connection:
        for statement in ddl(dialect):
            connection.exec_driver_sql(statement)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert sorted(inspect(connection).get_view_names()) == ["host_samples", "model_loads", "request_events"]
    engine.dispose()


def test_what_is_printed_for_sqlite_builds_a_store_that_works(tmp_path: Path) -> None:
    build(create_engine(f"sqlite:///{tmp_path / 'penstock.db'}"), "sqlite")
    store = SqliteStore(tmp_path / "penstock.db")
    store.prepare()
    store.upsert(rows(an_open_call()), [], Checkpoint("g", "s", 1))
    assert store.count() == 1
    store.close()


def test_what_is_printed_for_postgresql_builds_a_store_that_works(postgres: Server) -> None:
    url = postgres.new_database()
    build(create_engine(url), "postgresql")
    store = PostgresStore(url)
    store.prepare()
    store.upsert(rows(an_open_call()), [], Checkpoint("g", "s", 1))
    assert store.count() == 1
    store.close()
