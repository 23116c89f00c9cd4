"""What rollups say is what the records say, whatever happens to the records meanwhile."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from penstock.core.accounting.course import Course
from penstock.core.accounting.curves import grid_over
from penstock.core.accounting.sums import Spread
from penstock.store.base import Kind
from penstock.store.postgres import PostgresStore
from penstock.store.queries.courses import EVERYTHING, Filter
from penstock.store.queries.curve_reading import read_curves
from penstock.store.queries.roller import OVER_AFTER_S, Roller
from penstock.store.queries.snapshot import Snapshot
from penstock.store.queries.tables import DAY, HOUR, MINUTE, SPANS, rollup_dirty, rollup_state, rollup_sums
from penstock.store.sqlite import SqliteStore
from tests.core.accounting.courses import NOW, histories
from tests.store.queries.histories import (
    AnyStore,
    as_stored,
    assert_same_curves,
    assert_same_sums,
    curves_of_all,
    fill,
    sharing,
    sums_of_all,
)

AT_ONCE = dict.fromkeys(SPANS, 0.0)
LATER = NOW + 15 * DAY

FILTERS = (EVERYTHING, Filter(model="a"), Filter(key="ann", outcome="completed"), Filter(workload=""))
DIMENSIONS = ((), ("model",), ("key",), ("workload", "outcome"), ("model", "outcome"), ("key", "model"))


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    store: AnyStore
    if request.param == "sqlite":
        store = SqliteStore(tmp_path / "penstock.db")
    else:
        store = PostgresStore(request.getfixturevalue("postgres").new_database())
    store.prepare()
    yield store
    store.close()


def a_roller(store: AnyStore) -> Roller:
    roller = Roller(store, now=lambda: LATER, settled_after_s=AT_ONCE, rest_s=0.0)
    roller.prepare()
    return roller


def roll_all(roller: Roller) -> None:
    for _ in range(1000):
        if not roller.step() and not roller.step():
            return
    raise AssertionError("it never ends")


def compare(store: AnyStore, history: Sequence[Course], since: float, until: float, *, is_behind: bool = False) -> None:
    """Every question, by rollups or not, against the calls themselves.

    is_behind: a late record is counted at once, but who ran beside it was measured without it until it is rolled up.
    """
    history = [as_stored(course) for course in history]
    with store.transaction() as connection:
        snapshot = Snapshot(connection, NOW)
        for asked in FILTERS:
            for by in DIMENSIONS:
                found = snapshot.sums(since, until, asked, by, spreads=tuple(Spread), speeds=True)
                assert_same_sums(found, sums_of_all(history, since, until, asked, by), with_speeds=not is_behind)
                for width in (15, 60, 300, HOUR, DAY):
                    grid = grid_over(since, until, width)
                    if grid.count < 2000:
                        found_curves = read_curves(snapshot, grid, asked, by)
                        assert_same_curves(found_curves, curves_of_all(history, grid, asked, by, NOW))


days = st.integers(0, 2).map(lambda number: number * 86_400.0 - 86_400.0)


def moved(history: list[Course], by: list[float]) -> list[Course]:
    return [
        course._replace(received_at=course.received_at + shift)
        for course, shift in zip(history, by * len(history), strict=False)
    ]


class SqliteFolder:
    """A store of its own for each example."""

    def __enter__(self) -> SqliteStore:
        self._folder = tempfile.TemporaryDirectory()
        self._store = SqliteStore(Path(self._folder.name, "penstock.db"))
        self._store.prepare()
        return self._store

    def __exit__(self, *_: object) -> None:
        self._store.close()
        self._folder.cleanup()


windows = st.tuples(st.integers(-90_000, 90_000), st.integers(1, 190_000))


random_histories = given(histories(8), st.lists(days, min_size=1), windows, st.integers(0, 8))


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@random_histories
def test_rollups_say_what_the_records_say(
    history: list[Course], shifts: list[float], window: tuple[int, int], cut: int
) -> None:
    check_history(history, shifts, window, cut)


@pytest.mark.long
@pytest.mark.timeout(900)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@random_histories
def test_rollups_say_what_the_records_say_of_many_histories(
    history: list[Course], shifts: list[float], window: tuple[int, int], cut: int
) -> None:
    check_history(history, shifts, window, cut)


def check_history(history: list[Course], shifts: list[float], window: tuple[int, int], cut: int) -> None:
    history = moved(history, shifts)
    since = NOW + window[0] + 0.5
    until = since + window[1]
    with SqliteFolder() as store:
        roller = a_roller(store)
        fill(store, history[:cut], sharing())
        compare(store, history[:cut], since, until)  # all of it from records
        roll_all(roller)
        compare(store, history[:cut], since, until)  # as much as possible from rollups
        fill(store, history[cut:])  # late ones
        compare(store, history, since, until, is_behind=True)
        roll_all(roller)
        compare(store, history, since, until)


def some_history() -> list[Course]:
    return [
        Course(
            f"c{number}", "g1", NOW - 7200 + 97.3 * number, "ab"[number % 2], ("ann", None)[number % 2], None,
            ("completed", "client_abandoned", None)[number % 3], enqueued_s=0.0, admitted_s=1.0 + number,
            first_token_s=2.0 + number, last_s=2.0 + number, completion_tokens=(None, 10, 0)[number % 3],
            done_s=None if number % 3 == 2 else 40.0 + 20 * number,
        )
        for number in range(60)
    ]  # fmt: skip


@pytest.mark.timeout(240)
def test_both_databases_are_asked_the_same_way(store: AnyStore) -> None:
    history = some_history()
    roller = a_roller(store)
    fill(store, history[:50], sharing())
    roll_all(roller)
    fill(store, history[50:])
    compare(store, history, NOW - 10_000, NOW, is_behind=True)
    roll_all(roller)
    compare(store, history, NOW - 10_000, NOW)


def test_what_the_database_adds_up_is_a_number_as_if_we_had(store: AnyStore) -> None:
    history = some_history()
    fill(store, history, sharing())
    roll_all(a_roller(store))
    with store.transaction() as connection:
        found = Snapshot(connection, NOW).sums(NOW - 10_000, NOW, EVERYTHING, ("outcome",))
        expected = sums_of_all([as_stored(course) for course in history], NOW - 10_000, NOW, EVERYTHING, ("outcome",))
        assert {group: sums.requests for group, sums in found.items()} == {
            group: sums.requests for group, sums in expected.items()
        }
        assert {type(sums.requests) for sums in found.values()} == {int}
        assert {type(sums.service_s) for sums in found.values()} == {float}


def test_an_old_store_is_answered_from_its_records_and_rolled_up_later(store: AnyStore) -> None:
    history = some_history()
    fill(store, history, sharing())
    compare(store, history, NOW - 10_000, NOW)
    roll_all(a_roller(store))
    compare(store, history, NOW - 10_000, NOW)


def test_what_is_deleted_is_no_longer_counted(store: AnyStore) -> None:
    history = [course for course in some_history() if not course.is_open]
    roller = a_roller(store)
    fill(store, history, sharing())
    roll_all(roller)
    store.shed(Kind.CALLS, before=NOW - 6000, limit=1000)
    kept = [course for course in history if course.received_at >= NOW - 6000]
    compare(store, kept, NOW - 10_000, NOW, is_behind=True)
    roll_all(roller)
    compare(store, kept, NOW - 10_000, NOW)


def test_what_was_taken_for_interrupted_and_ended_after_all_is_counted_once(store: AnyStore) -> None:
    course = some_history()[2]
    roller = a_roller(store)
    fill(store, [course])
    assert store.interrupt_open("g1", but_not_boot="b2") == 1
    compare(store, [course._replace(outcome="interrupted")], NOW - 10_000, NOW)
    roll_all(roller)
    compare(store, [course._replace(outcome="interrupted")], NOW - 10_000, NOW)
    after_all = course._replace(outcome="completed", done_s=90.0)
    fill(store, [after_all])
    roll_all(roller)
    compare(store, [after_all], NOW - 10_000, NOW)


@pytest.mark.timeout(240)
def test_all_rollups_can_be_made_again(store: AnyStore) -> None:
    history = some_history()
    roller = a_roller(store)
    fill(store, history, sharing())
    roll_all(roller)

    def contents() -> list[tuple[object, ...]]:
        with store.transaction() as connection:
            columns = [column for column in rollup_sums.c if column.name not in ("spreads", "cells")]
            return [tuple(row) for row in connection.execute(select(*columns).order_by(*rollup_sums.primary_key))]

    before = contents()
    roller.rebuild()
    compare(store, history, NOW - 10_000, NOW)
    roll_all(roller)
    assert contents() == before
    assert {row[1] for row in before} == set(SPANS)


def minutes_left(store: AnyStore) -> int:
    with store.transaction() as connection:
        found: int = connection.execute(select(func.count()).where(rollup_dirty.c.span_s == MINUTE)).scalar_one()
        return found


def test_a_minute_of_which_a_call_goes_on_is_left_to_the_records(store: AnyStore) -> None:
    assert NOW % MINUTE == 0
    roller = Roller(store, now=lambda: NOW + 30)
    roller.prepare()
    ended = some_history()[0]._replace(received_at=NOW - 20)
    running = Course("runs", "g1", NOW - 20, "a", None, None, None, enqueued_s=0.0, admitted_s=0.0)
    fill(store, [ended, running])
    while roller.step():
        pass
    assert minutes_left(store) == 1
    compare(store, [ended, running], NOW - 10_000, NOW)


def test_a_minute_of_which_all_have_ended_is_rolled_up_within_seconds(store: AnyStore) -> None:
    now = NOW + OVER_AFTER_S
    roller = Roller(store, now=lambda: now)
    roller.prepare()
    history = [some_history()[0]._replace(id=f"c{at}", received_at=now - at) for at in (4.0, OVER_AFTER_S + 1.0)]
    fill(store, history)
    while roller.step():
        pass
    assert minutes_left(store) == 1
    compare(store, history, NOW - 10_000, NOW)


def test_rollups_of_another_version_are_left_alone_by_readers_and_made_anew_by_the_bookkeeper(store: AnyStore) -> None:
    history = some_history()
    roller = a_roller(store)
    fill(store, history, sharing())
    roll_all(roller)
    with store.transaction() as connection:
        connection.execute(update(rollup_state).where(rollup_state.c.name == "version").values(value=0))
        connection.execute(update(rollup_sums).values(requests=1_000_000))
    compare(store, history, NOW - 10_000, NOW)
    roll_all(a_roller(store))
    compare(store, history, NOW - 10_000, NOW)
