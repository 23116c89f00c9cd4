"""Rollups are made here, of the records, in steps so small that nobody who writes or reads has to wait for one.

A minute stands for the calls that were *received* in it. It is always counted anew as a whole, so that a record which
comes late, ends late, or is deleted is just another change; hours are made of minutes, and days of hours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import BigInteger, Connection, Table, and_, cast, delete, func, insert, literal, select, update

from penstock.core.course import Course, active, end_s
from penstock.core.sums import NUMBERS, Sums
from penstock.store.queries.courses import (
    HAS_ENDED,
    Devices,
    overlapping,
    read_courses,
    read_devices,
    received,
)
from penstock.store.queries.folding import Curves, Group, Share, Speeds, fold_sums, narrowed
from penstock.store.queries.packing import packed, unpacked
from penstock.store.queries.tables import (
    DAY,
    DIMENSIONS,
    HOUR,
    MINUTE,
    VERSION,
    Grouping,
    metadata,
    rollup_curves,
    rollup_dirty,
    rollup_state,
    rollup_sums,
)
from penstock.store.queries.triggers import create_triggers, has_rollups
from penstock.store.schema import calls

STEP_S = 0.05
"""A step goes on for so long; then whoever writes has a turn."""

SETTLED_AFTER_S = {MINUTE: 60.0, HOUR: 300.0, DAY: 600.0}
"""So long after the end of a span, and after it was rolled up the last time, it is rolled up: until then, more of its
calls are about to end, and all of it would have to be done again."""

DUE_AT_ONCE = 500
REST_S = 5.0
"""How long it is left alone when nothing was due."""

_FINER = {HOUR: MINUTE, DAY: HOUR}
_COARSER = {MINUTE: HOUR, HOUR: DAY}
_LOCK = 0x726F6C6C

_NUMBERS = tuple(rollup_sums.c[name] for name in NUMBERS)
_GROUP = tuple(rollup_sums.c[name] for name in DIMENSIONS)
_CURVE_GROUP = tuple(rollup_curves.c[name] for name in DIMENSIONS)
_SHARES = tuple(rollup_curves.c[name] for name in Share._fields)


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
        self._rolled_at_s: dict[tuple[int, int], float] = {}

    def prepare(self) -> None:
        """Make the tables, or make them anew if they are of another version. Idempotent. Raises StoreAway."""
        with self._store.transaction() as connection:
            if has_rollups(connection) and _state(connection, "version") == VERSION:
                create_triggers(connection)
                return
            metadata.drop_all(connection)
            metadata.create_all(connection)
            connection.execute(insert(rollup_state).values(name="version", value=VERSION))
            create_triggers(connection)
            _mark_all(connection)

    def rebuild(self) -> None:
        """Forget all rollups, and mark every minute of the records as not yet rolled up. Raises StoreAway."""
        with self._store.transaction() as connection:
            for table in (rollup_sums, rollup_curves, rollup_dirty):
                connection.execute(delete(table))
            _mark_all(connection)
        self._rolled_at_s.clear()
        self._rests_until_s = 0.0

    def step(self) -> bool:
        """Roll up a little of what is due; True = there is more. Raises StoreAway."""
        if self._clock() < self._rests_until_s:
            return False
        end_s = self._clock() + STEP_S
        with self._store.transaction() as connection:
            if not _is_ours(connection):
                return False
            devices = read_devices(connection)
            for span_s in self._settled_after_s:
                for start in self._due(connection, span_s):
                    if span_s == MINUTE:
                        self._roll_minute(connection, start, devices)
                    else:
                        _roll_coarse(connection, span_s, start)
                    self._rolled_at_s[span_s, start] = self._clock()
                    if self._clock() >= end_s:
                        return True
        self._forget_old()
        self._rests_until_s = self._clock() + self._rest_s
        return False

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

    def _roll_minute(self, connection: Connection, start: int, devices: Devices) -> None:
        is_changed = _clean(connection, MINUTE, start)
        courses = list(read_courses(connection, HAS_ENDED, received(start, start + MINUTE)))
        beside = _beside(connection, courses, _note_longest(connection, courses))
        _put_sums(connection, MINUTE, start, fold_sums(courses, Speeds(beside, devices)))
        hours = _put_minute_curves(connection, start, Curves(courses, MINUTE))
        _mark(connection, HOUR, {*hours, start // HOUR * HOUR})
        if is_changed:  # those beside them were measured without them
            minutes = {int(course.received_at // MINUTE) * MINUTE for course in beside} - {start}
            _mark(connection, MINUTE, minutes, is_changed=False)


# Taking turns, and what is due.


def _is_ours(connection: Connection) -> bool:
    """Whether no other bookkeeper of a shared database is at it. SQLite has one writer anyway."""
    if connection.dialect.name == "sqlite":
        return True
    return bool(connection.execute(select(func.pg_try_advisory_xact_lock(_LOCK))).scalar_one())


def _state(connection: Connection, name: str) -> float | None:
    asked = select(rollup_state.c.value).where(rollup_state.c.name == name)
    found: float | None = connection.execute(asked).scalar_one_or_none()
    return found


def _mark_all(connection: Connection) -> None:
    minute = cast(func.floor(calls.c.received_at / MINUTE), BigInteger) * MINUTE
    if connection.dialect.name == "sqlite":  # which may lack floor(), and rounds towards zero
        minute = cast(calls.c.received_at / MINUTE, BigInteger) * MINUTE
    every = select(literal(MINUTE), minute).where(HAS_ENDED).distinct()
    connection.execute(insert(rollup_dirty).from_select(["span_s", "start_at"], every))


def _clean(connection: Connection, span_s: int, start: int) -> bool:
    """Say that a span says what the records say *now*; gives whether its own records had changed."""
    columns = rollup_dirty.c
    asked = select(columns.number, columns.is_changed).where(columns.span_s == span_s, columns.start_at == start)
    found = connection.execute(asked).all()
    connection.execute(delete(rollup_dirty).where(columns.number.in_([row.number for row in found])))
    return any(row.is_changed for row in found)


def _mark(connection: Connection, span_s: int, starts: set[int], *, is_changed: bool = True) -> None:
    if not starts:
        return
    known = select(rollup_dirty.c.start_at).where(
        rollup_dirty.c.span_s == span_s, rollup_dirty.c.start_at.between(min(starts), max(starts))
    )
    new = sorted(starts - set(connection.execute(known).scalars()))
    if new:
        rows = [{"span_s": span_s, "start_at": start, "is_changed": int(is_changed)} for start in new]
        connection.execute(insert(rollup_dirty), rows)


# A minute, of its calls.


def _note_longest(connection: Connection, courses: Sequence[Course]) -> float:
    """How long the longest call ever took, these among them."""
    known = _state(connection, "longest_s")
    longest_s = max([known or 0.0, *(end_s(course, 0.0) for course in courses)])
    if known is None:
        connection.execute(insert(rollup_state).values(name="longest_s", value=longest_s))
    elif longest_s > known:
        connection.execute(update(rollup_state).where(rollup_state.c.name == "longest_s").values(value=longest_s))
    return longest_s


def _beside(connection: Connection, courses: Sequence[Course], longest_s: float) -> list[Course]:
    """Everything that ran while one of these did, they themselves included."""
    slots = [slot for course in courses if (slot := active(course, 0.0)) is not None]
    if not slots:
        return []
    first, last = min(start for start, _ in slots), max(end for _, end in slots)
    return list(read_courses(connection, overlapping(first, last, longest_s)))


def _put_sums(connection: Connection, span_s: int, start: int, folded: Mapping[Group, Sums]) -> None:
    """As every grouping tells them, instead of what was there."""
    rows = []
    for grouping in Grouping:
        told: dict[Group, Sums] = {}
        for group, sums in folded.items():
            told.setdefault(narrowed(group, grouping), Sums()).merge(sums)
        rows += [(grouping.value, span_s, start, *group, *packed(sums)) for group, sums in told.items()]
    there = and_(rollup_sums.c.span_s == span_s, rollup_sums.c.start_at == start)
    for grouping in Grouping:  # its column is the first of the key
        connection.execute(delete(rollup_sums).where(rollup_sums.c.grouping_id == grouping.value, there))
    _insert(connection, rollup_sums, rows)


def _put_minute_curves(connection: Connection, start: int, curves: Curves) -> set[int]:
    """Gives the hours that were, or are, touched."""
    columns = rollup_curves.c
    own = and_(columns.span_s == MINUTE, columns.received == start)
    touched = set(connection.execute(select(columns.at).where(own).distinct()).scalars())
    connection.execute(delete(rollup_curves).where(own))
    rows = []
    for grouping in Grouping:
        told: dict[tuple[int, Group], Share] = {}
        for (at, group), share in curves.shares.items():
            where = at, narrowed(group, grouping)
            told[where] = told[where].plus(share) if where in told else share
        rows += [(grouping.value, MINUTE, at, start, *group, *share) for (at, group), share in told.items()]
        touched |= {at for at, _ in told}
    _insert(connection, rollup_curves, rows)
    return {at // HOUR * HOUR for at in touched}


def _insert(connection: Connection, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
    if rows:
        names = table.c.keys()
        connection.execute(insert(table), [dict(zip(names, row, strict=True)) for row in rows])


# An hour or a day, of what is finer.


def _roll_coarse(connection: Connection, span_s: int, start: int) -> None:
    _clean(connection, span_s, start)
    finer = _FINER[span_s]
    columns = rollup_sums.c
    for grouping in Grouping:
        inside = and_(
            columns.grouping_id == grouping.value,
            columns.span_s == finer,
            columns.start_at >= start,
            columns.start_at < start + span_s,
        )
        asked = select(*_GROUP, *_NUMBERS, columns.spreads, columns.cells).where(inside)
        told: dict[Group, Sums] = {}
        for row in connection.execute(asked):
            told.setdefault(Group(*row[:4]), Sums()).merge(unpacked(row[4:]))
        at = and_(columns.grouping_id == grouping.value, columns.span_s == span_s, columns.start_at == start)
        connection.execute(delete(rollup_sums).where(at))
        rows = [(grouping.value, span_s, start, *group, *packed(sums)) for group, sums in told.items()]
        _insert(connection, rollup_sums, rows)
        _roll_coarse_curves(connection, grouping, span_s, start)
    if span_s in _COARSER:
        coarser = _COARSER[span_s]
        _mark(connection, coarser, {start // coarser * coarser})


def _roll_coarse_curves(connection: Connection, grouping: Grouping, span_s: int, start: int) -> None:
    columns = rollup_curves.c
    of_grouping = columns.grouping_id == grouping.value
    connection.execute(delete(rollup_curves).where(of_grouping, columns.span_s == span_s, columns.at == start))
    inside = and_(columns.span_s == _FINER[span_s], columns.at >= start, columns.at < start + span_s)
    labelled = (literal(value).label(name) for name, value in (("a", grouping.value), ("b", span_s), ("c", start)))
    summed = (func.sum(column) for column in _SHARES)
    made = select(*labelled, literal(0), *_CURVE_GROUP, *summed).where(of_grouping, inside).group_by(*_CURVE_GROUP)
    connection.execute(insert(rollup_curves).from_select(rollup_curves.c.keys(), made))
