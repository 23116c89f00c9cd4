"""Rollups are made here, of the records, in steps so small that nobody who writes or reads has to wait for one.

A minute stands for the calls that were *received* in it. It is always counted anew as a whole, so that a record which
comes late, ends late, or is deleted is just another change; hours are made of minutes, and days of hours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import (
    Connection,
    delete,
    insert,
    or_,
    select,
)

from penstock.core.course import Course, active
from penstock.store.queries.courses import (
    HAS_ENDED,
    Devices,
    read_courses,
    read_devices,
    read_overlapping,
    received,
)
from penstock.store.queries.dirty import clean, is_ours, mark, mark_all, note_longest
from penstock.store.queries.folding import Curves, Speeds, fold_sums
from penstock.store.queries.tables import (
    DAY,
    HOUR,
    MINUTE,
    SPANS,
    VERSION,
    WEEK,
    metadata,
    rollup_curves,
    rollup_dirty,
    rollup_state,
    rollup_sums,
)
from penstock.store.queries.triggers import create_triggers, has_rollups
from penstock.store.queries.writing import put_minute_curves, put_minute_sums, roll_coarse

STEP_S = 0.05
"""A step goes on for so long; then whoever writes has a turn."""

SETTLED_AFTER_S = {MINUTE: 60.0, HOUR: 300.0, DAY: 600.0, WEEK: 1200.0}
"""So long after the end of a span, and after it was rolled up the last time, it is rolled up: until then, more of its
calls are about to end, and all of it would have to be done again."""

DUE_AT_ONCE = 500
MAX_BATCH = 64
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
                return
            metadata.drop_all(connection)
            metadata.create_all(connection)
            connection.execute(insert(rollup_state).values(name="version", value=VERSION))
            create_triggers(connection)
            mark_all(connection)

    def rebuild(self) -> None:
        """Forget all rollups, and mark every minute of the records as not yet rolled up. Raises StoreAway."""
        with self._store.transaction() as connection:
            for table in (rollup_sums, rollup_curves, rollup_dirty):
                connection.execute(delete(table))
            mark_all(connection)
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
            yield starts[at : at + self._batch]
            at += self._batch
            took_s = self._clock() - began_s
            self._batch = min(2 * self._batch, MAX_BATCH) if took_s < STEP_S / 4 else max(1, self._batch // 2)

    def _due(self, connection: Connection, span_s: int) -> list[int]:
        """The newest first: that is what people look at."""
        settled_after_s, now_s = self._settled_after_s[span_s], self._clock()
        columns = rollup_dirty.c
        is_settled = columns.start_at <= self._now() - span_s - settled_after_s
        asked = select(columns.start_at).where(columns.span_s == span_s, is_settled).distinct()
        starts = connection.execute(asked.order_by(columns.start_at.desc()).limit(DUE_AT_ONCE)).scalars()
        return [start for start in starts if self._rolled_at_s.get((span_s, start), -1e9) + settled_after_s <= now_s]

    def _forget_old(self) -> None:
        before_s = self._clock() - max(self._settled_after_s.values())
        self._rolled_at_s = {due: at for due, at in self._rolled_at_s.items() if at > before_s}

    def _roll_minutes(self, connection: Connection, starts: Sequence[int], devices: Devices) -> None:
        changed = clean(connection, MINUTE, starts)
        by_minute: dict[int, list[Course]] = {start: [] for start in starts}
        inside = or_(*(received(first, last) for first, last in _ranges(starts)))
        for course in read_courses(connection, HAS_ENDED, inside):
            by_minute[_minute_of(course)].append(course)
        courses = [course for some in by_minute.values() for course in some]
        beside = _beside(connection, courses, note_longest(connection, courses))
        speeds = Speeds(beside, devices)
        put_minute_sums(connection, {start: fold_sums(some, speeds) for start, some in by_minute.items()})
        hours = put_minute_curves(connection, {start: Curves(some, MINUTE) for start, some in by_minute.items()})
        mark(connection, HOUR, {*hours, *(start // HOUR * HOUR for start in starts)})
        if changed:  # those beside them were measured without them
            mark(connection, MINUTE, {_minute_of(course) for course in beside} - set(starts), is_changed=False)
        for start in starts:
            self._rolled_at_s[MINUTE, start] = self._clock()


def _minute_of(course: Course) -> int:
    return int(course.received_at // MINUTE) * MINUTE


def _ranges(starts: Sequence[int]) -> list[tuple[int, int]]:
    """Minutes, those that touch put together."""
    joined: list[tuple[int, int]] = []
    for start in sorted(starts):
        if joined and joined[-1][1] == start:
            joined[-1] = joined[-1][0], start + MINUTE
        else:
            joined.append((start, start + MINUTE))
    return joined


def _beside(connection: Connection, courses: Sequence[Course], longest_s: float) -> list[Course]:
    """Everything that ran while one of these did, they themselves included."""
    slots = [slot for course in courses if (slot := active(course, 0.0)) is not None]
    if not slots:
        return []
    first, last = min(start for start, _ in slots), max(end for _, end in slots)
    return list(read_overlapping(connection, first, last, longest_s))
