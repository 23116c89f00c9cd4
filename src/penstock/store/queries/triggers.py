"""The databases themselves note which minutes' records have changed: whoever writes calls, none is forgotten.

With the triggers come indexes that only questions need.
"""

from __future__ import annotations

from sqlalchemy import Connection, inspect, select

from penstock.store.queries.tables import VERSION, rollup_state

LONG_S = 300.0
"""Calls that took longer are few, and have an index of their own: who looks for what ran at a time finds them there."""

_MINUTE_OF = "CAST({row}.received_at / 60 AS INTEGER) * 60"
_MARK_ONE = """CREATE TRIGGER IF NOT EXISTS rollup_{name} AFTER {event} ON calls WHEN {row}.outcome IS NOT NULL BEGIN
INSERT INTO rollup_dirty (span_s, start_at) SELECT 60, {minute}
WHERE NOT EXISTS (SELECT 1 FROM rollup_dirty WHERE span_s = 60 AND start_at = {minute} AND is_changed = 1); END"""

_MARK_MANY = """CREATE OR REPLACE FUNCTION rollup_mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF TG_OP = 'DELETE' THEN
INSERT INTO rollup_dirty (span_s, start_at)
SELECT DISTINCT 60, floor(received_at / 60)::bigint * 60 FROM gone WHERE outcome IS NOT NULL;
ELSE
INSERT INTO rollup_dirty (span_s, start_at)
SELECT DISTINCT 60, floor(received_at / 60)::bigint * 60 FROM fresh WHERE outcome IS NOT NULL;
END IF;
RETURN NULL; END $$"""
_POSTGRES_TRIGGER = """CREATE TRIGGER rollup_{name} AFTER {event} ON calls REFERENCING {side} TABLE AS {rows}
FOR EACH STATEMENT EXECUTE FUNCTION rollup_mark()"""

_INDEXES = {
    "calls_long": ("calls", f"(received_at) WHERE done_s > {LONG_S}"),
    "samples_gateway": ("samples", "(gateway_id, sampled_at)"),
}
_KNOWN_TRIGGERS = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'calls'::regclass"

_EVENTS = ("INSERT", "UPDATE", "DELETE")


def create_triggers(connection: Connection) -> None:
    """Idempotent: a migration that made the table anew has taken them along.

    What is there is left alone: to make it again, PostgreSQL would wait until nobody reads or writes any calls.
    """
    for name, (table, rest) in _INDEXES.items():
        if name not in {index["name"] for index in inspect(connection).get_indexes(table)}:
            connection.exec_driver_sql(f"CREATE INDEX {name} ON {table} {rest}")
    if connection.dialect.name == "sqlite":
        for event in _EVENTS:
            row = "OLD" if event == "DELETE" else "NEW"
            statement = _MARK_ONE.format(name=event.lower(), event=event, row=row, minute=_MINUTE_OF.format(row=row))
            connection.exec_driver_sql(statement)
        return
    connection.exec_driver_sql(_MARK_MANY)
    known = set(connection.exec_driver_sql(_KNOWN_TRIGGERS).scalars())
    for event in _EVENTS:
        side, rows = ("OLD", "gone") if event == "DELETE" else ("NEW", "fresh")
        statement = _POSTGRES_TRIGGER.format(name=event.lower(), event=event, side=side, rows=rows)
        if f"rollup_{event.lower()}" not in known:
            connection.exec_driver_sql(statement)


def has_rollups(connection: Connection) -> bool:
    """Whether there are any that this version understands."""
    if not inspect(connection).has_table(rollup_state.name):
        return False
    version = select(rollup_state.c.value).where(rollup_state.c.name == "version")
    return connection.execute(version).scalar_one_or_none() == VERSION
