"""One look at a store, whose answers fit together: rollups where they say what the records say, records elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from functools import cached_property
from itertools import pairwise
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    cast,
    func,
    literal,
    select,
)

from penstock.core.accounting.course import Course
from penstock.core.accounting.curves import Grid
from penstock.core.accounting.sums import NUMBERS, Spread, Sums
from penstock.store.queries.courses import (
    HAS_ENDED,
    IS_OPEN,
    Filter,
    chosen,
    ends_behind,
    reach,
    read_courses,
    read_devices,
    read_overlapping,
    received,
)
from penstock.store.queries.coverage import RECORDS, Piece, cover, runs
from penstock.store.queries.folding import Group, Speeds, fold_sums, is_chosen
from penstock.store.queries.packing import numbers_of, unpacked
from penstock.store.queries.tables import (
    DIMENSIONS,
    GROUPINGS,
    MINUTE,
    SPANS,
    Grouping,
    rollup_dirty,
    rollup_state,
    rollup_sums,
)
from penstock.store.queries.triggers import LONG_S, has_rollups
from penstock.store.schema import calls

COARSE_TO_FINE = SPANS[::-1]
RANGES_AT_ONCE = 200
MAX_AT = 1 << 40

_GROUPINGS = {
    frozenset[str](): Grouping.MODEL,
    frozenset({"model"}): Grouping.MODEL,
    frozenset({"key"}): Grouping.KEY,
    frozenset({"workload"}): Grouping.WORKLOAD,
}


class Snapshot:
    """Valid while its connection's transaction lasts. `now` is when open calls are looked at."""

    def __init__(self, connection: Connection, now: float) -> None:
        self.now = now
        self.connection = connection
        self.has_rollups = has_rollups(connection)
        self.dirty: dict[int, set[int]] = {span_s: set() for span_s in COARSE_TO_FINE}
        self.longest_s = 0.0
        self._open: list[Course] | None = None
        if self.has_rollups:
            for span_s, start in connection.execute(select(rollup_dirty.c.span_s, rollup_dirty.c.start_at).distinct()):
                self.dirty[span_s].add(start)
            longest = select(rollup_state.c.value).where(rollup_state.c.name == "longest_s")
            self.longest_s = connection.execute(longest).scalar_one_or_none() or 0.0

    @property
    def minutes_behind(self) -> int:
        """Minutes of records that are not rolled up."""
        return len(self.dirty[MINUTE])

    # What calls came to.

    def sums(
        self,
        since: float,
        until: float,
        asked: Filter,
        by: Sequence[str],
        *,
        spreads: Collection[Spread] = (),
        speeds: bool = False,
    ) -> dict[Group, Sums]:
        """Of the ended calls that were received in a window, told apart by some of the dimensions; "" for the others.

        spreads: which histograms too. speeds: also how fast calls were beside others.
        """
        whole = Grid(0, MAX_AT, 1)
        pieces = self.cover_sums(since, until, COARSE_TO_FINE)
        found = self._sums(pieces, whole, asked, by, spreads=spreads, speeds=speeds)
        return {group: sums for (_, group), sums in found.items()}

    def sums_by_bucket(
        self, grid: Grid, until: float, asked: Filter, by: Sequence[str], spreads: Collection[Spread]
    ) -> dict[tuple[int, Group], Sums]:
        """The same for each bucket of a grid, by its index; histograms of speeds may be among the spreads."""
        spans = [span_s for span_s in COARSE_TO_FINE if grid.width % span_s == 0]
        pieces = self.cover_sums(grid.start, min(until, grid.end), spans)
        return self._sums(pieces, grid, asked, by, spreads=spreads, speeds=True)

    def _sums(
        self,
        pieces: Sequence[Piece],
        grid: Grid,
        asked: Filter,
        by: Sequence[str],
        *,
        spreads: Collection[Spread],
        speeds: bool,
    ) -> dict[tuple[int, Group], Sums]:
        """Each piece is a question of its own: of several ranges at once SQLite's planner would make a full scan."""
        found: dict[tuple[int, Group], Sums] = {}
        for piece in pieces:
            if piece.span_s == RECORDS:
                self._add_records(found, grid, piece, asked, by, speeds=speeds)
                continue
            inside = rolled(rollup_sums, grouping_for(asked, by, piece.span_s), piece.span_s, asked)
            inside = and_(inside, between(rollup_sums.c.start_at, piece))
            if spreads or speeds:
                self._add_rolled(found, grid, inside, by, spreads)
            else:
                self._add_rolled_numbers(found, inside, by)
        return found

    def cover_sums(
        self, since: float, until: float, spans: Sequence[int], *, besides: Set[int] = frozenset()
    ) -> list[Piece]:
        """Which part of a window is summed up where; `besides`: minutes that have to be read from the records, too."""
        if not self.has_rollups:
            return cover(since, until, {}, ())
        tainted = {MINUTE: self.dirty[MINUTE] | besides}
        for finer, span_s in pairwise(SPANS):
            tainted[span_s] = self.dirty[span_s] | {start // span_s * span_s for start in tainted[finer]}
        return cover(since, until, tainted, spans)

    def _add_rolled(
        self,
        found: dict[tuple[int, Group], Sums],
        grid: Grid,
        inside: ColumnElement[bool],
        by: Sequence[str],
        spreads: Collection[Spread],
    ) -> None:
        columns = rollup_sums.c
        asked = select(
            columns.start_at, *(columns[name] for name in (*by, *NUMBERS)), columns.spreads, columns.cells
        ).where(inside)
        for row in self.connection.execute(asked):
            index = (row[0] - grid.start) // grid.width
            _sums_of(found, index, by, row[1:]).merge(unpacked(row[1 + len(by) :]), spreads)

    def _add_rolled_numbers(
        self, found: dict[tuple[int, Group], Sums], inside: ColumnElement[bool], by: Sequence[str]
    ) -> None:
        """Of one bucket: the database adds up."""
        columns = rollup_sums.c
        group = [columns[name] for name in by]
        sums = (cast(func.sum(columns[name]), columns[name].type) for name in NUMBERS)  # PostgreSQL's would be decimals
        asked = select(*group, *sums).where(inside).group_by(*group)
        for row in self.connection.execute(asked):
            _sums_of(found, 0, by, row).merge(numbers_of(row[len(by) :]))

    def _add_records(
        self,
        found: dict[tuple[int, Group], Sums],
        grid: Grid,
        piece: Piece,
        asked: Filter,
        by: Sequence[str],
        *,
        speeds: bool,
    ) -> None:
        inside = (HAS_ENDED, received(piece.start, piece.end), *chosen(asked))
        measured = self._speeds(piece.start, inside) if speeds else None
        by_bucket: dict[int, dict[Group, Sums]] = {}
        for course in read_courses(self.connection, *inside):
            index = int((course.received_at - grid.start) // grid.width)
            fold_sums(by_bucket.setdefault(index, {}), course, measured)
        for index, folded in by_bucket.items():
            for group, sums in folded.items():
                _sums_of(found, index, by, [getattr(group, name) for name in by]).merge(sums)

    def _speeds(self, since: float, inside: Sequence[ColumnElement[bool]]) -> Speeds:
        """For those calls, received since then."""
        until = reach(self.connection, *inside).end
        found = Speeds(read_devices(self.connection))
        found.add_all(self.ended_between(since, until, Filter()))
        found.add_all(self.open_calls(Filter()))
        return found

    def ended_between(self, start: float, end: float, asked: Filter) -> Iterator[Course]:
        """Ended calls that were there at some time then; each once."""
        if not self.has_rollups:
            lasting = (HAS_ENDED, calls.c.received_at < end, ends_behind(start))
            yield from read_courses(self.connection, *lasting, *chosen(asked))
            return
        earliest = start - max(self.longest_s, LONG_S)
        yield from read_overlapping(self.connection, start, end, self.longest_s, *chosen(asked))
        # How long the longest call took is known of what is rolled up.
        for course in self.of_dirty_minutes(start, end, asked):
            is_long = (course.done_s or 0.0) > LONG_S
            if course.received_at < (earliest if is_long else start - LONG_S):
                yield course

    def of_dirty_minutes(self, start: float, end: float, asked: Filter) -> Iterator[Course]:
        """Ended calls of minutes that are not rolled up which were there at some time then."""
        dirty = self.dirty[MINUTE]
        for piece in self.dirty_ranges:
            if piece.start >= end:
                return
            inside = (HAS_ENDED, received(piece.start, min(piece.end, end)), ends_behind(start))
            for course in read_courses(self.connection, *inside, *chosen(asked)):
                if int(course.received_at // MINUTE) * MINUTE in dirty:
                    yield course

    @cached_property
    def dirty_ranges(self) -> list[Piece]:
        """The minutes that are not rolled up, in order; if there are too many ranges, with some that are."""
        return at_most(RANGES_AT_ONCE, runs(sorted(self.dirty[MINUTE]), MINUTE))

    # What goes on, and what else there is.

    def has_received(self, count: int, since: float, until: float) -> bool:
        """Whether more calls than so many were received in a window; no more than those are looked at."""
        some = select(literal(1)).select_from(calls).where(received(since, until)).limit(count + 1).subquery()
        found: int = self.connection.execute(select(func.count()).select_from(some)).scalar_one()
        return found > count

    def rows(self, asked: Select[Any]) -> Iterable[Sequence[Any]]:
        return self.connection.execute(asked)

    def open_calls(self, asked: Filter) -> list[Course]:
        """Those that run or wait now: few, so they are all read once, and chosen here."""
        if self._open is None:
            self._open = list(read_courses(self.connection, IS_OPEN))
        return [course for course in self._open if is_chosen(course, asked)]


def grouping_for(asked: Filter, by: Sequence[str], span_s: int) -> Grouping:
    """That with the fewest rows."""
    needed = {*by, *(name for name in DIMENSIONS if getattr(asked, name) is not None)} - {"outcome"}
    best = _GROUPINGS.get(frozenset(needed), Grouping.ALL)
    return best if best in GROUPINGS[span_s] else Grouping.ALL


def rolled(table: Table, grouping: Grouping, span_s: int, asked: Filter) -> ColumnElement[bool]:
    wanted = {name: getattr(asked, name) for name in DIMENSIONS}
    chosen_by = (table.c[name] == value for name, value in wanted.items() if value is not None)
    return and_(table.c.grouping_id == grouping.value, table.c.span_s == span_s, *chosen_by)


def between(column: ColumnElement[int], piece: Piece) -> ColumnElement[bool]:
    return and_(column >= int(piece.start), column < int(piece.end))


def at_most(count: int, ranges: Sequence[Piece]) -> list[Piece]:
    """So many ranges, in order, that hold all of these: those are put together that lie closest to each other."""
    gaps = sorted((one.end - other.start, at) for at, (one, other) in enumerate(pairwise(ranges), 1))
    borders = [0, *sorted(at for _, at in gaps[: count - 1]), len(ranges)]
    return [
        Piece(RECORDS, ranges[first].start, ranges[last - 1].end) for first, last in pairwise(borders) if first < last
    ]


def _sums_of(found: dict[tuple[int, Group], Sums], index: int, by: Sequence[str], values: Sequence[object]) -> Sums:
    named = dict(zip(by, values, strict=False))
    return found.setdefault((index, Group(*(str(named.get(name, "")) for name in DIMENSIONS))), Sums())
