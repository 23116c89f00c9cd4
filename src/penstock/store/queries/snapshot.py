"""One look at a store, whose answers fit together: rollups where they say what the records say, records elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    false,
    func,
    literal_column,
    or_,
    select,
)

from penstock.core.course import Course, active, offered
from penstock.core.curves import Curve, Grid
from penstock.core.sums import NUMBERS, Sums
from penstock.store.queries.courses import (
    HAS_ENDED,
    IS_OPEN,
    Devices,
    Filter,
    chosen,
    ends_behind,
    overlapping,
    read_courses,
    read_devices,
    received,
)
from penstock.store.queries.coverage import RECORDS, Piece, cover
from penstock.store.queries.folding import Group, Share, Speeds, fold_sums, group_of
from penstock.store.queries.packing import numbers_of, unpacked
from penstock.store.queries.tables import (
    DAY,
    DIMENSIONS,
    GROUPINGS,
    HOUR,
    MINUTE,
    Grouping,
    rollup_curves,
    rollup_dirty,
    rollup_state,
    rollup_sums,
)
from penstock.store.queries.triggers import has_rollups
from penstock.store.schema import calls

COARSE_TO_FINE = (DAY, HOUR, MINUTE)
RANGES_AT_ONCE = 50
MAX_AT = 1 << 40

_GROUPINGS = {
    frozenset[str](): Grouping.MODEL,
    frozenset({"model"}): Grouping.MODEL,
    frozenset({"key"}): Grouping.KEY,
    frozenset({"workload"}): Grouping.WORKLOAD,
}


class CurvesOf:
    """The curves of a group, and the tokens that flowed."""

    __slots__ = ("active", "in_tokens", "offered", "out_tokens")

    def __init__(self, grid: Grid) -> None:
        self.offered, self.active, self.in_tokens, self.out_tokens = (Curve(grid) for _ in Share._fields)

    def add(self, course: Course, now: float) -> None:
        if (wanted := offered(course, now)) is not None:
            self.offered.add(*wanted)
        if (held := active(course, now)) is not None:
            self.active.add(*held)
            if not course.is_open:  # how many tokens there will be, nobody knows
                self.in_tokens.flow(*held, course.prompt_tokens or 0)
                self.out_tokens.flow(*held, course.completion_tokens or 0)

    def put(self, index: int, share: Sequence[float]) -> None:
        for curve, integral in zip((self.offered, self.active, self.in_tokens, self.out_tokens), share, strict=True):
            curve.put(index, integral)


class Snapshot:
    """Valid while its connection's transaction lasts. `now` is when open calls are looked at."""

    def __init__(self, connection: Connection, now: float) -> None:
        self.now = now
        self._connection = connection
        self._has_rollups = has_rollups(connection)
        self._dirty: dict[int, set[int]] = {span_s: set() for span_s in COARSE_TO_FINE}
        self._longest_s = 0.0
        if self._has_rollups:
            for span_s, start in connection.execute(select(rollup_dirty.c.span_s, rollup_dirty.c.start_at).distinct()):
                self._dirty[span_s].add(start)
            longest = select(rollup_state.c.value).where(rollup_state.c.name == "longest_s")
            self._longest_s = connection.execute(longest).scalar_one_or_none() or 0.0

    @property
    def minutes_behind(self) -> int:
        """Minutes of records that are not rolled up."""
        return len(self._dirty[MINUTE])

    # What calls came to.

    def sums(
        self,
        since: float,
        until: float,
        asked: Filter,
        by: Sequence[str],
        *,
        spreads: bool = True,
        speeds: bool = False,
    ) -> dict[Group, Sums]:
        """Of the ended calls that were received in a window, told apart by some of the dimensions; "" for the others.

        spreads: histograms too. speeds: also how fast calls were beside others.
        """
        whole = Grid(0, MAX_AT, 1)
        found = self._sums(self._cover_sums(since, until, COARSE_TO_FINE), whole, asked, by, spreads, speeds)
        return {group: sums for (_, group), sums in found.items()}

    def sums_by_bucket(
        self, grid: Grid, until: float, asked: Filter, by: Sequence[str]
    ) -> dict[tuple[int, Group], Sums]:
        """The same for each bucket of a grid, by its index; with spreads and speeds."""
        spans = [span_s for span_s in COARSE_TO_FINE if grid.width % span_s == 0]
        pieces = self._cover_sums(grid.start, min(until, grid.end), spans)
        return self._sums(pieces, grid, asked, by, spreads=True, speeds=True)

    def _sums(
        self, pieces: Sequence[Piece], grid: Grid, asked: Filter, by: Sequence[str], spreads: bool, speeds: bool
    ) -> dict[tuple[int, Group], Sums]:
        found: dict[tuple[int, Group], Sums] = {}
        for span_s in COARSE_TO_FINE:
            of_grouping = and_(_of(rollup_sums, _grouping_for(asked, by, span_s), span_s), _rolled(rollup_sums, asked))
            for some in _in_parts([piece for piece in pieces if piece.span_s == span_s]):
                inside = and_(of_grouping, _between(rollup_sums.c.start_at, some))
                if spreads or speeds:
                    self._add_rolled(found, grid, inside, by)
                else:
                    self._add_rolled_numbers(found, inside, by)
        for some in _in_parts([piece for piece in pieces if piece.span_s == RECORDS]):
            self._add_records(found, grid, some, asked, by, speeds=speeds)
        return found

    def _cover_sums(self, since: float, until: float, spans: Sequence[int]) -> list[Piece]:
        if not self._has_rollups:
            return cover(since, until, {}, ())
        hours = self._dirty[HOUR] | {minute // HOUR * HOUR for minute in self._dirty[MINUTE]}
        days = self._dirty[DAY] | {hour // DAY * DAY for hour in hours}
        return cover(since, until, {MINUTE: self._dirty[MINUTE], HOUR: hours, DAY: days}, spans)

    def _add_rolled(
        self, found: dict[tuple[int, Group], Sums], grid: Grid, inside: ColumnElement[bool], by: Sequence[str]
    ) -> None:
        columns = rollup_sums.c
        asked = select(
            columns.start_at, *(columns[name] for name in (*by, *NUMBERS)), columns.spreads, columns.cells
        ).where(inside)
        for row in self._connection.execute(asked):
            index = (row[0] - grid.start) // grid.width
            _sums_of(found, index, by, row[1:]).merge(unpacked(row[1 + len(by) :]))

    def _add_rolled_numbers(
        self, found: dict[tuple[int, Group], Sums], inside: ColumnElement[bool], by: Sequence[str]
    ) -> None:
        """Of one bucket: the database adds up."""
        columns = rollup_sums.c
        group = [columns[name] for name in by]
        asked = select(*group, *(func.sum(columns[name]) for name in NUMBERS)).where(inside).group_by(*group)
        for row in self._connection.execute(asked):
            _sums_of(found, 0, by, row).merge(numbers_of(row[len(by) :]))

    def _add_records(
        self,
        found: dict[tuple[int, Group], Sums],
        grid: Grid,
        ranges: Sequence[Piece],
        asked: Filter,
        by: Sequence[str],
        *,
        speeds: bool,
    ) -> None:
        inside = or_(*(received(piece.start, piece.end) for piece in ranges))
        courses = list(read_courses(self._connection, HAS_ENDED, inside, *chosen(asked)))
        measured = self._speeds(courses) if speeds else None
        by_bucket: dict[int, list[Course]] = {}
        for course in courses:
            by_bucket.setdefault(int((course.received_at - grid.start) // grid.width), []).append(course)
        for index, some in by_bucket.items():
            for group, sums in fold_sums(some, measured).items():
                _sums_of(found, index, by, [getattr(group, name) for name in by]).merge(sums)

    def _speeds(self, courses: Sequence[Course]) -> Speeds:
        slots = [slot for course in courses if (slot := active(course, 0.0)) is not None]
        if not slots:
            return Speeds((), Devices(()))
        first, last = min(start for start, _ in slots), max(end for _, end in slots)
        return Speeds(self._ended_between(first, last, Filter()), read_devices(self._connection))

    def _ended_between(self, start: float, end: float, asked: Filter) -> Iterable[Course]:
        """Ended calls that were there at some time then."""
        if self._has_rollups:
            lasting = or_(
                overlapping(start, end, self._longest_s),
                and_(self._is_dirty(end), ends_behind(start), HAS_ENDED),
            )
        else:
            lasting = and_(HAS_ENDED, calls.c.received_at < end, ends_behind(start))
        return read_courses(self._connection, lasting, *chosen(asked))

    def _is_dirty(self, until: float) -> ColumnElement[bool]:
        """Received in a minute that is not rolled up, before `until`: the longest call of those is not known."""
        dirty = sorted(minute for minute in self._dirty[MINUTE] if minute < until)
        ranges = _joined(dirty, MINUTE)
        if len(ranges) > RANGES_AT_ONCE:  # far behind: what lies between them is found too, and is no error
            ranges = [Piece(RECORDS, ranges[0].start, ranges[-1].end)]
        return or_(false(), *(received(piece.start, min(piece.end, until)) for piece in ranges))

    # What calls did.

    def curves(self, grid: Grid, asked: Filter, by: Sequence[str]) -> dict[Group, CurvesOf]:
        """Of the ended calls that were there at some time of a grid, whenever they were received."""
        found: dict[Group, CurvesOf] = {}
        spans = [span_s for span_s in COARSE_TO_FINE if self._has_rollups and grid.width % span_s == 0]
        if not spans:
            courses = self._ended_between(grid.start, grid.end, asked)
        else:
            self._add_rolled_curves(found, grid, asked, by, spans)
            courses = self._of_dirty_minutes(grid, asked)
        for course in courses:
            _curves_of(found, grid, by, group_of(course)).add(course, self.now)
        return found

    def _of_dirty_minutes(self, grid: Grid, asked: Filter) -> Iterable[Course]:
        inside = and_(self._is_dirty(grid.end), ends_behind(grid.start), HAS_ENDED)
        dirty = self._dirty[MINUTE]
        courses = read_courses(self._connection, inside, *chosen(asked))
        return (course for course in courses if int(course.received_at // MINUTE) * MINUTE in dirty)

    def _add_rolled_curves(
        self, found: dict[Group, CurvesOf], grid: Grid, asked: Filter, by: Sequence[str], spans: Sequence[int]
    ) -> None:
        columns = rollup_curves.c
        group = [columns[name] for name in by]
        bucket = literal_column(f"({columns.at.name} - {grid.start}) / {grid.width}", BigInteger)
        told = [func.sum(columns[name]) for name in Share._fields]
        pieces = cover(grid.start, grid.end, self._stale(grid), spans)
        for span_s in spans:
            of_grouping = and_(
                _of(rollup_curves, _grouping_for(asked, by, span_s), span_s), _rolled(rollup_curves, asked)
            )
            for some in _in_parts([piece for piece in pieces if piece.span_s == span_s]):
                inside = [of_grouping, _between(columns.at, some)]
                if span_s == MINUTE and self._dirty[MINUTE]:  # these are read from the records
                    dirty = select(rollup_dirty.c.start_at).where(rollup_dirty.c.span_s == MINUTE)
                    inside.append(columns.received.not_in(dirty))
                for row in self._connection.execute(
                    select(bucket, *group, *told).where(*inside).group_by(bucket, *group)
                ):
                    values = dict(zip(by, row[1:], strict=False))
                    where = Group(*(values.get(name, "") for name in DIMENSIONS))
                    _curves_of(found, grid, by, where).put(row[0], row[1 + len(by) :])

    def _stale(self, grid: Grid) -> dict[int, set[int]]:
        """Hours and days into which calls of minutes that are dirty now were counted as they were before."""
        hours = set(self._dirty[HOUR])
        if self._dirty[MINUTE]:
            columns = rollup_curves.c
            dirty = select(rollup_dirty.c.start_at).where(rollup_dirty.c.span_s == MINUTE)
            first = max(grid.start, min(self._dirty[MINUTE]))  # nothing is counted before it was received
            last = min(grid.end, max(self._dirty[MINUTE]) + MINUTE + self._longest_s)
            inside = and_(_of(rollup_curves, Grouping.ALL, MINUTE), columns.at >= first, columns.at < last)
            stale = select(columns.at).where(inside, columns.received.in_(dirty)).distinct()
            hours |= {at // HOUR * HOUR for at in self._connection.execute(stale).scalars()}
        return {MINUTE: set(), HOUR: hours, DAY: self._dirty[DAY] | {hour // DAY * DAY for hour in hours}}

    # What goes on, and what else there is.

    def rows(self, asked: Select[Any]) -> Iterable[Sequence[Any]]:
        return self._connection.execute(asked)

    def open_calls(self, asked: Filter) -> list[Course]:
        """Those that run or wait now."""
        return list(read_courses(self._connection, IS_OPEN, *chosen(asked)))


def _grouping_for(asked: Filter, by: Sequence[str], span_s: int) -> Grouping:
    """That with the fewest rows."""
    needed = {*by, *(name for name in DIMENSIONS if getattr(asked, name) is not None)} - {"outcome"}
    best = _GROUPINGS.get(frozenset(needed), Grouping.ALL)
    return best if best in GROUPINGS[span_s] else Grouping.ALL


def _of(table: Table, grouping: Grouping, span_s: int) -> ColumnElement[bool]:
    return and_(table.c.grouping_id == grouping.value, table.c.span_s == span_s)


def _rolled(table: Table, asked: Filter) -> ColumnElement[bool]:
    wanted = {name: getattr(asked, name) for name in DIMENSIONS}
    return and_(True, *(table.c[name] == value for name, value in wanted.items() if value is not None))


def _between(column: ColumnElement[int], ranges: Sequence[Piece]) -> ColumnElement[bool]:
    return or_(*(and_(column >= int(piece.start), column < int(piece.end)) for piece in ranges))


def _in_parts(ranges: Sequence[Piece]) -> Iterable[Sequence[Piece]]:
    return (ranges[at : at + RANGES_AT_ONCE] for at in range(0, len(ranges), RANGES_AT_ONCE))


def _joined(starts: Sequence[int], span_s: int) -> list[Piece]:
    """Sorted starts, those that touch put together."""
    joined: list[Piece] = []
    for start in starts:
        if joined and joined[-1].end == start:
            joined[-1] = Piece(RECORDS, joined[-1].start, start + span_s)
        else:
            joined.append(Piece(RECORDS, start, start + span_s))
    return joined


def _sums_of(found: dict[tuple[int, Group], Sums], index: int, by: Sequence[str], values: Sequence[object]) -> Sums:
    named = dict(zip(by, values, strict=False))
    return found.setdefault((index, Group(*(str(named.get(name, "")) for name in DIMENSIONS))), Sums())


def _curves_of(found: dict[Group, CurvesOf], grid: Grid, by: Sequence[str], group: Group) -> CurvesOf:
    told = Group(*(getattr(group, name) if name in by else "" for name in DIMENSIONS))
    curves = found.get(told)
    if curves is None:
        curves = found[told] = CurvesOf(grid)
    return curves
