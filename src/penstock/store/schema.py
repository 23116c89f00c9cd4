"""The tables of the store: one column per field of the record, under the same name.

Spans (queue wait, service, …) are not stored: each is the difference of two stored moments, core/record.py says which,
and a stored copy would be a second truth, 48 bytes a row, that a repaired moment contradicts. Times are epoch seconds
or seconds as double precision, structured members are JSON text: no type belongs to one database only.
"""

from __future__ import annotations

import typing
from dataclasses import fields
from types import NoneType, UnionType

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.types import TypeEngine

from penstock.core.record import CallRecord, Outcome

metadata = MetaData()

_TYPES: dict[object, type[TypeEngine[typing.Any]]] = {str: Text, float: Double, int: BigInteger, bool: Boolean}


def _column(name: str, hint: object) -> Column[typing.Any]:
    members = typing.get_args(hint) if isinstance(hint, UnionType) else (hint,)
    kind = _TYPES.get(members[0], Text)  # a dict is kept as JSON text
    return Column(name, kind, primary_key=name == "id", nullable=NoneType in members)


_hints = typing.get_type_hints(CallRecord)

calls = Table(
    "calls",
    metadata,
    *(_column(field.name, _hints[field.name]) for field in fields(CallRecord)),
    CheckConstraint(
        f"(outcome IS NOT NULL AND outcome <> '{Outcome.INTERRUPTED.value}') = (done_s IS NOT NULL)",
        name="calls_ended_means_outcome",
    ),
)
Index("calls_received_at", calls.c.received_at)
Index("calls_model", calls.c.model, calls.c.received_at)
Index("calls_key", calls.c.key, calls.c.received_at)
Index(
    "calls_open",
    calls.c.gateway_id,
    sqlite_where=calls.c.outcome.is_(None),
    postgresql_where=calls.c.outcome.is_(None),
)

journal_checkpoint = Table(
    "journal_checkpoint",
    metadata,
    Column("gateway_id", Text, primary_key=True),
    Column("segment", Text, primary_key=True),
    Column("offset", BigInteger, nullable=False),
)

poisoned = Table(
    "poisoned",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("gateway_id", Text, nullable=False),
    Column("segment", Text, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("line", Text, nullable=False),
)
