"""The journal's files: how they are named, in which order they stand, and how they are read back.

One line is one record as JSON with its None members left out: of a call, or, with a `kind`, of a load or a sample of
the host; a call or a load without an `outcome` is open. Bytes that are no such line are handed out as faults and never
stop the reading.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from penstock.core.accounting.load_record import LoadRecord
from penstock.store.rows import Row, is_call, read_noted, read_row

MAX_LINE_BYTES = 1 << 20
"""A longer line was not written by a journal."""

KEPT_OF_A_BAD_LINE_BYTES = 64 << 10

_NAME = re.compile(r"(?P<number>\d{8,})-(?P<boot_id>.+)\.jsonl")


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file of the journal. Sorts in the order in which segments were written."""

    number: int
    boot_id: str
    path: Path

    @property
    def name(self) -> str:
        return self.path.name


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that could not be read, or a record that the store refuses. `text` is what it held, cut if long."""

    segment: str
    offset: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Lines:
    """What one read brought: the records of each kind in the order written, and what was no record."""

    rows: list[Row] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    loads: list[Row] = field(default_factory=list)
    samples: list[Row] = field(default_factory=list)

    def take(self, line: bytes) -> None:
        """Raises msgspec.DecodeError or RecursionError for what is no line of a journal."""
        if is_call(line):
            self.rows.append(read_row(line))
            return
        kind, row = read_noted(line)
        (self.loads if kind is LoadRecord else self.samples).append(row)


def segment_name(number: int, boot_id: str) -> str:
    return f"{number:08}-{boot_id}.jsonl"


def segments_in(directory: Path) -> list[Segment]:
    """All segments of a journal's folder, oldest first; other files are left alone."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    found = ((match, directory / name) for name in names if (match := _NAME.fullmatch(name)))
    return sorted(Segment(int(match["number"]), match["boot_id"], path) for match, path in found)


def read_segment(path: Path, offset: int, *, limit_bytes: int = MAX_LINE_BYTES) -> tuple[Lines, int]:
    """Read up to `limit_bytes` from `offset` on; return the whole lines in it and the offset to go on from.

    The same offset again means that nothing more is there yet, or that the file ends in a torn line.
    """
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        chunk = file.read(limit_bytes)
    whole = chunk.rfind(b"\n") + 1
    if not whole and len(chunk) == limit_bytes:  # no line is that long: set the piece aside, or it would stand forever
        return Lines([], [_bad(path.name, offset, "line too long", chunk)]), offset + len(chunk)
    lines = Lines()
    at = offset
    for line in chunk[:whole].split(b"\n")[:-1]:
        try:
            lines.take(line)
        except (msgspec.DecodeError, RecursionError) as exc:
            lines.bad.append(_bad(path.name, at, str(exc), line))
        at += len(line) + 1
    return lines, at


def _bad(segment: str, offset: int, reason: str, line: bytes) -> BadLine:
    kept = line[:KEPT_OF_A_BAD_LINE_BYTES].decode("utf-8", "backslashreplace")
    return BadLine(segment, offset, reason, kept.replace("\0", "\\0"))  # PostgreSQL's text takes no NUL
