"""A record on its way from the journal to the store: a line of JSON that becomes a tuple in the order of COLUMNS.

Neither a CallRecord nor a dict is made in between: what is carried over is only passed on, and a tuple goes into the
database driver as it is. The way by CallRecord and named parameters took three times as long as SQLite's own work.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, fields
from typing import TypeAlias

import msgspec

from penstock.core.record import CallRecord

Value: TypeAlias = str | int | float | None
Row: TypeAlias = tuple[Value, ...]

COLUMNS = tuple(field.name for field in fields(CallRecord))
ID, OUTCOME = COLUMNS.index("id"), COLUMNS.index("outcome")
_REASONS = COLUMNS.index("wait_reasons")
_NO_REASONS = "{}"


def line_struct(names: Iterable[str]) -> type[msgspec.Struct]:
    """A struct of these fields of CallRecord, whose JSON leaves out what is None.

    A struct because it is quick: read in a fifth of the time of a dataclass, written in a third of that of a dict.
    """
    known = {field.name: field for field in fields(CallRecord)}
    types = typing.get_type_hints(CallRecord)
    members: list[tuple[str, type] | tuple[str, type, object]] = []
    for name in names:
        factory = known[name].default_factory
        default = known[name].default if factory is MISSING else msgspec.field(default_factory=factory)
        members.append((name, types[name]) if default is MISSING else (name, types[name], default))
    return msgspec.defstruct("Line", members, omit_defaults=True, gc=False)


_decode = msgspec.json.Decoder(line_struct(COLUMNS)).decode
_encode_reasons = msgspec.json.Encoder().encode
_decode_reasons = msgspec.json.Decoder(dict[str, float]).decode


def read_row(line: bytes) -> Row:
    """Raises msgspec.DecodeError or RecursionError for what is no line of a journal."""
    values = msgspec.structs.astuple(_decode(line))
    reasons = values[_REASONS]
    text = _encode_reasons(reasons).decode() if reasons else _NO_REASONS
    return (*values[:_REASONS], text, *values[_REASONS + 1 :])


def is_ended(row: Row) -> bool:
    return row[OUTCOME] is not None


def last_of_each(rows: Iterable[Row]) -> list[Row]:
    """One row per id, as upserts one by one would leave it: most calls open and close within one batch."""
    last: dict[Value, Row] = {}
    for row in rows:
        known = last.get(row[ID])
        if known is None or known[OUTCOME] is None:
            last[row[ID]] = row
    return list(last.values())


def named(row: Row) -> dict[str, Value]:
    return dict(zip(COLUMNS, row, strict=True))


def record_of(row: Sequence[Value]) -> CallRecord:
    values: dict[str, object] = dict(zip(COLUMNS, row, strict=True))
    values["wait_reasons"] = _decode_reasons(str(row[_REASONS]))
    return msgspec.convert(values, CallRecord)
