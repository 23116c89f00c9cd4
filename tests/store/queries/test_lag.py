"""What is too much goes with its rollups, and is not deleted again for the room that those take up a while longer."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from penstock.core.accounting.course import Course
from penstock.store.base import Kind
from penstock.store.queries.lag import rollups_lag
from penstock.store.queries.roller import Roller
from penstock.store.queries.tables import SPANS
from penstock.store.retention import REST_S, Limits, Retention
from penstock.store.sqlite import SqliteStore
from tests.store.queries.histories import fill

NOW = 1_700_000_000.0
CALLS = 8000


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    """Of calls of the last hours, each with a name of its own: rollups take more than the records."""
    store = SqliteStore(tmp_path / "penstock.db")
    store.prepare()
    Roller(store).prepare()
    fill(store, (a_call(number, age_s=100.0 + 5.0 * (CALLS - number)) for number in range(CALLS)))
    return store


def a_call(number: int, age_s: float) -> Course:
    return Course(
        f"c{number:05}", "g1", NOW - age_s, "m", f"key {number}", f"work {number}", "completed",
        enqueued_s=0.0, admitted_s=0.0, first_token_s=1.0, last_s=1.0, done_s=2.0, completion_tokens=5,
    )  # fmt: skip


def roll_up(store: SqliteStore) -> None:
    roller = Roller(store, now=lambda: NOW, settled_after_s=dict.fromkeys(SPANS, 0.0), rest_s=0.0)
    while roller.step():
        pass


def test_rollups_lag_until_what_was_deleted_is_rolled_up_anew(store: SqliteStore) -> None:
    assert rollups_lag(store, NOW)
    roll_up(store)
    assert not rollups_lag(store, NOW)
    store.shed(Kind.CALLS, before=None, limit=1000)
    assert rollups_lag(store, NOW)
    assert not rollups_lag(store, NOW - 5.0 * CALLS - 3600.0)
    roll_up(store)
    assert not rollups_lag(store, NOW)
    store.close()


def test_where_there_are_no_rollups_none_lag(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "penstock.db")
    store.prepare()
    assert not rollups_lag(store, NOW)
    store.close()


def test_no_more_is_deleted_than_is_too_much_however_late_the_rollups_follow(store: SqliteStore) -> None:
    roll_up(store)
    limit = store.used_bytes() // 2
    clock = Clock()
    lag = partial(rollups_lag, store)
    retention = Retention(store, Limits(keep_bytes=limit), rollups_lag=lag, clock=clock, now=lambda: NOW)
    while store.used_bytes() > limit:
        for _ in range(10):  # the rollups follow only now and then
            clock.now_s += REST_S
            while retention.step():
                pass
        roll_up(store)
    assert store.used_bytes() > 0.75 * limit
    assert 0.3 * CALLS < store.count() < 0.6 * CALLS
    store.close()
