"""The curves of a window: from rollups where those say what the records say, from records elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import BigInteger, func, literal_column, select

from penstock.core.accounting.course import Course, active, offered
from penstock.core.accounting.curves import Curve, Grid
from penstock.store.queries.courses import Filter
from penstock.store.queries.coverage import Piece, cover
from penstock.store.queries.folding import SHARE, Group, group_of
from penstock.store.queries.snapshot import Snapshot, between, grouping_for, rolled
from penstock.store.queries.tables import DAY, DIMENSIONS, HOUR, MINUTE, Grouping, rollup_curves, rollup_dirty
from penstock.store.queries.told import OTHER

MAX_GROUPS = 2000
"""Callers name keys as they like: behind so many, those that come later have curves together."""


class CurvesOf:
    """The curves of a group, and the tokens that flowed. until: what lies behind is left out; None = nothing is."""

    __slots__ = ("active", "in_tokens", "offered", "out_tokens")

    def __init__(self, grid: Grid, until: float | None = None) -> None:
        self.offered, self.active, self.in_tokens, self.out_tokens = (Curve(grid, until) for _ in SHARE)

    def add(self, course: Course, now: float) -> None:
        if (wanted := offered(course, now)) is not None:
            self.offered.add(*wanted)
        if (held := active(course, now)) is not None:
            self._add_held(course, *held)

    def _add_held(self, course: Course, start: float, end: float) -> None:
        place = self.active.place(start, end)
        if place is not None:
            self.active.lay(place)
        if course.is_open:  # how many tokens there will be, nobody knows
            return
        for curve, tokens in ((self.in_tokens, course.prompt_tokens), (self.out_tokens, course.completion_tokens)):
            if tokens and place is not None:
                curve.lay(place, tokens / (end - start))
            elif tokens:
                curve.flow(start, end, tokens)

    def put(self, index: int, share: Sequence[float]) -> None:
        offered_s, active_s, in_tokens, out_tokens = share
        self.offered.put(index, offered_s)
        self.active.put(index, active_s)
        self.in_tokens.put(index, in_tokens)
        self.out_tokens.put(index, out_tokens)


def read_curves(
    snapshot: Snapshot, grid: Grid, asked: Filter, by: Sequence[str], until: float | None = None
) -> dict[Group, CurvesOf]:
    """Of the ended calls that were there at some time of a grid, whenever they were received.

    until: what goes beyond is left out where records are read; None = nothing is.
    """
    found: dict[Group, CurvesOf] = {}
    spans = [span_s for span_s in (DAY, HOUR, MINUTE) if snapshot.has_rollups and grid.width % span_s == 0]
    if spans:
        _add_rolled(snapshot, found, grid, asked, by, spans, until)
        courses = snapshot.of_dirty_minutes(grid.start, grid.end, asked)
    else:
        courses = snapshot.ended_between(grid.start, grid.end, asked)
    add_by: dict[Group, Callable[[Course, float], None]] = {}
    for course in courses:
        group = group_of(course)
        add = add_by.get(group)
        if add is None:
            add = add_by[group] = _curves_of(found, grid, by, group, until).add
        add(course, snapshot.now)
    return found


def _add_rolled(
    snapshot: Snapshot,
    found: dict[Group, CurvesOf],
    grid: Grid,
    asked: Filter,
    by: Sequence[str],
    spans: Sequence[int],
    until: float | None,
) -> None:
    columns = rollup_curves.c
    group = [columns[name] for name in by]
    bucket = literal_column(f"({columns.at.name} - {grid.start}) / {grid.width}", BigInteger)
    told = [func.sum(columns[name]) for name in SHARE]
    dirty = select(rollup_dirty.c.start_at).where(rollup_dirty.c.span_s == MINUTE)
    for piece in cover(grid.start, grid.end, _stale(snapshot, grid, spans), spans):
        inside = rolled(rollup_curves, grouping_for(asked, by, piece.span_s), piece.span_s, asked)
        query = select(bucket, *group, *told).where(inside, between(columns.at, piece)).group_by(bucket, *group)
        if piece.span_s == MINUTE and snapshot.dirty[MINUTE]:  # these are read from the records
            query = query.where(columns.received.not_in(dirty))
        known: dict[Sequence[str], CurvesOf] = {}
        for row in snapshot.rows(query):
            values = row[1 : 1 + len(by)]
            if values not in known:
                known[values] = _curves_of(found, grid, by, _group(by, values), until)
            known[values].put(row[0], row[1 + len(by) :])


def _group(by: Sequence[str], values: Sequence[str]) -> Group:
    named = dict(zip(by, values, strict=True))
    return Group(*(named.get(name, "") for name in DIMENSIONS))


def _stale(snapshot: Snapshot, grid: Grid, spans: Sequence[int]) -> dict[int, set[int]]:
    """Hours and days into which calls of minutes that are dirty now were counted as they were before."""
    if HOUR not in spans:
        return {MINUTE: set()}
    hours = set(snapshot.dirty[HOUR])
    for piece in snapshot.dirty_ranges:  # each a question of its own: what lies between two of them is most of a window
        hours.update(_hours_reached(snapshot, grid, piece))
    return {MINUTE: set(), HOUR: hours, DAY: snapshot.dirty[DAY] | {hour // DAY * DAY for hour in hours}}


def _hours_reached(snapshot: Snapshot, grid: Grid, piece: Piece) -> Iterator[int]:
    """Those into which the calls of a range of minutes were counted; nothing is counted before it was received."""
    columns = rollup_curves.c
    reach = Piece(MINUTE, max(grid.start, piece.start), min(grid.end, piece.end + snapshot.longest_s + MINUTE))
    inside = rolled(rollup_curves, Grouping.ALL, MINUTE, Filter())
    query = select(columns.at).where(inside, between(columns.at, reach), between(columns.received, piece)).distinct()
    return (row[0] // HOUR * HOUR for row in snapshot.rows(query))


def _curves_of(
    found: dict[Group, CurvesOf], grid: Grid, by: Sequence[str], group: Group, until: float | None
) -> CurvesOf:
    told = Group(*(getattr(group, name) if name in by else "" for name in DIMENSIONS))
    curves = found.get(told)
    if curves is None and len(found) >= MAX_GROUPS and "key" in by:
        told = told._replace(key=OTHER)
        curves = found.get(told)
    if curves is None:
        curves = found[told] = CurvesOf(grid, until)
    return curves
