"""Where in a window the calls may be that are asked for: rollups say where there are none, and nobody looks there.

A model that nobody asked for in weeks, or an outcome that is rare, would have every call of ninety days looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from sqlalchemy import func, select

from penstock.store.queries.courses import EVERYTHING, Filter
from penstock.store.queries.coverage import RECORDS, Piece, runs
from penstock.store.queries.snapshot import Snapshot, between, grouping_for, rolled
from penstock.store.queries.tables import DAY, HOUR, MINUTE, rollup_sums
from penstock.store.schema import calls

_FINER = {DAY: HOUR}
"""Minutes are too many to be gone through, an hour of calls is soon read."""


def stretches(snapshot: Snapshot, since: float, until: float, asked: Filter) -> Iterator[Piece]:
    """Parts of a window, newest first, that hold every call, open or ended, that is asked for."""
    if asked == EVERYTHING or not snapshot.has_rollups:
        yield Piece(RECORDS, since, until)
        return
    first, last = _ends(snapshot)
    still_open = {int(course.received_at // MINUTE) * MINUTE for course in snapshot.open_calls(asked)}
    pieces = snapshot.cover_sums(max(since, first), min(until, last), (DAY, HOUR, MINUTE), besides=still_open)
    for piece in reversed(pieces):
        yield from _with_any(snapshot, piece, asked)


def _ends(snapshot: Snapshot) -> tuple[float, float]:
    """When the first call was received, and what is behind the last one."""
    first, last = (next(iter(snapshot.rows(select(end(calls.c.received_at)))))[0] for end in (func.min, func.max))
    return (0.0, 0.0) if first is None else (first, math.nextafter(last, math.inf))


def _with_any(snapshot: Snapshot, piece: Piece, asked: Filter) -> Iterator[Piece]:
    """The parts of a piece in which there are any, newest first."""
    if piece.span_s == RECORDS:
        yield piece
        return
    inside = rolled(rollup_sums, grouping_for(asked, (), piece.span_s), piece.span_s, asked)
    query = select(rollup_sums.c.start_at).where(inside, between(rollup_sums.c.start_at, piece)).distinct()
    for run in reversed(runs(sorted(row[0] for row in snapshot.rows(query)), piece.span_s)):
        if piece.span_s in _FINER:
            yield from _with_any(snapshot, run._replace(span_s=_FINER[piece.span_s]), asked)
        else:
            yield run
