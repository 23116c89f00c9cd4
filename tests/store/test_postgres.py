from __future__ import annotations

import dataclasses
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from penstock.store.base import Checkpoint, StoreAway
from penstock.store.postgres import PostgresStore
from penstock.store.schema import metadata
from tests.store.postgres_server import Server, a_postgres_server
from tests.store.some_calls import an_open_call, ended, rows

HERE = Checkpoint("g", "s", 1)


@pytest.fixture
def url(postgres: Server) -> str:
    return postgres.new_database()


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    store = PostgresStore(url)
    store.prepare()
    yield store
    store.close()


def test_the_migrations_build_exactly_the_tables_of_the_schema(store: PostgresStore, url: str) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        options: dict[str, object] = {"compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    engine.dispose()
    assert store.count() == 0


def test_gateways_that_start_together_make_the_tables_once(url: str) -> None:
    stores = [PostgresStore(url) for _ in range(3)]
    with ThreadPoolExecutor() as threads:
        list(threads.map(PostgresStore.prepare, stores))
    stores[0].upsert(rows(an_open_call()), [], HERE)
    for store in stores:
        assert store.count() == 1
        store.close()


def test_a_connection_that_was_cut_is_made_anew_for_the_next_batch(postgres: Server, store: PostgresStore) -> None:
    store.upsert(rows(an_open_call()), [], HERE)
    ours = "application_name = 'penstock bookkeeper'"
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}")
    with pytest.raises(StoreAway) as caught:
        store.upsert(rows(ended(an_open_call())), [], dataclasses.replace(HERE, offset=2))
    assert not caught.value.is_locked
    assert store.checkpoints("g") == {"s": 1}
    store.upsert(rows(ended(an_open_call())), [], dataclasses.replace(HERE, offset=2))
    assert (store.count(), store.checkpoints("g")) == (1, {"s": 2})


def test_a_table_that_somebody_else_has_locked_is_said_to_be_locked(store: PostgresStore, url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as other:
        other.exec_driver_sql("LOCK TABLE calls")
        with pytest.raises(StoreAway) as caught:
            store.upsert(rows(an_open_call()), [], HERE)
        assert caught.value.is_locked
    engine.dispose()
    store.upsert(rows(an_open_call()), [], HERE)
    assert store.count() == 1


@pytest.mark.parametrize("many", [1, 60], ids=["a few", "many"])
def test_a_server_that_is_too_slow_is_away_and_not_waited_for(url: str, many: int) -> None:
    store = PostgresStore(url, statement_timeout_ms=200)
    store.prepare()
    engine = create_engine(url)
    with engine.begin() as other:
        other.exec_driver_sql(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(9); RETURN NEW; END'"
        )
        other.exec_driver_sql("CREATE TRIGGER slow BEFORE INSERT ON calls EXECUTE FUNCTION slow()")
    calls = [an_open_call(f"c{number}") for number in range(many)]
    with pytest.raises(StoreAway, match="timeout") as caught:
        store.upsert(rows(*calls), [], HERE)
    assert not caught.value.is_locked
    with engine.begin() as other:
        other.exec_driver_sql("DROP TRIGGER slow ON calls")
    engine.dispose()
    store.upsert(rows(*calls), [], HERE)
    assert store.count() == many
    store.close()


def test_a_connection_cut_in_the_middle_of_many_rows_is_made_anew(postgres: Server, store: PostgresStore) -> None:
    first = [an_open_call(f"c{number}") for number in range(50)]
    store.upsert(rows(*first), [], HERE)
    ours = "application_name = 'penstock bookkeeper'"
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}")
    with pytest.raises(StoreAway):
        store.upsert(rows(*map(ended, first)), [], dataclasses.replace(HERE, offset=2))
    store.upsert(rows(*map(ended, first)), [], dataclasses.replace(HERE, offset=2))
    assert {record.outcome for record in store.latest(100)} == {"completed"}


@pytest.mark.parametrize("many", [1, 60], ids=["a few", "many"])
def test_a_database_that_may_only_be_read_is_away_until_it_is_not(
    postgres: Server, store: PostgresStore, url: str, many: int
) -> None:
    calls = [an_open_call(f"c{number}") for number in range(many)]
    name = url.partition("@/")[2].partition("?")[0]
    for setting in ("on", "off"):
        postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {setting}")
        postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        with pytest.raises(StoreAway):  # the connection was cut
            store.count()
        if setting == "on":
            with pytest.raises(StoreAway, match="read-only transaction"):
                store.upsert(rows(*calls), [], HERE)
    store.upsert(rows(*calls), [], HERE)
    assert (store.count(), store.count_poisoned()) == (many, 0)


def test_what_was_settled_survives_a_server_that_is_killed() -> None:
    with a_postgres_server() as server:
        store = PostgresStore(server.new_database())
        store.prepare()
        store.upsert(rows(an_open_call("settled")), [], HERE)
        store.settle()
        store.upsert(rows(an_open_call("not yet")), [], dataclasses.replace(HERE, offset=2))
        server.stop(signal.SIGKILL)
        server.start()
        with pytest.raises(StoreAway):
            store.count()
        found = {record.id for record in store.latest(9)}
        assert store.checkpoints("g") == {"s": len(found)}, "a batch and its checkpoint go together"
        assert "settled" in found
        store.close()


def test_text_that_this_database_cannot_hold_is_set_aside(store: PostgresStore) -> None:
    call = an_open_call("nul")
    call.path = "/a\0b"
    assert store.upsert(rows(call, an_open_call("sound")), [], HERE) == 1
    assert (store.count(), store.count_poisoned()) == (1, 1)


def test_a_server_that_is_not_there_is_away() -> None:
    store = PostgresStore("postgresql://nobody@/none?host=/nowhere")
    with pytest.raises(StoreAway) as caught:
        store.prepare()
    assert not caught.value.is_locked
    store.close()
