"""The tables of the store: one column per field of the record, under the same name.

Spans (queue wait, service, …) are not stored: each is the difference of two stored moments, which
core/accounting/record.py names, and a stored copy would be a second truth, 48 bytes a row, that a repaired moment
contradicts. Times are epoch seconds or seconds as double precision, structured members are JSON text: no type belongs
to one database only.
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

from penstock.core.accounting.host_sample import HostSample
from penstock.core.accounting.load_record import LoadRecord
from penstock.core.accounting.record import CallRecord, Outcome

metadata = MetaData()

_TYPES: dict[object, type[TypeEngine[typing.Any]]] = {str: Text, float: Double, int: BigInteger, bool: Boolean}


def _columns(record: type) -> list[Column[typing.Any]]:
    hints = typing.get_type_hints(record)
    return [_column(field.name, hints[field.name]) for field in fields(record)]


def _column(name: str, hint: object) -> Column[typing.Any]:
    members = typing.get_args(hint) if isinstance(hint, UnionType) else (hint,)
    kind = _TYPES.get(members[0], Text)  # a dict or a list is kept as JSON text
    return Column(name, kind, primary_key=name == "id", nullable=NoneType in members)


def _ended_means_outcome(name: str) -> CheckConstraint:
    """What was interrupted has ended, but nobody knows when."""
    interrupted = Outcome.INTERRUPTED.value
    return CheckConstraint(
        f"(outcome IS NOT NULL AND outcome <> '{interrupted}') = (done_s IS NOT NULL)",
        name=f"{name}_ended_means_outcome",
    )


calls = Table("calls", metadata, *_columns(CallRecord), _ended_means_outcome("calls"))
Index("calls_received_at", calls.c.received_at)
Index("calls_model", calls.c.model, calls.c.received_at)
Index("calls_key", calls.c.key, calls.c.received_at)
Index(
    "calls_open",
    calls.c.gateway_id,
    sqlite_where=calls.c.outcome.is_(None),
    postgresql_where=calls.c.outcome.is_(None),
)

loads = Table("loads", metadata, *_columns(LoadRecord), _ended_means_outcome("loads"))
Index("loads_started_at", loads.c.started_at)
Index("loads_model", loads.c.model, loads.c.started_at)

samples = Table("samples", metadata, *_columns(HostSample))
Index("samples_sampled_at", samples.c.sampled_at)

gateways = Table(
    "gateways",
    metadata,
    Column("gateway_id", Text, primary_key=True),
    Column("state_dir", Text, nullable=False),
)
"""Where the journals are that are carried over to here."""

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

belief = Table(
    "belief",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("doubted_s", Double),
)
"""One row: the time that who deletes old records goes by (store/belief.py)."""
