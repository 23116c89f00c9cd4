"""Records as files: JSON Lines, CSV and Parquet. One object or row for each record, derived figures included.

Nothing is held but one page of rows, however long the history is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import msgspec

from penstock.core.accounting.fields import documented
from penstock.core.accounting.record import DERIVED, CallRecord
from penstock.core.accounting.retries import as_try, first_tries
from penstock.errors import PenstockError
from penstock.store.base import Kind, Place, Store, Window
from penstock.store.rows import COLUMNS, Row, Value, record_of
from penstock.store.statements import TABLES

PAGE_ROWS = 2000
ROW_GROUP_ROWS = 20_000
"""Of a Parquet file: larger ones compress better, and are held in memory until they are written."""

_RETRY_OF = COLUMNS.index("retry_of")

TEXT, INTEGER, NUMBER, BOOLEAN, JSON = "text", "integer", "number", "boolean", "JSON"


class ParquetMissing(PenstockError):
    """Parquet needs pyarrow: pip install 'penstock[parquet]'."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


@dataclass(frozen=True, slots=True)
class Field:
    """A column of an export; `kind` is one of TEXT, INTEGER, NUMBER, BOOLEAN, JSON."""

    name: str
    kind: str


def fields_of(kind: Kind) -> list[Field]:
    """What a record of a kind is exported as, in order."""
    record = TABLES[kind].record
    own = [Field(each.name, each.kind) for each in documented(record)]
    if record is not CallRecord:
        return own
    return [*own, *(Field(name, INTEGER if name.endswith("_tokens") else NUMBER) for name in DERIVED)]


Values = Sequence[Value]
"""Of one record, in the order of its fields; what is JSON is text."""


def pages(store: Store, kind: Kind, window: Window, *, page_rows: int = PAGE_ROWS) -> Iterator[list[Values]]:
    """All records of a window, oldest first, a page at a time. Raises StoreAway.

    Each page is a question of its own: nothing is kept open in the database while somebody reads slowly.
    """
    of = TABLES[kind]
    at, record_id = of.columns.index(of.at), of.columns.index("id")
    after: Place | None = None
    before: list[Row] = []
    while True:
        rows = store.page(kind, window, after, page_rows)
        if rows:
            yield _of_calls(before, rows) if kind is Kind.CALLS else list(rows)
        if len(rows) < page_rows:
            return
        after = Place(float(rows[-1][at] or 0.0), str(rows[-1][record_id]))
        before = rows


def _of_calls(before: Sequence[Row], rows: Sequence[Row]) -> list[Values]:
    """With what is derived, and first tries, as far as they are on this page or the one before."""
    records = [record_of(row) for row in rows]
    if any(record.retry_count for record in records):
        first = first_tries(map(as_try, (*map(record_of, before), *records)))
        for record in records:
            record.retry_of = record.retry_of or first.get(record.id)
    return [
        (*row[:_RETRY_OF], record.retry_of, *row[_RETRY_OF + 1 :], *(derived(record) for derived in DERIVED.values()))
        for row, record in zip(rows, records, strict=True)
    ]


class Writer(Protocol):
    def write(self, page: list[Values]) -> None: ...

    def close(self) -> None:
        """Write what is still held. The file stays open."""


class JsonLines:
    """One object per line; what is unknown is null."""

    def __init__(self, file: BinaryIO, fields: Sequence[Field]) -> None:
        self._file = file
        self._names = [field.name for field in fields]
        self._json_at = {index for index, field in enumerate(fields) if field.kind == JSON}
        self._encode = msgspec.json.Encoder().encode

    def write(self, page: list[Values]) -> None:
        self._file.write(b"".join(self._encode(self._told(values)) + b"\n" for values in page))

    def _told(self, values: Values) -> dict[str, object]:
        told: dict[str, object] = dict(zip(self._names, values, strict=True))
        for index in self._json_at:
            told[self._names[index]] = msgspec.Raw(str(values[index]).encode())
        return told

    def close(self) -> None: ...


class Csv:
    """With a head; what is unknown is an empty cell, JSON is text."""

    def __init__(self, file: BinaryIO, fields: Sequence[Field]) -> None:
        self._file = file
        self._booleans = {index for index, field in enumerate(fields) if field.kind == BOOLEAN}
        self._write([[field.name for field in fields]])

    def write(self, page: list[Values]) -> None:
        self._write([[self._cell(index, value) for index, value in enumerate(values)] for values in page])

    def _cell(self, index: int, value: Value) -> Value:
        if value is None or index not in self._booleans:
            return value
        return "true" if value else "false"

    def _write(self, rows: Sequence[Sequence[Value]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._file.write(text.getvalue().encode("utf-8", "backslashreplace"))

    def close(self) -> None: ...


class Parquet:
    """Typed columns, compressed; JSON is text. Raises ParquetMissing."""

    def __init__(self, file: BinaryIO, fields: Sequence[Field]) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ModuleNotFoundError as exc:
            raise ParquetMissing from exc
        types = {
            TEXT: pyarrow.string(), JSON: pyarrow.string(), INTEGER: pyarrow.int64(),
            NUMBER: pyarrow.float64(), BOOLEAN: pyarrow.bool_(),
        }  # fmt: skip
        self._schema = pyarrow.schema([(field.name, types[field.kind]) for field in fields])
        self._make = pyarrow.RecordBatch.from_arrays
        self._array = pyarrow.array
        self._writer = pyarrow.parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._held: list[Values] = []

    def write(self, page: list[Values]) -> None:
        self._held += page
        if len(self._held) >= ROW_GROUP_ROWS:
            self._write_held()

    def _write_held(self) -> None:
        columns = zip(*self._held, strict=True)
        arrays = [self._array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._writer.write_batch(self._make(arrays, schema=self._schema))
        self._held = []

    def close(self) -> None:
        if self._held:
            self._write_held()
        self._writer.close()


FORMATS: dict[str, Callable[[BinaryIO, Sequence[Field]], Writer]] = {
    "jsonl": JsonLines,
    "csv": Csv,
    "parquet": Parquet,
}
