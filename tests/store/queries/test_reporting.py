"""A report says what the questions say that define its figures, and its parts add up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from penstock.config.store_address import sqlite_address
from penstock.core.accounting.course import Course
from penstock.store.base import StoreAway
from penstock.store.queries import lists, questions
from penstock.store.queries.answers import Usage
from penstock.store.queries.asking import DAY_S, Asked
from penstock.store.queries.queries import Queries
from penstock.store.queries.reporting import NoTables, Report, Spent, part_s, report
from penstock.store.queries.snapshot import Snapshot
from penstock.store.schema import calls
from penstock.store.sqlite import SqliteStore
from tests.core.accounting.courses import NOW, histories
from tests.store.queries.histories import AnyStore
from tests.store.queries.test_device_time import LOADS, a_load, busy_history, fill
from tests.store.queries.test_rollups import SqliteFolder, a_roller, roll_all, store

__all__ = ["store"]

COUNTS = ("requests", "demand", "retries", "completed", "abandoned", "errored", "rejected", "cancelled_queued")
TOKENS = ("prompt_tokens", "cached_tokens", "completion_tokens")


def asked_of(store: AnyStore, asked: Asked) -> Report:
    with store.transaction() as connection:
        return report(Snapshot(connection, NOW), asked)


def added_up(rows: Sequence[Usage]) -> dict[str, int]:
    return {name: sum(getattr(row, name) or 0 for row in rows) for name in (*COUNTS, *TOKENS)}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories(10), st.integers(-500, 0), st.integers(1, 500))
def test_every_dimension_and_the_parts_over_time_add_up_to_the_whole(
    history: list[Course], start: int, length: int
) -> None:
    with SqliteFolder() as store:
        fill(store, history, LOADS)
        roll_all(a_roller(store))
        found = asked_of(store, Asked(NOW + start, NOW + start + length))
    whole = added_up([found.total])
    for rows in (found.models, found.keys, found.workloads):
        assert added_up(rows) == whole
        assert sum(row.gpu_s or 0.0 for row in rows) == pytest.approx(found.total.gpu_s or 0.0, abs=0.1)
        assert sum(row.service_s for row in rows) == pytest.approx(found.total.service_s, abs=0.1)
    assert added_up(found.parts) == whole
    assert (found.parts[0].since, found.parts[-1].until) == (NOW + start, NOW + start + length)


def test_its_rows_are_those_of_the_questions(store: AnyStore) -> None:
    fill(store, busy_history(), LOADS)
    asked = Asked(NOW - 7200, NOW)
    with store.transaction() as connection:
        snapshot = Snapshot(connection, NOW)
        found = report(snapshot, asked)
        models = {row.model: row for row in questions.models(snapshot, asked).models}
        keys = {row.key: row for row in questions.consumers(snapshot, asked).consumers}
        workloads = {row.workload: row for row in questions.workloads(snapshot, asked).workloads}
        loads = {each.model: each for each in lists.loads_of(snapshot, asked, 9, None).models}
    shown: list[tuple[list[Spent], dict[str, object]]] = [
        (found.models, {**models}), (found.keys, {**keys}), (found.workloads, {**workloads})
    ]  # fmt: skip
    for rows, same in shown:
        assert {row.name for row in rows} == same.keys()
        for row in rows:
            for name in (*COUNTS, *TOKENS, "outcomes", "running", "waiting", "energy_j", "service_s", "latency_ms"):
                assert getattr(row, name) == getattr(same[row.name], name), name
    assert {row.name: row.loads for row in found.models if row.loads} == {
        name: each.loads for name, each in loads.items()
    }
    assert found.first_at == NOW - 7200


def test_loads_are_their_models_and_those_of_the_key_whose_call_began_them(store: AnyStore) -> None:
    for_ann = a_load("a", ["gpu0"], NOW - 300)
    for_ann.call_id, for_ann.done_s = "c0", 12.5
    preloaded = a_load("c", ["gpu0"], NOW - 400)
    fill(store, busy_history()[:1], [for_ann, preloaded])
    found = asked_of(store, Asked(NOW - 10_000, NOW))
    assert {row.name: (row.loads, row.load_s) for row in found.models} == {"a": (1, 12.5), "c": (1, 1.0)}
    assert {row.name: (row.loads, row.load_s) for row in found.keys} == {"ann": (1, 12.5)}
    assert {row.name: (row.loads, row.load_s) for row in found.workloads} == {"(untagged)": (1, 12.5)}
    assert (found.total.loads, found.total.load_s) == (2, 13.5)


def test_what_is_open_for_more_than_a_day_is_counted_as_odd(store: AnyStore) -> None:
    forgotten = Course("old", "g1", NOW - 2 * DAY_S, "a", None, None, None, enqueued_s=0.0, admitted_s=0.0)
    fill(store, [forgotten, *busy_history()])
    assert asked_of(store, Asked(NOW - 3600, NOW)).long_open == 1


def test_an_empty_window_has_a_total_of_nothing(store: AnyStore) -> None:
    found = asked_of(store, Asked(NOW - 7 * DAY_S, NOW))
    assert (found.total.requests, found.total.gpu_s, found.first_at) == (0, None, None)
    assert (found.models, found.keys, found.workloads) == ([], [], [])
    assert len(found.parts) in (7, 8)


@pytest.mark.parametrize(
    ("last_s", "width_s"), [(1800, 60), (DAY_S, 3600), (7 * DAY_S, 86_400), (90 * DAY_S, 7 * 86_400)]
)
def test_parts_are_as_wide_as_can_be_told_apart(last_s: float, width_s: int) -> None:
    assert part_s(Asked(NOW - last_s, NOW)) == width_s


def test_a_database_that_no_gateway_has_used_is_told_from_an_empty_store(tmp_path: Path) -> None:
    (tmp_path / "penstock.db").touch()
    queries = Queries(sqlite_address(tmp_path / "penstock.db"))
    with pytest.raises(NoTables):
        queries.report(Asked(0.0, NOW))
    queries.close()


def test_a_file_that_is_no_database_is_away(tmp_path: Path) -> None:
    (tmp_path / "penstock.db").write_text("# notes, not a database\n" * 100)
    queries = Queries(sqlite_address(tmp_path / "penstock.db"))
    with pytest.raises(StoreAway):
        queries.report(Asked(0.0, NOW))
    queries.close()


def test_it_is_asked_while_somebody_writes(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "penstock.db")
    store.prepare()
    fill(store, busy_history())
    queries = Queries(sqlite_address(tmp_path / "penstock.db"), now=lambda: NOW)
    asked = Asked(NOW - 7200, NOW)
    with store.transaction() as connection:
        connection.execute(delete(calls))
        assert queries.report(asked).total.requests == 120
    assert queries.report(asked).total.requests == 0
    queries.close()
    store.close()
