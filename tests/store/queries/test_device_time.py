"""GPU-seconds asked of a store, against every moment of a history shared out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.core.accounting.course import Course, active
from penstock.core.accounting.load_record import LoadRecord
from penstock.store.base import Checkpoint
from penstock.store.queries.asking import Asked
from penstock.store.queries.courses import Filter
from penstock.store.queries.device_time import gpu_seconds
from penstock.store.queries.folding import Group, group_of
from penstock.store.queries.snapshot import Snapshot
from tests.core.accounting.courses import NOW, histories
from tests.store.queries.histories import AnyStore, is_chosen, loads_as_rows, record_of
from tests.store.queries.test_rollups import SqliteFolder, a_roller, roll_all, store
from tests.store.some_calls import rows

__all__ = ["store"]

HERE = Checkpoint("g1", "00000001-b1.jsonl", 1)
FILTERS = (Filter(), Filter(model="a"), Filter(key="ann", outcome="completed"))


def a_load(model: str, devices: list[str], started_at: float = 1_600_000_000.0, gateway_id: str = "g1") -> LoadRecord:
    load_id = f"{gateway_id}-{model}-{started_at}"
    load = LoadRecord(load_id, gateway_id, "b1", model, started_at, engine=model, devices=devices)
    load.outcome, load.done_s = "ready", 1.0
    return load


LOADS = [a_load("a", ["gpu0", "ram"]), a_load("a", ["gpu1"], NOW - 200), a_load("b", ["gpu0", "gpu1"])]
"""a moved from one device to the other; of g2 nothing is known."""


def fill(store: AnyStore, history: Sequence[Course], loads: Sequence[LoadRecord] = ()) -> None:
    """With the engine that each call was served by, which has its model's name."""
    records = []
    for course in history:
        record = record_of(course)
        record.engine = course.model if course.admitted_s is not None else None
        records.append(record)
    store.upsert(rows(*records), [], HERE, loads=loads_as_rows(loads) if loads else [])


def devices_of(course: Course, start: float) -> set[str]:
    if course.gateway_id != "g1" or course.model is None:
        return set()
    return {"gpu0", "gpu1"} if course.model == "b" else {"gpu0"} if start < NOW - 200 else {"gpu1"}


def shared_out(history: Sequence[Course], asked: Asked) -> dict[Group, float]:
    slots = [(course, slot) for course in history if (slot := active(course, NOW)) is not None]
    found: dict[Group, float] = {}
    for course, (start, end) in slots:
        if course.is_open or not asked.since <= course.received_at < asked.until or not is_chosen(course, asked.filter):
            continue
        if own := devices_of(course, start):
            found.setdefault(group_of(course), 0.0)
        edges = sorted({start, end, *(min(max(edge, start), end) for _, slot in slots for edge in slot)})
        for device in own:
            for since, until in pairwise(edges):
                beside = sum(
                    device in devices_of(other, slot[0]) and slot[0] <= since and until <= slot[1]
                    for other, slot in slots
                )
                found[group_of(course)] += (until - since) / beside
    return found


def compare(store: AnyStore, history: Sequence[Course], since: float, until: float) -> None:
    with store.transaction() as connection:
        snapshot = Snapshot(connection, NOW)
        for each in FILTERS:
            asked = Asked(since, until, filter=each)
            assert gpu_seconds(snapshot, asked) == pytest.approx(shared_out(history, asked), abs=1e-6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories(10), st.integers(-500, 0), st.integers(1, 500))
def test_every_moment_of_a_device_is_shared_out_evenly(history: list[Course], start: int, length: int) -> None:
    since, until = NOW + start, NOW + start + length
    with SqliteFolder() as store:
        fill(store, history, LOADS)
        compare(store, history, since, until)
        roll_all(a_roller(store))
        compare(store, history, since, until)


def busy_history() -> list[Course]:
    """Long ones and short ones on two models; one began before any window and runs still."""
    return [
        Course(
            f"c{number}", "g1", NOW - 7200 + 60.0 * number, "ab"[number % 2], "ann", None,
            None if number == 1 else "completed", enqueued_s=0.0, admitted_s=1.0, first_token_s=2.0,
            done_s=None if number == 1 else 5.0 + 90.0 * (number % 5) ** 2,
        )
        for number in range(120)
    ]  # fmt: skip


def test_both_databases_say_so(store: AnyStore) -> None:
    history = busy_history()
    fill(store, history, LOADS)
    compare(store, history, NOW - 3600, NOW - 1800)
    roll_all(a_roller(store))
    compare(store, history, NOW - 3600, NOW - 1800)
    compare(store, history, NOW - 10_000, NOW)


def alone(engine: str | None, *loads: LoadRecord) -> dict[Group, float]:
    """What one call of ten seconds had."""
    course = Course("c", "g1", NOW - 100, "a", None, None, "completed", enqueued_s=0.0, admitted_s=0.0, done_s=10.0)
    record = replace(record_of(course), engine=engine)
    with SqliteFolder() as store:
        store.upsert(rows(record), [], HERE, loads=loads_as_rows(loads))
        with store.transaction() as connection:
            return gpu_seconds(Snapshot(connection, NOW), Asked(NOW - 1000, NOW))


def test_two_devices_for_ten_seconds_are_twenty() -> None:
    assert list(alone("a", a_load("a", ["gpu0", "gpu1"])).values()) == [pytest.approx(20.0)]


def test_memory_of_the_host_beside_a_gpu_is_no_device_that_works_and_alone_it_is_the_machine() -> None:
    assert list(alone("a", a_load("a", ["ram", "gpu0"])).values()) == [pytest.approx(10.0)]
    assert list(alone("a", a_load("a", ["ram"])).values()) == [pytest.approx(10.0)]


def test_where_no_load_tells_the_devices_it_is_unknown() -> None:
    assert alone("remote", a_load("a", ["gpu0"])) == {}
    assert alone(None, a_load("a", ["gpu0"])) == {}
    assert alone("a", a_load("a", [])) == {}


def test_a_load_that_was_deleted_is_made_up_for_by_the_first_that_is_known() -> None:
    assert list(alone("a", a_load("a", ["gpu0"], NOW - 50)).values()) == [pytest.approx(10.0)]
