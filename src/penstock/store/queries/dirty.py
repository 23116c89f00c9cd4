"""Which spans' rollups do not say what the records say, and what else is remembered about them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Label,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)

from penstock.store.queries.tables import MINUTE, rollup_dirty, rollup_state
from penstock.store.schema import calls

_LOCK = 0x726F6C6C
NUMBERS_AT_ONCE = 500


def is_ours(connection: Connection) -> bool:
    """Whether no other bookkeeper of a shared database is at it. SQLite has one writer anyway."""
    if connection.dialect.name == "sqlite":
        return True
    return bool(connection.execute(select(func.pg_try_advisory_xact_lock(_LOCK))).scalar_one())


def state(connection: Connection, name: str) -> float | None:
    asked = select(rollup_state.c.value).where(rollup_state.c.name == name)
    found: float | None = connection.execute(asked).scalar_one_or_none()
    return found


def mark_all(connection: Connection) -> None:
    """Every minute in which a call was received.

    From one to the next by an index: to look at each of ten million calls takes minutes, and this a second.
    """
    minutes = select(_minute_of(connection, func.min(calls.c.received_at))).cte("minutes", recursive=True)
    start_at = minutes.c.start_at
    following = select(func.min(calls.c.received_at)).where(calls.c.received_at >= start_at + MINUTE).scalar_subquery()
    minutes = minutes.union_all(select(_minute_of(connection, following)).where(start_at.is_not(None)))
    every = select(literal(MINUTE), minutes.c.start_at, literal(0)).where(minutes.c.start_at.is_not(None))
    # None of them is measured without those beside it: that is what 0 says.
    connection.execute(insert(rollup_dirty).from_select(["span_s", "start_at", "is_changed"], every))


def minutes_that_go_on(connection: Connection) -> set[int]:
    """Those of which calls still wait or run."""
    asked = select(_minute_of(connection, calls.c.received_at)).where(calls.c.outcome.is_(None)).distinct()
    return set(connection.execute(asked).scalars())


def _minute_of(connection: Connection, at: ColumnElement[float]) -> Label[int]:
    """SQLite may lack floor(), and rounds towards zero."""
    number = at / MINUTE if connection.dialect.name == "sqlite" else func.floor(at / MINUTE)
    return (cast(number, BigInteger) * MINUTE).label("start_at")


def clean(connection: Connection, span_s: int, starts: Sequence[int]) -> bool:
    """Say that spans say what the records say *now*; gives whether any's own records had changed."""
    columns = rollup_dirty.c
    asked = select(columns.number, columns.is_changed).where(columns.span_s == span_s, columns.start_at.in_(starts))
    found = connection.execute(asked).all()
    for at in range(0, len(found), NUMBERS_AT_ONCE):
        some = [row.number for row in found[at : at + NUMBERS_AT_ONCE]]
        connection.execute(delete(rollup_dirty).where(columns.number.in_(some)))
    return any(row.is_changed for row in found)


def mark(connection: Connection, span_s: int, starts: set[int], *, is_changed: bool = True) -> None:
    if not starts:
        return
    known = select(rollup_dirty.c.start_at).where(
        rollup_dirty.c.span_s == span_s, rollup_dirty.c.start_at.between(min(starts), max(starts))
    )
    new = sorted(starts - set(connection.execute(known).scalars()))
    if new:
        rows = [{"span_s": span_s, "start_at": start, "is_changed": int(is_changed)} for start in new]
        connection.execute(insert(rollup_dirty), rows)


def note_longest(connection: Connection, longest_s: float) -> float:
    """How long the longest call ever took, this one among them."""
    known = state(connection, "longest_s")
    if known is None:
        connection.execute(insert(rollup_state).values(name="longest_s", value=longest_s))
    elif longest_s > known:
        connection.execute(update(rollup_state).where(rollup_state.c.name == "longest_s").values(value=longest_s))
    return max(known or 0.0, longest_s)
