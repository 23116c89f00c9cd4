"""Rollups are made here, of the records, in steps so small that nobody who writes or reads has to wait for one.

The smallest step is a minute, some 25 us for each of its calls. It stands for those that were *received* in it, and is
always counted anew as a whole, so that a record which comes late, ends late, or is deleted is just another change;
hours are made of minutes, and days of hours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain, pairwise
from typing import Protocol

from sqlalchemy import Connection, and_, insert, select

from penstock.core.accounting.course import Course
from penstock.core.accounting.sums import Sums
from penstock.store.queries.courses import (
    HAS_ENDED,
    IS_OPEN,
    Devices,
    reach,
    read_courses,
    read_devices,
    read_overlapping,
    received,
)
from penstock.store.queries.dirty import clean, is_ours, mark, mark_all, minutes_that_go_on, note_longest
from penstock.store.queries.folding import Curves, Group, Speeds, fold_sums
from penstock.store.queries.tables import (
    DAY,
    HOUR,
    MINUTE,
    SPANS,
    VERSION,
    WEEK,
    metadata,
    rollup_dirty,
    rollup_state,
)
from penstock.store.queries.triggers import create_triggers, has_rollups
from penstock.store.queries.writing import minutes_reached, put_minute_curves, put_minute_sums, roll_coarse

STEP_S = 0.05
"""A step goes on for so long; then whoever writes has a turn."""

SETTLED_AFTER_S = {MINUTE: 60.0, HOUR: 300.0, DAY: 600.0, WEEK: 1200.0}
"""So long after the end of a span, and after it was rolled up the last time, it is rolled up: until then, more of its
calls are about to end, and all of it would have to be done again."""

OVER_AFTER_S = 5.0
"""A minute of which no call goes on is rolled up so soon: where calls are short and many, all of them have ended, and
questions have to read them as long as it is not. Within this time what has ended is in the store."""

DUE_AT_ONCE = 500
MAX_BATCH = 64
NEAR_S = 300
REST_S = 5.0
"""How long it is left alone when nothing was due."""


class Writable(Protocol):
    def transaction(self) -> AbstractContextManager[Connection]:
        """Everything in it is written, or nothing. Raises StoreAway."""


class Roller:
    """Keeps the rollups of one store. Several may: one of them works at a time."""

    def __init__(
        self,
        store: Writable,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        settled_after_s: dict[int, float] = SETTLED_AFTER_S,
        rest_s: float = REST_S,
    ) -> None:
        self._store = store
        self._now = now
        self._clock = clock
        self._settled_after_s = settled_after_s
        self._rest_s = rest_s
        self._rests_until_s = 0.0
        self._batch = 1
        self._rolled_at_s: dict[tuple[int, int], float] = {}

    def prepare(self) -> None:
        """Make the tables, or make them anew if they are of another version. Idempotent. Raises StoreAway."""
        with self._store.transaction() as connection:
            if has_rollups(connection):
                create_triggers(connection)
            else:
                _make_anew(connection)

    def rebuild(self) -> None:
        """Forget all rollups, and mark every minute of the records as not yet rolled up. Raises StoreAway."""
        with self._store.transaction() as connection:
            _make_anew(connection)
        self._rolled_at_s.clear()
        self._rests_until_s = 0.0

    def step(self) -> bool:
        """Roll up a little of what is due; True = there is more. Raises StoreAway."""
        if self._clock() < self._rests_until_s:
            return False
        end_s = self._clock() + STEP_S
        with self._store.transaction() as connection:
            if not is_ours(connection):
                return False
            devices = read_devices(connection)
            for starts in self._in_batches(self._due(connection, MINUTE)):
                self._roll_minutes(connection, starts, devices)
                if self._clock() >= end_s:
                    return True
            for span_s in SPANS[1:]:
                for start in self._due(connection, span_s):
                    roll_coarse(connection, span_s, start)
                    self._rolled_at_s[span_s, start] = self._clock()
                    if self._clock() >= end_s:
                        return True
        self._forget_old()
        self._rests_until_s = self._clock() + self._rest_s
        return False

    def _in_batches(self, starts: Sequence[int]) -> Iterator[Sequence[int]]:
        """As many minutes at once as take about a step: most of the cost of one with few calls is that it is one."""
        at = 0
        while at < len(starts):
            began_s = self._clock()
            batch = neighbours(starts[at : at + self._batch])
            yield batch
            at += len(batch)
            took_s = self._clock() - began_s
            if took_s < STEP_S / 2:
                self._batch = min(2 * self._batch, MAX_BATCH)
            elif took_s > STEP_S:
                self._batch = max(1, self._batch // 2)

    def _due(self, connection: Connection, span_s: int) -> list[int]:
        """The newest first: that is what people look at."""
        settled_after_s, now_s = self._settled_after_s[span_s], self._clock()
        columns = rollup_dirty.c
        is_settled = columns.start_at <= self._now() - span_s - settled_after_s
        if span_s == MINUTE and settled_after_s > OVER_AFTER_S:
            is_over = columns.start_at <= self._now() - span_s - OVER_AFTER_S
            is_settled |= and_(is_over, columns.start_at.not_in(minutes_that_go_on(connection)))
        asked = select(columns.start_at).where(columns.span_s == span_s, is_settled).distinct()
        starts = connection.execute(asked.order_by(columns.start_at.desc()).limit(DUE_AT_ONCE)).scalars()
        return [start for start in starts if self._rolled_at_s.get((span_s, start), -1e9) + settled_after_s <= now_s]

    def _forget_old(self) -> None:
        before_s = self._clock() - max(self._settled_after_s.values())
        self._rolled_at_s = {due: at for due, at in self._rolled_at_s.items() if at > before_s}

    def _roll_minutes(self, connection: Connection, starts: Sequence[int], devices: Devices) -> None:
        """Calls are read twice, one by one: those of a minute may be too many to be held."""
        changed = clean(connection, MINUTE, starts)
        first, last = min(starts), max(starts) + MINUTE
        inside = (HAS_ENDED, received(first, last))
        longest_s, end = reach(connection, *inside)
        longest_s = note_longest(connection, longest_s)
        reached = minutes_reached(connection, starts)  # by calls that may be gone by now
        end = max(end, last, max(reached, default=0) + MINUTE)

        speeds, minutes = Speeds(devices), set[int]()
        before = read_overlapping(connection, first, first, longest_s)
        for course in chain(before, read_courses(connection, HAS_ENDED, received(first, end))):
            speeds.add(course)
            minutes.add(_minute_of(course))
        speeds.add_all(read_courses(connection, IS_OPEN))

        folded = {start: _Minute() for start in starts}
        for course in read_courses(connection, *inside):
            if (minute := folded.get(_minute_of(course))) is not None:
                fold_sums(minute.sums, course, speeds)
                minute.curves.add(course)
        put_minute_sums(connection, {start: minute.sums for start, minute in folded.items()})
        reached |= put_minute_curves(connection, {start: minute.curves for start, minute in folded.items()})
        mark(connection, HOUR, {at // HOUR * HOUR for at in reached.union(starts)})
        if changed:  # those beside them were measured without them
            mark(connection, MINUTE, minutes - set(starts), is_changed=False)
        for start in starts:
            self._rolled_at_s[MINUTE, start] = self._clock()


class _Minute:
    """What its calls come to."""

    __slots__ = ("curves", "sums")

    def __init__(self) -> None:
        self.sums: dict[Group, Sums] = {}
        self.curves = Curves(MINUTE)


def neighbours(starts: Sequence[int]) -> Sequence[int]:
    """The first of these minutes, and those that follow as long as they lie close together, whichever way they go.

    What lies between two minutes of a batch is read, too: it may be a few minutes, but not the ninety days between
    the newest and those that retention has just emptied.
    """
    far = (at for at, (one, other) in enumerate(pairwise(starts), 1) if abs(other - one) > NEAR_S)
    return starts[: next(far, len(starts))]


def _make_anew(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":  # of a long history, this takes its time; autovacuum gives way after 1 s
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '3s'")
    metadata.drop_all(connection)
    metadata.create_all(connection)
    connection.execute(insert(rollup_state).values(name="version", value=VERSION))
    create_triggers(connection)
    mark_all(connection)


def _minute_of(course: Course) -> int:
    return int(course.received_at // MINUTE) * MINUTE
