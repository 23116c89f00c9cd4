"""Which part of a window is read from where: days, hours and minutes of rollups, and records for what is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

RECORDS = 0


class Piece(NamedTuple):
    """A part of a window; `span_s` is that of the rollups that say it, or RECORDS."""

    span_s: int
    start: float
    end: float


Tainted = Mapping[int, set[int]]
"""For each span the starts of those whose rollups may not be used."""


def cover(since: float, until: float, tainted: Tainted, spans: Sequence[int]) -> list[Piece]:
    """The window in pieces, each by the coarsest of `spans` (coarse to fine) that can be used; in order of time."""
    joined: list[Piece] = []
    for piece in _pieces(since, until, tainted, spans):
        if joined and joined[-1].span_s == piece.span_s and joined[-1].end == piece.start:
            joined[-1] = Piece(piece.span_s, joined[-1].start, piece.end)
        else:
            joined.append(piece)
    return joined


def runs(starts: Sequence[int], span_s: int) -> list[Piece]:
    """Spans, by their sorted starts, those that touch put together."""
    found: list[Piece] = []
    for start in starts:
        if found and found[-1].end == start:
            found[-1] = found[-1]._replace(end=start + span_s)
        else:
            found.append(Piece(span_s, start, start + span_s))
    return found


def _pieces(since: float, until: float, tainted: Tainted, spans: Sequence[int]) -> Iterator[Piece]:
    if since >= until:
        return
    if not spans:
        yield Piece(RECORDS, since, until)
        return
    span_s, finer = spans[0], spans[1:]
    first, last = -int(-since // span_s) * span_s, int(until // span_s) * span_s
    if last <= first:
        yield from _pieces(since, until, tainted, finer)
        return
    yield from _pieces(since, first, tainted, finer)
    bad = tainted[span_s]
    for start in range(first, last, span_s):
        if start in bad:
            yield from _pieces(start, start + span_s, tainted, finer)
        else:
            yield Piece(span_s, start, start + span_s)
    yield from _pieces(last, until, tainted, finer)
