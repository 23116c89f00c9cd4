"""The width of a timeline's buckets: as fine as people like to see it, unless there is too much to read for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.core.accounting.course import Course
from penstock.store.queries.asking import Asked
from penstock.store.queries.courses import EVERYTHING
from penstock.store.queries.curve_reading import MAX_GROUPS, read_curves
from penstock.store.queries.roller import Roller
from penstock.store.queries.snapshot import Snapshot
from penstock.store.queries.tables import HOUR, MINUTE
from penstock.store.queries.timeline import MANY_CALLS, timeline
from penstock.store.sqlite import SqliteStore
from tests.core.accounting.courses import NOW
from tests.store.queries.histories import fill

WINDOW_S = 1800.0


def a_store(folder: Path, count: int) -> SqliteStore:
    """With calls of a second, evenly over the window."""
    store = SqliteStore(folder / "penstock.db")
    store.prepare()
    moments = (NOW - WINDOW_S + WINDOW_S * number / count for number in range(count))
    fill(
        store,
        (
            Course(f"c{at}", "g1", at, "a", None, None, "completed", enqueued_s=0.0, admitted_s=0.0, done_s=1.0)
            for at in moments
        ),
    )
    Roller(store).prepare()
    return store


@pytest.mark.parametrize(("count", "bucket_s"), [(MANY_CALLS, 5), (MANY_CALLS + 1, MINUTE)])
def test_so_many_calls_are_not_read_one_by_one(tmp_path: Path, count: int, bucket_s: int) -> None:
    store = a_store(tmp_path, count)
    with store.transaction() as connection:
        told = timeline(Snapshot(connection, NOW), Asked(NOW - WINDOW_S, NOW))
    assert told.bucket_s == bucket_s
    assert len(told.buckets) == WINDOW_S / bucket_s
    assert sum(told.totals.active) * bucket_s == pytest.approx(count, rel=0.01)
    store.close()


def test_of_many_calls_no_bucket_becomes_finer(tmp_path: Path) -> None:
    store = a_store(tmp_path, MANY_CALLS + 1)
    with store.transaction() as connection:
        snapshot = Snapshot(connection, NOW)
        widths = [timeline(snapshot, Asked(NOW - span_s, NOW)).bucket_s for span_s in (HOUR, 6 * HOUR, 24 * HOUR)]
    assert widths == [MINUTE, MINUTE, 300]
    store.close()


def test_of_keys_without_end_the_first_have_curves_and_the_others_one_together(tmp_path: Path) -> None:
    """Callers name keys as they like: 60 000 of them took 6 GB."""
    store = SqliteStore(tmp_path / "penstock.db")
    store.prepare()
    count = MAX_GROUPS + 50
    fill(
        store,
        (
            Course(
                f"c{n}", "g1", NOW - 100, "a", f"k{n}", None, "completed", enqueued_s=0.0, admitted_s=0.0, done_s=1.0
            )
            for n in range(count)
        ),
    )
    with store.transaction() as connection:
        snapshot = Snapshot(connection, NOW)
        curves = read_curves(snapshot, Asked(NOW - WINDOW_S, NOW).grid, EVERYTHING, ("model", "key"))
        told = timeline(snapshot, Asked(NOW - WINDOW_S, NOW))
    assert len(curves) <= MAX_GROUPS + 1
    assert sum(told.totals.active) * told.bucket_s == pytest.approx(count)
    assert sum(map(sum, told.by_key_active.values())) * told.bucket_s == pytest.approx(count)
    store.close()
