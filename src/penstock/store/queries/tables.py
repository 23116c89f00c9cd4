"""The tables of the rollups: what calls came to, by minute, hour and day, kept so that long windows are answered fast.

All of it is made of the records and can be made again (`Roller.rebuild`): these tables are no part of the migrations.
When their form changes, VERSION does, and they are dropped and filled anew.
"""

from __future__ import annotations

import enum

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, MetaData, SmallInteger, Table, Text

from penstock.core.accounting.sums import NUMBERS, Sums

VERSION = 3
MINUTE, HOUR, DAY, WEEK = 60, 3600, 86400, 604800
SPANS = (MINUTE, HOUR, DAY, WEEK)
"""Each made of the one before it; they begin at multiples of themselves since the epoch (UTC)."""


metadata = MetaData()


class Grouping(enum.IntEnum):
    """What a row tells apart, beside outcomes; what it does not is "" in it.

    ALL answers everything; the others have fewer and larger rows, for questions that need no more.
    """

    ALL = 0
    MODEL = 1
    KEY = 2
    WORKLOAD = 3


GROUPINGS = {MINUTE: (Grouping.ALL,), HOUR: tuple(Grouping), DAY: tuple(Grouping), WEEK: tuple(Grouping)}
"""Which are kept of each span: of a minute, the others would have hardly fewer rows."""

DIMENSIONS = ("model", "key", "workload", "outcome")
"""Of every row. Unknown, or none, is ""."""


def _key_columns() -> list[Column[str]]:
    return [Column(name, Text, primary_key=True) for name in DIMENSIONS]


_sample = Sums()

rollup_sums = Table(
    "rollup_sums",
    metadata,
    Column("grouping_id", SmallInteger, primary_key=True, autoincrement=False),
    Column("span_s", Integer, primary_key=True, autoincrement=False),
    Column("start_at", BigInteger, primary_key=True, autoincrement=False),
    *_key_columns(),
    *(Column(name, Double if isinstance(getattr(_sample, name), float) else BigInteger) for name in NUMBERS),
    Column("spreads", LargeBinary),
    Column("cells", LargeBinary),
    sqlite_with_rowid=False,
)
"""What the ended calls that were received in a span came to."""

rollup_curves = Table(
    "rollup_curves",
    metadata,
    Column("grouping_id", SmallInteger, primary_key=True, autoincrement=False),
    Column("span_s", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("received", BigInteger, primary_key=True, autoincrement=False),
    *_key_columns(),
    Column("offered_s", Double, nullable=False),
    Column("active_s", Double, nullable=False),
    Column("in_tokens", Double, nullable=False),
    Column("out_tokens", Double, nullable=False),
    sqlite_with_rowid=False,
)
"""What ended calls did in the span from `at` on. Of minutes, `received` is the minute in which they were received,
so that one minute's calls can be counted anew; of hours and days it is 0."""

rollup_dirty = Table(
    "rollup_dirty",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("span_s", Integer, nullable=False),
    Column("start_at", BigInteger, nullable=False),
    Column("is_changed", SmallInteger, nullable=False, server_default="1"),
    sqlite_autoincrement=True,
)
"""is_changed: 1 = its records have changed, 0 = only what ran beside them.

Spans whose rollups do not say what the records say: not yet, or not any more. A span may be here several times:
who rolls it up removes those rows that were there before, so that a change meanwhile is not forgotten."""
Index("rollup_dirty_span", rollup_dirty.c.span_s, rollup_dirty.c.start_at)

rollup_state = Table(
    "rollup_state", metadata, Column("name", Text, primary_key=True), Column("value", Double, nullable=False)
)
"""`version`: of these tables. `longest_s`: how long the longest call ever rolled up took."""
