"""Whether rollups still hold what was deleted: its space is free when it has been rolled up anew."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import Connection, and_, or_, select

from penstock.store.queries.tables import SPANS, rollup_dirty
from penstock.store.queries.triggers import has_rollups


class Writable(Protocol):
    def transaction(self) -> AbstractContextManager[Connection]:
        """Raises StoreAway."""


def rollups_lag(store: Writable, before: float) -> bool:
    """Whether a span that ended before then is to be rolled up anew. Raises StoreAway."""
    spans = rollup_dirty.c
    over = or_(*(and_(spans.span_s == span_s, spans.start_at <= before - span_s) for span_s in SPANS))
    with store.transaction() as connection:
        return (
            has_rollups(connection)
            and connection.execute(select(spans.number).where(over).limit(1)).first() is not None
        )
