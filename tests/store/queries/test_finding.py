"""Pages of calls are the same whatever is rolled up, and nobody looks where rollups say that there are none."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.core.accounting.course import Course
from penstock.store.queries.courses import EVERYTHING, Filter
from penstock.store.queries.finding import stretches
from penstock.store.queries.lists import requests
from penstock.store.queries.roller import Roller
from penstock.store.queries.snapshot import Snapshot
from penstock.store.queries.tables import DAY, HOUR, SPANS
from penstock.store.sqlite import SqliteStore
from tests.core.accounting.courses import NOW, histories
from tests.store.queries.histories import fill, is_chosen
from tests.store.queries.test_rollups import SqliteFolder, a_roller, days, moved, roll_all

FILTERS = (EVERYTHING, Filter(model="a"), Filter(key="", outcome="completed"), Filter(workload="nightly", model="b"))


def pages(snapshot: Snapshot, which: Filter, limit: int, *, only_open: bool) -> list[str]:
    """The ids of all pages."""
    found: list[str] = []
    cursor = None
    while True:
        page = requests(snapshot, None, which, limit, cursor, only_open=only_open)
        assert len(page.requests) <= limit
        found += [row.id for row in page.requests]
        if page.next is None:
            return found
        cursor = page.next


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories(10), st.lists(days, min_size=1), st.integers(0, 10), st.integers(1, 4))
def test_pages_show_every_call_once_and_in_order(
    history: list[Course], shifts: list[float], cut: int, limit: int
) -> None:
    history = moved(history, shifts)
    with SqliteFolder() as store:
        fill(store, history[:cut])
        roll_all(a_roller(store))
        fill(store, history[cut:])  # some of it is not rolled up yet
        with store.transaction() as connection:
            snapshot = Snapshot(connection, NOW)
            for which in FILTERS:
                those = [course for course in history if is_chosen(course, which)]
                for only_open in (False, True):
                    shown = [each for each in those if each.is_open or not only_open]
                    newest_first = sorted(shown, key=lambda each: (each.received_at, each.id), reverse=True)
                    expected = [course.id for course in newest_first]
                    assert pages(snapshot, which, limit, only_open=only_open) == expected


def test_of_a_key_that_called_once_one_hour_is_read(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "penstock.db")
    store.prepare()
    usual = [
        Course(f"c{number}", "g1", NOW - HOUR * number, "a", "ann", None, "completed", done_s=1.0)
        for number in range(24 * 30)
    ]
    once = usual[500]._replace(id="once", key="bob")
    fill(store, [*usual, once])
    roller = Roller(store, now=lambda: NOW + 30 * DAY, settled_after_s=dict.fromkeys(SPANS, 0.0), rest_s=0.0)
    roller.prepare()
    roll_all(roller)
    with store.transaction() as connection:
        snapshot = Snapshot(connection, NOW)
        found = list(stretches(snapshot, 0.0, NOW + 1, Filter(key="bob")))
        assert [row.id for row in requests(snapshot, None, Filter(key="bob"), 5, None, only_open=False).requests] == [
            "once"
        ]
    read_s = sum(piece.end - piece.start for piece in found)
    assert any(piece.start <= once.received_at < piece.end for piece in found)
    assert read_s <= 3 * HOUR  # that one, and both ends of what there is
    store.close()
