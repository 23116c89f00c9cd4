"""The store's work, written once for every SQL database that knows INSERT … ON CONFLICT."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Function,
    and_,
    delete,
    exc,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

from penstock.core.accounting.record import CallRecord, Outcome
from penstock.store import schema
from penstock.store.base import EVER, FIRST_SOUND_CLOCK, Checkpoint, Kind, Place, StoreAway, Window
from penstock.store.belief import Belief
from penstock.store.migrations import migrate
from penstock.store.rows import LOAD_OUTCOME, Row, Value, last_of_each, record_of
from penstock.store.schema import calls, gateways, journal_checkpoint, loads, poisoned
from penstock.store.segments import BadLine
from penstock.store.statements import (
    TABLES,
    InsertOr,
    KindTable,
    upsert_belief,
    upsert_checkpoint,
    upsert_gateway,
    upserts,
)

BAD_ROW = (exc.DataError, exc.IntegrityError, OverflowError)
"""What is raised because of the row, not because of the database's own state."""

Rows = Mapping[Kind, list[Row]]


class SqlStore:
    """A Store on any engine; `insert_or` is its dialect's own insert()."""

    def __init__(self, engine: Engine, *, insert_or: InsertOr, is_locked: Callable[[exc.DBAPIError], bool]) -> None:
        self._engine = engine
        self._is_locked = is_locked
        self._upserts = upserts(insert_or, engine)
        self._upsert_checkpoint = upsert_checkpoint(insert_or)
        self._upsert_gateway = upsert_gateway(insert_or)
        self._upsert_belief = upsert_belief(insert_or)

    def prepare(self) -> None:
        with self._transaction() as connection:
            migrate(connection)

    # Writing.

    def upsert(
        self,
        rows: Sequence[Row],
        bad: Sequence[BadLine],
        checkpoint: Checkpoint,
        *,
        loads: Sequence[Row] = (),
        samples: Sequence[Row] = (),
    ) -> int:
        last: Rows = {
            Kind.CALLS: last_of_each(rows),
            Kind.LOADS: last_of_each(loads, outcome=LOAD_OUTCOME),
            Kind.SAMPLES: list(samples),
        }
        try:
            self._write(last, bad, checkpoint)
        except BAD_ROW:
            sound, refused = self._tell_apart(last, checkpoint)
            bad = [*bad, *refused]
            self._write(sound, bad, checkpoint)
        return len(bad)

    def _write(self, rows: Rows, bad: Sequence[BadLine], checkpoint: Checkpoint) -> None:
        with self._transaction() as connection:
            for kind, of_kind in rows.items():
                if of_kind:
                    self._put(connection, kind, of_kind)
            if bad:
                connection.execute(insert(poisoned), [_poisoned_row(line, checkpoint) for line in bad])
            connection.execute(self._upsert_checkpoint, _checkpoint_row(checkpoint))

    def _put(self, connection: Connection, kind: Kind, rows: list[Row]) -> None:
        """Insert or update rows, each id once. A database may know a quicker way. Raises what BAD_ROW names."""
        connection.exec_driver_sql(self._upserts[kind], rows)

    def _tell_apart(self, rows: Rows, checkpoint: Checkpoint) -> tuple[Rows, list[BadLine]]:
        """Try every row for itself, and keep none of it: which would the database take, which not, and why?"""
        sound: dict[Kind, list[Row]] = {kind: [] for kind in rows}
        refused: list[BadLine] = []
        with self._transaction() as connection:
            for kind, of_kind in rows.items():
                for row in of_kind:
                    attempt = connection.begin_nested()
                    try:
                        connection.exec_driver_sql(self._upserts[kind], row)
                        sound[kind].append(row)
                    except BAD_ROW as error:
                        reason = str(error.args[0])
                        refused.append(BadLine(checkpoint.segment, checkpoint.offset, reason, _told(row, TABLES[kind])))
                    finally:
                        attempt.rollback()
        return sound, refused

    # The journal's side.

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

    def register(self, gateway_id: str, state_dir: str) -> None:
        with self._transaction() as connection:
            connection.execute(self._upsert_gateway, {"gateway_id": gateway_id, "state_dir": state_dir})

    def gateways(self) -> dict[str, str]:
        with self._transaction() as connection:
            return {row.gateway_id: row.state_dir for row in connection.execute(select(gateways))}

    def interrupt_open(self, gateway_id: str, *, but_not_boot: str) -> int:
        ended = 0
        with self._transaction() as connection:
            for table in (calls, loads):
                left = and_(
                    table.c.outcome.is_(None), table.c.gateway_id == gateway_id, table.c.boot_id != but_not_boot
                )
                ended += connection.execute(
                    update(table).where(left).values(outcome=Outcome.INTERRUPTED.value)
                ).rowcount
        return ended

    def settle(self) -> None:
        """A database that answers a commit only when it is on the disk has nothing to do here."""

    # Retention.

    def shed(self, kind: Kind, *, before: float | None, limit: int) -> int:
        of = TABLES[kind]
        window = EVER if before is None else Window(FIRST_SOUND_CLOCK, before)
        oldest = select(of.table.c.id).where(_inside(of, window)).order_by(of.table.c[of.at]).limit(limit)
        with self._transaction() as connection:
            return connection.execute(delete(of.table).where(of.table.c.id.in_(oldest))).rowcount

    def oldest_at(self, kind: Kind) -> float | None:
        return self._extreme(func.min(_at(kind)))

    def newest_at(self, kind: Kind) -> float | None:
        return self._extreme(func.max(_at(kind)))

    def _extreme(self, of: Function[float]) -> float | None:
        with self._transaction() as connection:
            at: float | None = connection.execute(select(of)).scalar_one()
        return at

    def belief(self) -> Belief | None:
        columns = schema.belief.c
        with self._transaction() as connection:
            row = connection.execute(select(columns.at, columns.doubted_s)).first()
        return None if row is None else Belief(row.at, row.doubted_s)

    def believe(self, belief: Belief) -> None:
        with self._transaction() as connection:
            connection.execute(self._upsert_belief, {"number": 1, "at": belief.at, "doubted_s": belief.doubted_s})

    # Reading.

    def get(self, record_id: str) -> CallRecord | None:
        with self._transaction() as connection:
            found = connection.execute(select(calls).where(calls.c.id == record_id)).first()
            return None if found is None else record_of(found)

    def latest(self, limit: int) -> list[CallRecord]:
        newest = select(calls).order_by(calls.c.received_at.desc(), calls.c.id.desc()).limit(limit)
        with self._transaction() as connection:
            return [record_of(row) for row in connection.execute(newest)]

    def page(self, kind: Kind, window: Window, after: Place | None, limit: int) -> list[Row]:
        of = TABLES[kind]
        at, record_id = of.table.c[of.at], of.table.c.id
        asked = select(of.table).where(_inside(of, window)).order_by(at, record_id).limit(limit)
        if after is not None:  # the first half alone is what an index can do
            asked = asked.where(at >= after.at, or_(at > after.at, record_id > after.id))
        with self._transaction() as connection:
            return [tuple(row) for row in connection.execute(asked)]

    def count(self, kind: Kind = Kind.CALLS, window: Window = EVER) -> int:
        of = TABLES[kind]
        with self._transaction() as connection:
            return connection.execute(
                select(func.count()).select_from(of.table).where(_inside(of, window))
            ).scalar_one()

    def count_poisoned(self) -> int:
        with self._transaction() as connection:
            return connection.execute(select(func.count()).select_from(poisoned)).scalar_one()

    def transaction(self) -> AbstractContextManager[Connection]:
        """For what is kept beside the records and made of them. Raises StoreAway."""
        return self._transaction()

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except BAD_ROW:
            raise
        except exc.DBAPIError as error:
            raise StoreAway(str(error.orig), is_locked=self._is_locked(error)) from error


def _at(kind: Kind) -> Column[float]:
    of = TABLES[kind]
    return of.table.c[of.at]


def _inside(of: KindTable, window: Window) -> ColumnElement[bool]:
    at = of.table.c[of.at]
    return and_(
        true() if window.since is None else at >= window.since, true() if window.until is None else at < window.until
    )


def _told(row: Row, of: KindTable) -> str:
    """A refused row as it can be kept: PostgreSQL's text takes no NUL."""
    named = dict(zip(of.columns, row, strict=True))
    return msgspec.json.encode(named).decode().replace("\\u0000", "\\\\0")


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
