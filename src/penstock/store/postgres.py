"""The store for several gateways: one PostgreSQL database, reached through psycopg (the extra `postgres`)."""

from __future__ import annotations

from sqlalchemy import create_engine, exc, func, make_url, select
from sqlalchemy.dialects.postgresql import insert

from penstock.store.migrations import migrate
from penstock.store.sql import SqlStore

CONNECT_WITHIN_S = 5
LOCK_TIMEOUT_MS = 1000
"""Short: whoever waits for a lock has other duties, and tries again."""

UNANSWERED_AFTER_MS = 10_000
"""When a server that takes no packets any more counts as gone (Linux only; elsewhere the system decides)."""

_MIGRATION_LOCK = 0x70656E73746F636B
_LOCK_NOT_AVAILABLE = "55P03"


class PostgresStore(SqlStore):
    """A Store in the database at `url`, postgresql://USER@HOST/DATABASE; needs the rights to create tables there.

    Raises ModuleNotFoundError where psycopg is not installed.
    """

    def __init__(self, url: str) -> None:
        engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            paramstyle="format",
            pool_size=1,
            connect_args={
                "application_name": "penstock bookkeeper",
                "connect_timeout": CONNECT_WITHIN_S,
                "tcp_user_timeout": UNANSWERED_AFTER_MS,
                "options": f"-c lock_timeout={LOCK_TIMEOUT_MS}",
            },
        )
        super().__init__(engine, insert_or=insert, is_locked=_is_locked)

    def prepare(self) -> None:
        """One gateway at a time: two that start together would both find no tables."""
        with self._transaction() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            migrate(connection)


def _is_locked(error: exc.DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE
