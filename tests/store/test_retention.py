"""What is too old or too much goes, in small steps, from both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.core.accounting.record import CallRecord
from penstock.store.base import FIRST_SOUND_CLOCK, Checkpoint, Kind, Store, Window
from penstock.store.belief import Belief
from penstock.store.postgres import PostgresStore
from penstock.store.retention import LOOK_EVERY_S, MEASURE_EVERY_S, REST_S, STEP_ROWS, Limits, Retention
from penstock.store.sqlite import GIVE_BACK_PAGES, KEPT_FREE_PAGES, SqliteStore
from tests.store.both import KINDS, new_url, prepared
from tests.store.some_calls import a_load, a_sample, an_open_call, ended, rows
from tests.store.test_stores import noted

HERE = Checkpoint("g", "s", 1)
NOW = 1_700_000_000.0
DAY_S = 86_400.0


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with prepared(new_url(request.param, tmp_path, request)) as store:
        store.believe(Belief(NOW))
        yield store


def a_call(number: int, age_s: float) -> CallRecord:
    call = ended(an_open_call(f"c{number}"))
    call.received_at = NOW - age_s
    call.error_detail = "x" * 200
    return call


def run(retention: Retention) -> int:
    """Until nothing is left to do; how many steps that took."""
    steps = 1
    while retention.step():
        steps += 1
    return steps


def test_what_is_older_than_its_kind_is_kept_goes_and_nothing_else(store: Store, tmp_path: Path) -> None:
    old_load, old_sample, sample = a_load("old"), a_sample("old"), a_sample("new")
    old_load.started_at, old_sample.sampled_at, sample.sampled_at = NOW - 91 * DAY_S, NOW - 8 * DAY_S, NOW - 6 * DAY_S
    lines = noted(tmp_path, old_load, old_sample, sample)
    calls = [a_call(1, 91 * DAY_S), a_call(2, 89 * DAY_S), a_call(3, 8 * DAY_S)]
    store.upsert(rows(*calls), [], HERE, loads=lines.loads, samples=lines.samples)
    retention = Retention(store, Limits(90 * DAY_S, 7 * DAY_S), clock=Clock(), now=lambda: NOW)
    run(retention)
    assert (store.count(), store.count(Kind.LOADS), store.count(Kind.SAMPLES)) == (2, 0, 1)
    assert store.get("c1") is None
    assert retention.shed == 3


def test_without_limits_nothing_ever_goes(store: Store) -> None:
    store.upsert(rows(a_call(1, 9000 * DAY_S)), [], HERE)
    assert run(Retention(store, Limits(), now=lambda: NOW)) == 1
    assert store.count() == 1


def test_a_step_is_small_and_one_that_found_nothing_is_followed_by_a_rest(store: Store) -> None:
    store.upsert(rows(*(a_call(number, 2 * DAY_S) for number in range(STEP_ROWS + 5))), [], HERE)
    clock = Clock()
    retention = Retention(store, Limits(DAY_S), clock=clock, now=lambda: NOW)
    assert retention.step()
    assert store.count() == 5
    run(retention)
    store.upsert(rows(a_call(9999, 2 * DAY_S)), [], HERE)
    assert not retention.step()
    assert store.count() == 1
    clock.now_s += REST_S
    assert retention.step()
    assert store.count() == 0


def test_beyond_its_size_the_oldest_records_go_of_whatever_kind(tmp_path: Path) -> None:
    """Exactly only with SQLite: the other's statistics come when they come."""
    store = SqliteStore(tmp_path / "penstock.db")
    store.prepare()
    oldest = a_sample("oldest")
    oldest.sampled_at = NOW - 1e6
    lines = noted(tmp_path, oldest)
    for start in range(0, 30_000, 5000):
        batch = rows(*(a_call(number, 30_000.0 - number) for number in range(start, start + 5000)))
        store.upsert(batch, [], HERE, samples=lines.samples)
    before, limit = store.used_bytes(), store.used_bytes() // 2
    clock = Clock()
    retention = Retention(store, Limits(keep_bytes=limit), clock=clock, now=lambda: NOW)
    while retention.step() or (retention.used_bytes or before) > limit:
        clock.now_s += REST_S
    assert store.used_bytes() <= limit
    assert (store.count(Kind.SAMPLES), store.get("c0")) == (0, None)
    assert store.get("c29999") is not None
    assert store.count(Kind.CALLS, Window()) == 30_001 - retention.shed
    store.close()
    assert (tmp_path / "penstock.db").stat().st_size <= limit + (KEPT_FREE_PAGES + GIVE_BACK_PAGES) * 4096 < before


def test_a_server_that_counts_too_much_loses_its_oldest(postgres: object, request: pytest.FixtureRequest) -> None:
    store = PostgresStore(request.getfixturevalue("postgres").new_database())
    store.prepare()
    store.upsert(rows(*(a_call(number, 5000.0 - number) for number in range(5000))), [], HERE)
    clock = Clock()
    retention = Retention(store, Limits(keep_bytes=1), clock=clock, now=lambda: NOW)
    while store.count():  # as soon as its statistics have come
        retention.step()
        clock.now_s += max(REST_S, MEASURE_EVERY_S)
    assert retention.shed == 5000
    store.close()


class Wall:
    """A wall clock that goes with another one, and is off by so much."""

    def __init__(self, clock: Clock, off_s: float = 0.0) -> None:
        self.clock = clock
        self.off_s = off_s

    def __call__(self) -> float:
        return NOW + self.clock.now_s + self.off_s


def watch(retention: Retention, clock: Clock, span_s: float) -> None:
    """Let that much time pass, as a bookkeeper does that has little to do."""
    end_s = clock.now_s + span_s
    while clock.now_s < end_s:
        clock.now_s += max(REST_S, LOOK_EVERY_S)
        run(retention)


def test_a_clock_that_leaps_ahead_deletes_nothing_and_is_told(store: Store) -> None:
    store.upsert(rows(*(a_call(day, day * DAY_S) for day in range(89))), [], HERE)
    wall = Wall(clock := Clock())
    retention = Retention(store, Limits(90 * DAY_S), clock=clock, now=wall)
    run(retention)
    assert retention.doubt == ""
    wall.off_s = 3650 * DAY_S
    watch(retention, clock, 3600.0)
    assert store.count() == 89
    assert "this machine's clock is 3650.0 days ahead of the time that was known last" in retention.doubt
    wall.off_s = 0.0  # somebody has set it
    watch(retention, clock, 60.0)
    assert (retention.doubt, retention.shed) == ("", 0)


def test_a_doubt_outlives_restarts_while_old_records_go_as_time_goes_by(store: Store) -> None:
    store.upsert(rows(a_call(1, 90 * DAY_S - 1500.0), a_call(2, 30 * DAY_S)), [], HERE)
    clock = Clock()
    for _ in range(4):  # each begins with a clock that is a year ahead
        retention = Retention(store, Limits(90 * DAY_S), clock=clock, now=Wall(clock, 365 * DAY_S))
        run(retention)
        watch(retention, clock, 600.0)
        assert retention.doubt
    assert (store.get("c1"), store.count()) == (None, 1)


def test_a_clock_that_stays_at_what_it_says_is_believed_in_the_end(store: Store) -> None:
    """The machine was off for 25 minutes, and records are kept for an hour only."""
    store.upsert(rows(a_call(1, 40 * 60.0), a_call(2, 60.0)), [], HERE)
    clock = Clock()
    retention = Retention(store, Limits(3600.0), clock=clock, now=Wall(clock, 25 * 60.0))
    watch(retention, clock, 19 * 60.0)
    assert (store.count(), "is believed after" in retention.doubt) == (2, True)
    watch(retention, clock, 2 * 60.0)
    assert (retention.doubt, store.get("c1"), store.count()) == ("", None, 1)


def test_a_clock_that_falls_back_deletes_nothing_and_its_return_is_no_leap(store: Store) -> None:
    store.upsert(rows(a_call(1, 89 * DAY_S), a_call(2, 0.0)), [], HERE)
    wall = Wall(clock := Clock(), -50 * 365 * DAY_S)
    retention = Retention(store, Limits(90 * DAY_S), clock=clock, now=wall)
    watch(retention, clock, 3600.0)
    assert "days behind" in retention.doubt
    wall.off_s = 0.0
    watch(retention, clock, 60.0)
    assert (store.count(), retention.doubt) == (2, "")


def test_where_nobody_has_looked_before_the_newest_record_says_how_late_it_is(store: Store, tmp_path: Path) -> None:
    fresh = SqliteStore(tmp_path / "fresh.db")
    fresh.prepare()
    fresh.upsert(rows(a_call(1, 95 * DAY_S), a_call(2, 80 * DAY_S)), [], HERE)  # brought from elsewhere
    clock = Clock()
    retention = Retention(fresh, Limits(90 * DAY_S), clock=clock, now=Wall(clock))
    run(retention)
    assert (fresh.count(), "80.0 days ahead" in retention.doubt) == (2, True)
    fresh.close()


def test_records_of_the_future_do_not_make_anything_old(store: Store) -> None:
    store.upsert(rows(a_call(1, 10 * DAY_S), a_call(2, -3650 * DAY_S)), [], HERE)
    clock = Clock()
    retention = Retention(store, Limits(90 * DAY_S), clock=clock, now=Wall(clock))
    watch(retention, clock, 3600.0)
    assert (store.count(), retention.doubt) == (2, "")


def test_records_made_before_a_clock_was_set_stay(store: Store) -> None:
    store.upsert(rows(a_call(1, NOW - 12.0), a_call(2, NOW - FIRST_SOUND_CLOCK)), [], HERE)
    run(Retention(store, Limits(DAY_S), clock=(clock := Clock()), now=Wall(clock)))
    assert store.get("c1") is not None
    assert store.get("c2") is None


def test_a_gateway_with_a_wrong_clock_never_convinces_a_store_that_another_one_uses(store: Store) -> None:
    store.upsert(rows(a_call(1, 60.0)), [], HERE)
    clock = Clock()
    right = Retention(store, Limits(3600.0), clock=clock, now=Wall(clock))
    wrong = Retention(store, Limits(3600.0), clock=clock, now=Wall(clock, 400 * DAY_S))
    for _ in range(80):  # twice as long as it would take alone
        clock.now_s += REST_S
        run(wrong)
        run(right)
    assert (store.count(), right.doubt, wrong.doubt != "") == (1, "", True)
