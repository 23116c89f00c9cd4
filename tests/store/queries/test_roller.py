"""How the rollups are made: in small steps that read little, whatever has changed and when."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, select

from penstock.core.accounting.course import Course
from penstock.store.queries.roller import NEAR_S, Roller, neighbours
from penstock.store.queries.tables import DAY, MINUTE, SPANS, rollup_dirty
from penstock.store.sqlite import SqliteStore
from tests.core.accounting.courses import NOW
from tests.store.queries.histories import fill

minutes = st.sets(st.integers(0, 200)).map(
    lambda numbers: sorted((MINUTE * number for number in numbers), reverse=True)
)


@given(minutes)
def test_minutes_are_rolled_together_that_lie_close_together(starts: list[int]) -> None:
    batches = []
    while starts:
        batch = neighbours(starts)
        assert batch
        assert batch[0] - batch[-1] <= NEAR_S * (len(batch) - 1)
        starts = starts[len(batch) :]
        batches.append(batch)
    assert all(one[-1] - other[0] > NEAR_S for one, other in pairwise(batches))


def a_store(tmp_path: Path, moments: list[float]) -> SqliteStore:
    store = SqliteStore(tmp_path / "penstock.db")
    store.prepare()
    calls = [
        Course(f"c{at}", "g1", at, "a", None, None, "completed", enqueued_s=0.0, admitted_s=0.0, done_s=1.0)
        for at in moments
    ]
    fill(store, calls)
    return store


def test_the_newest_and_the_oldest_minute_are_not_rolled_up_as_if_all_between_them_were_due(tmp_path: Path) -> None:
    store = a_store(tmp_path, [NOW - DAY * day for day in range(60)])
    roller = Roller(store, now=lambda: NOW + DAY, settled_after_s=dict.fromkeys(SPANS, 0.0), rest_s=0.0)
    roller.prepare()
    while roller.step():
        pass
    again = [Course(f"again{at}", "g1", at, "a", None, None, "completed", done_s=1.0) for at in (NOW, NOW - 59 * DAY)]
    fill(store, again)
    looked_at = 0

    def count(_connection: object, _cursor: object, sql: str, values: tuple[object, ...], *_: object) -> None:
        nonlocal looked_at
        if "FROM calls" in sql and "received_at" in sql:
            moments = [value for value in values if isinstance(value, int | float) and value > NOW - 100 * DAY]
            looked_at = max(looked_at, int(max(moments) - min(moments))) if len(moments) > 1 else looked_at

    with store.transaction() as connection:
        event.listen(connection.engine, "before_cursor_execute", count)
    while roller.step():
        pass
    assert 0 < looked_at < DAY
    store.close()


def test_a_store_that_is_older_than_rollups_has_every_minute_of_its_calls_due_once(tmp_path: Path) -> None:
    store = a_store(tmp_path, [NOW, NOW + 1, NOW + 90, NOW + 7 * DAY])
    Roller(store).prepare()
    with store.transaction() as connection:
        columns = rollup_dirty.c
        due = connection.execute(select(columns.span_s, columns.start_at, columns.is_changed)).all()
    starts = [int(at // MINUTE) * MINUTE for at in (NOW, NOW + 90, NOW + 7 * DAY)]
    assert sorted(tuple(row) for row in due) == [(MINUTE, start, 0) for start in starts]
    store.close()


def test_rollups_are_found_by_whole_numbers_as_their_index_has_them(tmp_path: Path) -> None:
    """Beside a number with a fraction PostgreSQL turns every row's into one, and reads on to the end of time."""
    store = a_store(tmp_path, [NOW, NOW + 90])
    roller = Roller(store, now=lambda: NOW + DAY, settled_after_s=dict.fromkeys(SPANS, 0.0), rest_s=0.0)
    roller.prepare()
    asked: list[tuple[object, ...]] = []

    def note(_connection: object, _cursor: object, sql: str, values: tuple[object, ...], *_: object) -> None:
        if "FROM rollup_curves" in sql:
            asked.append(values)

    with store.transaction() as connection:
        event.listen(connection.engine, "before_cursor_execute", note)
    while roller.step():
        pass
    assert asked
    assert not [value for values in asked for value in values if isinstance(value, float)]
    store.close()
