"""The statements that write records, built once for each database that knows INSERT … ON CONFLICT."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TypeAlias

from sqlalchemy import Engine, Table, Text, and_, literal_column, or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from penstock.core.accounting.host_sample import HostSample
from penstock.core.accounting.load_record import LoadRecord
from penstock.core.accounting.record import CallRecord, Outcome
from penstock.store.base import Kind
from penstock.store.schema import belief, calls, gateways, journal_checkpoint, loads, samples

Insert: TypeAlias = sqlite.Insert | postgresql.Insert
InsertOr: TypeAlias = Callable[[Table], Insert]
"""A dialect's own insert()."""


@dataclass(frozen=True, slots=True)
class KindTable:
    """Where the records of a kind are, and by which column they are in order of time."""

    table: Table
    at: str
    record: type

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(field.name for field in fields(self.record))


TABLES: Mapping[Kind, KindTable] = {
    Kind.CALLS: KindTable(calls, "received_at", CallRecord),
    Kind.LOADS: KindTable(loads, "started_at", LoadRecord),
    Kind.SAMPLES: KindTable(samples, "sampled_at", HostSample),
}


def upserts(insert_or: InsertOr, engine: Engine) -> dict[Kind, str]:
    """For each kind the statement in the database's own words, for tuples: named parameters cost more than the insert.

    Nothing changes a record that has ended, unless it was only taken for interrupted; a sample never changes.
    """
    return {
        kind: _sql_of(upsert_until_ended(insert_or(of.table), of.table), of, engine)
        if "outcome" in of.table.c
        else _sql_of(insert_or(of.table).on_conflict_do_nothing(), of, engine)
        for kind, of in TABLES.items()
    }


def upsert_until_ended(statement: Insert, table: Table) -> Insert:
    """Let a record be changed until it has ended, and once more when its energy is known."""
    changed = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    interrupted = literal_column(f"'{Outcome.INTERRUPTED.value}'", Text)
    taken_for_interrupted = and_(table.c.outcome == interrupted, statement.excluded.outcome.is_not(None))
    may_change = or_(table.c.outcome.is_(None), taken_for_interrupted)
    if "energy_j" in table.c:  # known only some time after the end
        excluded = statement.excluded
        adds_energy = and_(table.c.energy_j.is_(None), excluded.energy_j.is_not(None), excluded.outcome.is_not(None))
        may_change = or_(may_change, adds_energy)
    return statement.on_conflict_do_update(index_elements=[table.c.id], set_=changed, where=may_change)


def _sql_of(statement: Insert, of: KindTable, engine: Engine) -> str:
    compiled = statement.compile(engine)
    assert isinstance(compiled, SQLCompiler)
    assert compiled.positiontup == list(of.columns)
    return compiled.string


def upsert_checkpoint(insert_or: InsertOr) -> Insert:
    statement = insert_or(journal_checkpoint)
    key = [journal_checkpoint.c.gateway_id, journal_checkpoint.c.segment]
    return statement.on_conflict_do_update(index_elements=key, set_={"offset": statement.excluded.offset})


def upsert_gateway(insert_or: InsertOr) -> Insert:
    statement = insert_or(gateways)
    return statement.on_conflict_do_update(
        index_elements=[gateways.c.gateway_id], set_={"state_dir": statement.excluded.state_dir}
    )


def upsert_belief(insert_or: InsertOr) -> Insert:
    statement = insert_or(belief)
    changed = {name: statement.excluded[name] for name in ("at", "doubted_s")}
    return statement.on_conflict_do_update(index_elements=[belief.c.number], set_=changed)
