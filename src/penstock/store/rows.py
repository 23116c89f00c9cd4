"""A record on its way from the journal to the store: a line of JSON that becomes a tuple in the order of its columns.

Neither a record nor a dict is made in between: what is carried over is only passed on, and a tuple goes into the
database driver as it is. The way by CallRecord and named parameters took three times as long as SQLite's own work.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, fields
from typing import TypeAlias

import msgspec

from penstock.core.accounting.host_sample import HostSample
from penstock.core.accounting.load_record import LoadRecord
from penstock.core.accounting.record import CallRecord

Value: TypeAlias = str | int | float | None
Row: TypeAlias = tuple[Value, ...]
Noted: TypeAlias = LoadRecord | HostSample
"""What stands in the journal beside calls."""

COLUMNS = tuple(field.name for field in fields(CallRecord))
LOAD_COLUMNS = tuple(field.name for field in fields(LoadRecord))
SAMPLE_COLUMNS = tuple(field.name for field in fields(HostSample))
ID, OUTCOME, ENERGY = COLUMNS.index("id"), COLUMNS.index("outcome"), COLUMNS.index("energy_j")
LOAD_OUTCOME = LOAD_COLUMNS.index("outcome")
_REASONS = COLUMNS.index("wait_reasons")
_NO_REASONS = "{}"

_TAG, _LOAD, _SAMPLE = "kind", "load", "sample"
_TAGGED = b'{"kind":"'
"""How a line begins that is not about a call: the lines of calls are by far the most, and have no tag."""


def line_struct(record: type, names: Iterable[str], *, tag: str | None = None) -> type[msgspec.Struct]:
    """A struct of these fields of a record, whose JSON leaves out what is None.

    A struct because it is quick: read in a fifth of the time of a dataclass, written in a third of that of a dict.
    """
    known = {field.name: field for field in fields(record)}
    types = typing.get_type_hints(record)
    members: list[tuple[str, type] | tuple[str, type, object]] = []
    for name in names:
        factory = known[name].default_factory
        default = known[name].default if factory is MISSING else msgspec.field(default_factory=factory)
        members.append((name, types[name]) if default is MISSING else (name, types[name], default))
    tag_field = None if tag is None else _TAG
    return msgspec.defstruct("Line", members, omit_defaults=True, gc=False, tag=tag, tag_field=tag_field)


LOAD_LINE = line_struct(LoadRecord, LOAD_COLUMNS, tag=_LOAD)
SAMPLE_LINE = line_struct(HostSample, SAMPLE_COLUMNS, tag=_SAMPLE)

_decode_call = msgspec.json.Decoder(line_struct(CallRecord, COLUMNS)).decode
_decode_noted = msgspec.json.Decoder(LOAD_LINE | SAMPLE_LINE).decode
_decode_exported: dict[type, Callable[[bytes], msgspec.Struct]] = {
    LoadRecord: msgspec.json.Decoder(line_struct(LoadRecord, LOAD_COLUMNS)).decode,
    HostSample: msgspec.json.Decoder(line_struct(HostSample, SAMPLE_COLUMNS)).decode,
}
_encode = msgspec.json.Encoder().encode
_decode_json = msgspec.json.Decoder().decode


def is_call(line: bytes) -> bool:
    return not line.startswith(_TAGGED)


def read_row(line: bytes) -> Row:
    """The line of a call. Raises msgspec.DecodeError or RecursionError for what is no such line."""
    values = msgspec.structs.astuple(_decode_call(line))
    reasons = values[_REASONS]
    text = _encode(reasons).decode() if reasons else _NO_REASONS
    return (*values[:_REASONS], text, *values[_REASONS + 1 :])


def read_noted(line: bytes) -> tuple[type[Noted], Row]:
    """A line that is not about a call, and what it is about. Raises msgspec.DecodeError or RecursionError."""
    read: msgspec.Struct = _decode_noted(line)
    return (LoadRecord if isinstance(read, LOAD_LINE) else HostSample), _flat(read)


def read_exported(record: type, line: bytes) -> Row:
    """A record of this type as it was exported: what it has beside its fields is left out, and it has no tag.

    Raises msgspec.DecodeError or RecursionError.
    """
    return read_row(line) if record is CallRecord else _flat(_decode_exported[record](line))


def _flat(line: msgspec.Struct) -> Row:
    values = msgspec.structs.astuple(line)
    return tuple(_encode(value).decode() if isinstance(value, list) else value for value in values)


def is_ended(row: Row) -> bool:
    return row[OUTCOME] is not None


def last_of_each(rows: Iterable[Row], *, outcome: int = OUTCOME) -> list[Row]:
    """One row per id, as upserts one by one would leave it: most calls open and close within one batch."""
    last: dict[Value, Row] = {}
    for row in rows:
        known = last.get(row[ID])
        if known is None or known[outcome] is None or (outcome == OUTCOME and _adds_energy(row, known)):
            last[row[ID]] = row
    return list(last.values())


def _adds_energy(row: Row, known: Row) -> bool:
    """It says of a call that has ended what is known only some time after that."""
    return known[ENERGY] is None and row[ENERGY] is not None and row[OUTCOME] is not None


def record_of(row: Sequence[Value]) -> CallRecord:
    values: dict[str, object] = dict(zip(COLUMNS, row, strict=True))
    values["wait_reasons"] = _decode_json(str(row[_REASONS]))
    return msgspec.convert(values, CallRecord)


def load_of(row: Sequence[Value]) -> LoadRecord:
    values: dict[str, object] = dict(zip(LOAD_COLUMNS, row, strict=True))
    for name in ("devices", "victims"):
        values[name] = _decode_json(str(values[name]))
    return msgspec.convert(values, LoadRecord)


def sample_of(row: Sequence[Value]) -> HostSample:
    values: dict[str, object] = dict(zip(SAMPLE_COLUMNS, row, strict=True))
    for name in ("devices", "engines"):
        values[name] = _decode_json(str(values[name]))
    return msgspec.convert(values, HostSample)
