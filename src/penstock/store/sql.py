"""The store's statements, written once for every SQL database that knows INSERT … ON CONFLICT."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import msgspec
from sqlalchemy import (
    Connection,
    Engine,
    Table,
    Text,
    and_,
    delete,
    exc,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from penstock.core.record import CallRecord, Outcome
from penstock.store.base import Checkpoint, StoreAway
from penstock.store.migrations import migrate
from penstock.store.rows import COLUMNS, Row, Value, last_of_each, named, record_of
from penstock.store.schema import calls, journal_checkpoint, poisoned
from penstock.store.segments import BadLine

Insert: TypeAlias = sqlite.Insert | postgresql.Insert

_BAD_ROW = (exc.DataError, exc.IntegrityError, OverflowError)
"""What is raised because of the row, not because of the database's own state."""


class SqlStore:
    """A Store on any engine; `insert_or` is its dialect's own insert()."""

    def __init__(
        self, engine: Engine, *, insert_or: Callable[[Table], Insert], is_locked: Callable[[exc.DBAPIError], bool]
    ) -> None:
        self._engine = engine
        self._is_locked = is_locked
        self._upsert_call = _sql_of(_upsert_call(insert_or(calls)), engine)
        self._upsert_checkpoint = _upsert_checkpoint(insert_or(journal_checkpoint))

    def prepare(self) -> None:
        with self._transaction() as connection:
            migrate(connection)

    def upsert(self, rows: Sequence[Row], bad: Sequence[BadLine], checkpoint: Checkpoint) -> int:
        last = last_of_each(rows)
        try:
            self._write(last, bad, checkpoint)
        except _BAD_ROW:
            sound, refused = self._tell_apart(last, checkpoint)
            bad = [*bad, *refused]
            self._write(sound, bad, checkpoint)
        return len(bad)

    def checkpoints(self, gateway_id: str) -> dict[str, int]:
        columns = journal_checkpoint.c
        with self._transaction() as connection:
            asked = select(columns.segment, columns.offset).where(columns.gateway_id == gateway_id)
            return {row.segment: row.offset for row in connection.execute(asked)}

    def forget(self, gateway_id: str, segments: Sequence[str]) -> None:
        columns = journal_checkpoint.c
        gone = and_(columns.gateway_id == gateway_id, columns.segment.in_(segments))
        with self._transaction() as connection:
            connection.execute(delete(journal_checkpoint).where(gone))

    def interrupt_open(self, gateway_id: str, *, but_not_boot: str) -> int:
        left = and_(calls.c.outcome.is_(None), calls.c.gateway_id == gateway_id, calls.c.boot_id != but_not_boot)
        with self._transaction() as connection:
            ended = connection.execute(update(calls).where(left).values(outcome=Outcome.INTERRUPTED.value))
            return ended.rowcount

    def settle(self) -> None:
        """A database that answers a commit only when it is on the disk has nothing to do here."""

    def get(self, record_id: str) -> CallRecord | None:
        with self._transaction() as connection:
            found = connection.execute(select(calls).where(calls.c.id == record_id)).first()
            return None if found is None else record_of(found)

    def latest(self, limit: int) -> list[CallRecord]:
        newest = select(calls).order_by(calls.c.received_at.desc(), calls.c.id.desc()).limit(limit)
        with self._transaction() as connection:
            return [record_of(row) for row in connection.execute(newest)]

    def count(self) -> int:
        return self._count(calls)

    def count_poisoned(self) -> int:
        return self._count(poisoned)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except _BAD_ROW:
            raise
        except exc.DBAPIError as error:
            raise StoreAway(str(error.orig), is_locked=self._is_locked(error)) from error

    def _write(self, rows: list[Row], bad: Sequence[BadLine], checkpoint: Checkpoint) -> None:
        with self._transaction() as connection:
            if rows:
                connection.exec_driver_sql(self._upsert_call, rows)
            if bad:
                connection.execute(insert(poisoned), [_poisoned_row(line, checkpoint) for line in bad])
            connection.execute(self._upsert_checkpoint, _checkpoint_row(checkpoint))

    def _tell_apart(self, rows: list[Row], checkpoint: Checkpoint) -> tuple[list[Row], list[BadLine]]:
        """Try every row for itself, and keep none of it: which would the database take, which not, and why?"""
        sound: list[Row] = []
        refused: list[BadLine] = []
        with self._transaction() as connection:
            for row in rows:
                attempt = connection.begin_nested()
                try:
                    connection.exec_driver_sql(self._upsert_call, row)
                    sound.append(row)
                except _BAD_ROW as error:
                    line = msgspec.json.encode(named(row)).decode().replace("\\u0000", "\\\\0")
                    refused.append(BadLine(checkpoint.segment, checkpoint.offset, str(error.args[0]), line))
                finally:
                    attempt.rollback()
        return sound, refused

    def _count(self, table: Table) -> int:
        with self._transaction() as connection:
            return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _sql_of(statement: Insert, engine: Engine) -> str:
    """The statement in the database's own words, for tuples: 53 named parameters cost more than the insert."""
    compiled = statement.compile(engine)
    assert isinstance(compiled, SQLCompiler)
    assert compiled.positiontup == list(COLUMNS)
    return compiled.string


def _upsert_call(statement: Insert) -> Insert:
    changed = {column.name: statement.excluded[column.name] for column in calls.c if not column.primary_key}
    interrupted = literal_column(f"'{Outcome.INTERRUPTED.value}'", Text)
    taken_for_interrupted = and_(calls.c.outcome == interrupted, statement.excluded.outcome.is_not(None))
    may_change = or_(calls.c.outcome.is_(None), taken_for_interrupted)
    return statement.on_conflict_do_update(index_elements=[calls.c.id], set_=changed, where=may_change)


def _upsert_checkpoint(statement: Insert) -> Insert:
    key = [journal_checkpoint.c.gateway_id, journal_checkpoint.c.segment]
    return statement.on_conflict_do_update(index_elements=key, set_={"offset": statement.excluded.offset})


def _poisoned_row(bad: BadLine, checkpoint: Checkpoint) -> dict[str, Value]:
    return {
        "gateway_id": checkpoint.gateway_id,
        "segment": bad.segment,
        "offset": bad.offset,
        "reason": bad.reason,
        "line": bad.text,
    }


def _checkpoint_row(checkpoint: Checkpoint) -> dict[str, Value]:
    return {"gateway_id": checkpoint.gateway_id, "segment": checkpoint.segment, "offset": checkpoint.offset}
