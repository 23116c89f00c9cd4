"""Records from a file that was exported: JSON Lines or CSV, back into a store."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import msgspec

from penstock.store.base import Checkpoint, Kind, Store
from penstock.store.exporting import BOOLEAN, INTEGER, JSON, NUMBER, Field, fields_of
from penstock.store.patience import patiently
from penstock.store.rows import Row, read_exported
from penstock.store.segments import MAX_LINE_BYTES, BadLine
from penstock.store.statements import TABLES

BATCH_LINES = 2000
GATEWAY_ID = "import"
"""Whose journal the lines count as that are set aside."""

csv.field_size_limit(MAX_LINE_BYTES)


@dataclass(slots=True)
class Imported:
    """How many records were taken, how many lines were left out, and those of them that are no records.

    The others are records that the tables refuse: they are set aside in the store with their reason.
    """

    records: int
    left_out: int
    bad: list[BadLine]


def import_lines(store: Store, kind: Kind, name: str, file: BinaryIO) -> Iterator[Imported]:
    """Read a file to its end, saying how it went after each batch. Raises StoreAway; doing it again is harmless.

    A record that the store has, and that has ended, stays as it is.
    """
    lines = enumerate(_as_json(file, fields_of(kind)), start=1)
    while batch := list(itertools.islice(lines, BATCH_LINES)):
        read: list[Row] = []
        bad: list[BadLine] = []
        for number, line in batch:
            try:
                read.append(read_exported(TABLES[kind].record, line))
            except (msgspec.DecodeError, RecursionError) as exc:
                bad.append(BadLine(name, number, str(exc), line[:200].decode("utf-8", "backslashreplace")))
        here = Checkpoint(GATEWAY_ID, name, batch[-1][0])
        refused = patiently(partial(_put, store, kind, read, here))
        yield Imported(len(read) - refused, len(bad) + refused, bad)
    patiently(lambda: store.forget(GATEWAY_ID, [name]))


def _put(store: Store, kind: Kind, rows: list[Row], here: Checkpoint) -> int:
    """Return how many the tables refused; the store has set them aside."""
    if kind is Kind.CALLS:
        return store.upsert(rows, [], here)
    if kind is Kind.LOADS:
        return store.upsert([], [], here, loads=rows)
    return store.upsert([], [], here, samples=rows)


def _as_json(file: BinaryIO, fields: Iterable[Field]) -> Iterator[bytes]:
    """The lines of JSON Lines; those of CSV as such. Told by the first byte."""
    first = file.readline(MAX_LINE_BYTES)
    if first.lstrip()[:1] in (b"{", b""):
        rest = iter(lambda: file.readline(MAX_LINE_BYTES), b"")
        yield from (line for line in itertools.chain([first], rest) if line.strip())
        return
    kinds = {field.name: field.kind for field in fields}
    try:
        names = next(csv.reader([first.decode("utf-8", "replace")]))
    except csv.Error as exc:
        yield str(exc).encode()  # no names, so nothing that stands below them
        return
    text = io.TextIOWrapper(file, "utf-8", errors="replace", newline="")
    rows = csv.reader(text)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            break
        except csv.Error as exc:
            yield str(exc).encode()  # which is no JSON: the line is left out for that
            continue
        cells = zip(names, row, strict=False)
        yield msgspec.json.encode({name: _value(kinds[name], cell) for name, cell in cells if cell and name in kinds})
    text.detach()  # or it would close the file, which is the caller's


def _value(kind: str, cell: str) -> object:
    """What cannot be read stays text, which the record then refuses."""
    try:
        if kind in (INTEGER, NUMBER):
            return int(cell) if kind == INTEGER else float(cell)
        if kind == JSON:
            return msgspec.json.decode(cell)
    except (ValueError, RecursionError):
        return cell
    return {"true": True, "false": False}.get(cell, cell) if kind == BOOLEAN else cell
