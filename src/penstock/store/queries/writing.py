"""Rollups are written here: those of minutes, and those of hours and days, which are made of the finer ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    delete,
    func,
    insert,
    literal,
    select,
)

from penstock.core.accounting.sums import NUMBERS, Sums
from penstock.store.queries.dirty import clean, mark, state
from penstock.store.queries.folding import SHARE, Curves, Group, narrowed
from penstock.store.queries.packing import packed, unpacked
from penstock.store.queries.tables import (
    DIMENSIONS,
    GROUPINGS,
    MINUTE,
    SPANS,
    Grouping,
    rollup_curves,
    rollup_sums,
)

_COARSER = dict(pairwise(SPANS))
_FINER = {coarser: finer for finer, coarser in _COARSER.items()}

_NUMBERS = tuple(rollup_sums.c[name] for name in NUMBERS)
_GROUP = tuple(rollup_sums.c[name] for name in DIMENSIONS)
_KEPT = {
    Grouping.ALL: DIMENSIONS,
    Grouping.MODEL: ("model", "outcome"),
    Grouping.KEY: ("key", "outcome"),
    Grouping.WORKLOAD: ("workload", "outcome"),
}
_SHARES = tuple(rollup_curves.c[name] for name in SHARE)


def put_minute_sums(connection: Connection, folded: Mapping[int, Mapping[Group, Sums]]) -> None:
    """Instead of what was there."""
    there = and_(_of(rollup_sums, Grouping.ALL, MINUTE), rollup_sums.c.start_at.in_(folded.keys()))
    connection.execute(delete(rollup_sums).where(there))
    rows = [
        (Grouping.ALL.value, MINUTE, start, *group, *packed(sums))
        for start, by_group in folded.items()
        for group, sums in by_group.items()
    ]
    _insert(connection, rollup_sums, rows)


def minutes_reached(connection: Connection, starts: Collection[int]) -> set[int]:
    """The minutes into which the calls of these minutes are counted, as they were rolled up."""
    asked = select(rollup_curves.c.at).where(_curves_of(connection, starts)).distinct()
    return set(connection.execute(asked).scalars())


def put_minute_curves(connection: Connection, curves: Mapping[int, Curves]) -> set[int]:
    """Instead of what was there; gives the minutes into which calls are counted now."""
    connection.execute(delete(rollup_curves).where(_curves_of(connection, curves.keys())))
    told = [
        (at, start, group, share)
        for start, of_minute in curves.items()
        for (at, group), share in of_minute.shares.items()
        if any(share)
    ]
    rows = [(Grouping.ALL.value, MINUTE, at, start, *group, *share) for at, start, group, share in told]
    _insert(connection, rollup_curves, rows)
    return {at for at, *_ in told}


def _curves_of(connection: Connection, starts: Collection[int]) -> ColumnElement[bool]:
    columns = rollup_curves.c
    last = max(starts) + MINUTE + int(state(connection, "longest_s") or 0)  # with a fraction PostgreSQL has no index
    lately = and_(_of(rollup_curves, Grouping.ALL, MINUTE), columns.at >= min(starts), columns.at <= last)
    return and_(lately, columns.received.in_(starts))


def _of(table: Table, grouping: Grouping, span_s: int) -> ColumnElement[bool]:
    return and_(table.c.grouping_id == grouping.value, table.c.span_s == span_s)


def _insert(connection: Connection, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
    """Tuples in the order of the columns, as they are: named parameters cost more than the insert."""
    if rows:
        connection.exec_driver_sql(str(insert(table).compile(dialect=connection.dialect)), list(rows))


# An hour or a day, of what is finer.


def roll_coarse(connection: Connection, span_s: int, start: int) -> None:
    clean(connection, span_s, [start])
    finer = _FINER[span_s]
    columns = rollup_sums.c
    inside = and_(_of(rollup_sums, Grouping.ALL, finer), columns.start_at >= start, columns.start_at < start + span_s)
    asked = select(*_GROUP, *_NUMBERS, columns.spreads, columns.cells).where(inside)
    told: dict[Grouping, dict[Group, Sums]] = {grouping: {} for grouping in GROUPINGS[span_s]}
    for row in connection.execute(asked):
        told[Grouping.ALL].setdefault(Group(*row[:4]), Sums()).merge(unpacked(row[4:]))
    for group, sums in told[Grouping.ALL].items():
        for grouping in told.keys() - {Grouping.ALL}:
            told[grouping].setdefault(narrowed(group, grouping), Sums()).merge(sums)
    for grouping, of_grouping in told.items():
        connection.execute(delete(rollup_sums).where(_of(rollup_sums, grouping, span_s), columns.start_at == start))
        rows = [(grouping.value, span_s, start, *group, *packed(sums)) for group, sums in of_grouping.items()]
        _insert(connection, rollup_sums, rows)
        _roll_coarse_curves(connection, grouping, span_s, start)
    if span_s in _COARSER:
        coarser = _COARSER[span_s]
        mark(connection, coarser, {start // coarser * coarser})


def _roll_coarse_curves(connection: Connection, grouping: Grouping, span_s: int, start: int) -> None:
    columns = rollup_curves.c
    connection.execute(delete(rollup_curves).where(_of(rollup_curves, grouping, span_s), columns.at == start))
    inside = and_(_of(rollup_curves, Grouping.ALL, _FINER[span_s]), columns.at >= start, columns.at < start + span_s)
    kept = _KEPT[grouping]
    group = [columns[name] if name in kept else literal("") for name in DIMENSIONS]
    summed = (func.sum(column) for column in _SHARES)
    made = select(literal(grouping.value), literal(span_s), literal(start), literal(0), *group, *summed)
    by = [columns[name] for name in DIMENSIONS if name in kept]
    connection.execute(insert(rollup_curves).from_select(rollup_curves.c.keys(), made.where(inside).group_by(*by)))
