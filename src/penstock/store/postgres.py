"""The store for several gateways: one PostgreSQL database, reached through psycopg (the extra `postgres`)."""

from __future__ import annotations

import psycopg
from sqlalchemy import Column, Connection, MetaData, Table, create_engine, exc, func, make_url, select, text
from sqlalchemy.dialects.postgresql import insert

from penstock.store.base import Kind, StoreAway
from penstock.store.migrations import migrate
from penstock.store.rows import COLUMNS, Row
from penstock.store.schema import calls
from penstock.store.sql import SqlStore
from penstock.store.statements import TABLES, upsert_until_ended

CONNECT_WITHIN_S = 5
LOCK_TIMEOUT_MS = 1000
"""Short: whoever waits for a lock has other duties, and tries again."""

STATEMENT_TIMEOUT_MS = 20_000
"""Less than the time after which a silent bookkeeper is taken for stuck: so it lives to say that the server is slow."""

UNANSWERED_AFTER_MS = 10_000
"""When a server that takes no packets any more counts as gone (Linux only; elsewhere the system decides)."""

FEW_ROWS = 20
"""So many are inserted as they are; more go by COPY into a table of this connection's own, which is faster."""

SAMPLED_ROWS = 1000
BESIDE_EACH_ROW_BYTES = 230
"""Its header and its entries in four indexes, roughly."""

_MIGRATION_LOCK = 0x70656E73746F636B
_LOCK_NOT_AVAILABLE = "55P03"

_incoming = Table("penstock_incoming", MetaData(), *(Column(column.name, column.type) for column in calls.c))
_MAKE_INCOMING = f"CREATE TEMP TABLE IF NOT EXISTS {_incoming.name} (LIKE calls) ON COMMIT DELETE ROWS"
_COPY_INCOMING = f"COPY {_incoming.name} ({', '.join(COLUMNS)}) FROM STDIN"
_MERGE_INCOMING = upsert_until_ended(insert(calls).from_select(COLUMNS, select(_incoming)), calls)


class PostgresStore(SqlStore):
    """A Store in the database at `url`, postgresql://USER@HOST/DATABASE; needs the rights to create tables there."""

    def __init__(self, url: str, *, statement_timeout_ms: int = STATEMENT_TIMEOUT_MS) -> None:
        settings = {
            "lock_timeout": LOCK_TIMEOUT_MS,
            "statement_timeout": statement_timeout_ms,
            "synchronous_commit": "off",  # a crash takes batches and their checkpoints away together; see settle()
        }
        engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            paramstyle="format",
            pool_size=1,
            connect_args={
                "application_name": "penstock bookkeeper",
                "connect_timeout": CONNECT_WITHIN_S,
                "tcp_user_timeout": UNANSWERED_AFTER_MS,
                "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
            },
        )
        super().__init__(engine, insert_or=insert, is_locked=_is_locked)

    def prepare(self) -> None:
        """One gateway at a time: two that start together would both find no tables."""
        with self._transaction() as connection:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # tables of years take their time
            connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            migrate(connection)

    def settle(self) -> None:
        """A commit that waits for the disk, and with it for all before it."""
        with self._transaction() as connection:
            connection.exec_driver_sql("SET LOCAL synchronous_commit = on")
            connection.execute(select(func.pg_logical_emit_message(True, "penstock", "")))  # else it commits nothing

    def used_bytes(self) -> int:
        """The number of rows by the server's own statistics, times the size of the newest ones.

        The files of a table do not shrink when rows are deleted: their size says nothing about what is in them.
        """
        used = 0.0
        with self._transaction() as connection:
            for kind, of in TABLES.items():
                name = kind.value
                rows = connection.execute(_LIVE_ROWS, {"name": name}).scalar_one_or_none() or 0
                newest = f"SELECT * FROM {name} ORDER BY {of.at} DESC LIMIT {SAMPLED_ROWS}"  # noqa: S608 - our own names
                mean = f"SELECT avg(pg_column_size(r.*)) FROM ({newest}) r"  # noqa: S608
                each = connection.exec_driver_sql(mean).scalar_one()
                used += rows * (float(each or 0) + BESIDE_EACH_ROW_BYTES)
        return int(used)

    def give_back(self) -> bool:
        """The server does so itself (autovacuum), and uses freed space again."""
        return False

    def _put(self, connection: Connection, kind: Kind, rows: list[Row]) -> None:
        if kind is not Kind.CALLS or len(rows) <= FEW_ROWS:
            super()._put(connection, kind, rows)
            return
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        try:
            with driver.cursor() as cursor:
                cursor.execute(_MAKE_INCOMING)
                with cursor.copy(_COPY_INCOMING) as copy:
                    for row in rows:
                        copy.write_row(row)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise exc.DataError(None, None, error) from error
        except psycopg.Error as error:
            if driver.closed:
                connection.invalidate(error)
            raise StoreAway(str(error)) from error
        connection.execute(_MERGE_INCOMING)


_LIVE_ROWS = text("SELECT n_live_tup FROM pg_stat_user_tables WHERE relname = :name AND schemaname = current_schema()")


def _is_locked(error: exc.DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE
