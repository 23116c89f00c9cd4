"""Questions end when their time is over, in both databases, however they are put."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from penstock.config.store_address import StoreAddress, read_address
from penstock.store.queries.reader import Busy, Reader, TookTooLong
from penstock.store.queries.snapshot import Snapshot
from tests.store.both import KINDS, new_url, prepared
from tests.store.postgres_server import Server

ENDLESS = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT i FROM n")
SUM_OF_MANY = text(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT sum(i) FROM n"
)


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> StoreAddress:
    """Of a store with nothing in it."""
    url = new_url(request.param, tmp_path, request)
    with prepared(url):
        return read_address(url)


@pytest.fixture
def reader(address: StoreAddress) -> Iterator[Reader]:
    reader = Reader(address, limit_s=0.3)
    yield reader
    reader.close()


def of_one_statement(snapshot: Snapshot) -> None:
    snapshot.connection.execute(text(f"SELECT count(*) FROM ({ENDLESS.text}) many")).scalar_one()


def of_many_statements(snapshot: Snapshot) -> None:
    while True:
        snapshot.connection.execute(SUM_OF_MANY).scalar_one()


def of_many_rows(snapshot: Snapshot) -> None:
    for _ in snapshot.connection.execute(ENDLESS, execution_options={"yield_per": 1000}):
        pass


@pytest.mark.parametrize("ask", [of_one_statement, of_many_statements, of_many_rows])
def test_a_question_ends_when_its_time_is_over(reader: Reader, ask: Callable[[Snapshot], None]) -> None:
    started_s = time.monotonic()
    with pytest.raises(TookTooLong), reader.snapshot() as snapshot:
        ask(snapshot)
    assert time.monotonic() - started_s >= 0.3
    with reader.snapshot() as snapshot:  # and whoever comes next is not ended with it
        assert snapshot.connection.execute(SUM_OF_MANY).scalar_one() == 200_010_000


@pytest.mark.parametrize("ask", [of_one_statement, of_many_statements, of_many_rows])
def test_a_question_ends_when_whoever_asked_has_left(address: StoreAddress, ask: Callable[[Snapshot], None]) -> None:
    reader, left = Reader(address, limit_s=60.0), threading.Event()
    leaving = threading.Timer(0.05, left.set)
    leaving.start()
    with pytest.raises(TookTooLong), reader.snapshot(left) as snapshot:
        ask(snapshot)
    leaving.join()
    with pytest.raises(TookTooLong), reader.snapshot(left):  # it was gone before it had its turn
        raise AssertionError("nobody wants to know")
    with reader.snapshot() as snapshot:
        assert snapshot.connection.execute(SUM_OF_MANY).scalar_one() == 200_010_000
    reader.close()


def test_a_question_whose_time_is_over_does_not_go_on_in_the_server(postgres: Server) -> None:
    url = postgres.new_database()
    reader = Reader(read_address(url), limit_s=0.3)
    with pytest.raises(TookTooLong), reader.snapshot() as snapshot:
        of_many_rows(snapshot)
    active = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'penstock usage' AND state <> 'idle'"
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.execute(text(active)).scalar_one() == 0
    engine.dispose()
    reader.close()


def test_whoever_gets_no_turn_is_told_so(address: StoreAddress) -> None:
    reader = Reader(address, turn_within_s=0.01)
    with reader.snapshot(), reader.snapshot(), pytest.raises(Busy), reader.snapshot():
        raise AssertionError("three at once")
    with reader.snapshot() as snapshot:
        assert snapshot.minutes_behind == 0
    reader.close()
