"""What Alembic runs to reach the database: the connection, and the transaction, are the caller's."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
