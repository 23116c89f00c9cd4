"""A JSON body in pieces, so that its large values are never copied.

`bytes` for what is between the large values, and a `memoryview` for each of those. Such pieces can be read and
changed again without looking into the large values once more, because a view among several pieces is always one
whole value.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from penstock.core.calls.message import Body

Pieces = tuple[Body, ...]

NULL = b"null"

ALWAYS_COPIED_BYTES = 4 * 1024
COPIED_BYTES = 64 * 1024
MAX_COPIED_BYTES = 2**20
"""Values up to the first size are copied into the pieces between views; up to the second until the third is full."""


class Source(NamedTuple):
    """A text in which `null` stands for some large values. holes: where, ascending; views: for what."""

    text: Body
    holes: tuple[int, ...] = ()
    views: tuple[memoryview, ...] = ()

    @classmethod
    def of(cls, pieces: Pieces) -> Source:
        if len(pieces) == 1:
            return cls(pieces[0])
        parts: list[Body] = []
        holes: list[int] = []
        views: list[memoryview] = []
        at = 0
        for piece in pieces:
            if isinstance(piece, memoryview):
                holes.append(at)
                views.append(piece)
                parts.append(NULL)
            else:
                parts.append(piece)
            at += len(parts[-1])
        return cls(b"".join(parts), tuple(holes), tuple(views))

    def between(self, start: int, end: int) -> Iterator[tuple[int, memoryview]]:
        """The holes in a part of the text."""
        for index in range(bisect_left(self.holes, start), bisect_left(self.holes, end)):
            yield self.holes[index], self.views[index]


class Kept(NamedTuple):
    """A value that stays as it is, in a text."""

    source: Source
    start: int
    end: int


class PieceWriter:
    """Puts pieces together: small ones are joined, large values stay views."""

    __slots__ = ("_copied_bytes", "_pending", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[Body] = []
        self._pending: list[bytes] = []
        self._copied_bytes = 0

    def add(self, text: bytes) -> None:
        self._pending.append(text)

    def keep(self, kept: Kept) -> None:
        source, at = kept.source, kept.start
        for hole, view in source.between(at, kept.end):
            self._slice(source.text, at, hole)
            self._view(view)
            at = hole + len(NULL)
        self._slice(source.text, at, kept.end)

    def done(self) -> Pieces:
        self._flush()
        return tuple(self._pieces)

    def _slice(self, text: Body, start: int, end: int) -> None:
        size = end - start
        copied_bytes = self._copied_bytes + size
        if size <= ALWAYS_COPIED_BYTES or (size <= COPIED_BYTES and copied_bytes <= MAX_COPIED_BYTES):
            self._copied_bytes = copied_bytes
            self._pending.append(bytes(text[start:end]))
        else:
            self._view(memoryview(text)[start:end])

    def _view(self, view: memoryview) -> None:
        self._flush()
        self._pieces.append(view)

    def _flush(self) -> None:
        if self._pending:
            self._pieces.append(b"".join(self._pending))
            self._pending = []
