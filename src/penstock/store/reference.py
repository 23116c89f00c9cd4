"""docs/records.md, made from what is said beside the fields of the records. Never imported to serve.

`python -m penstock.store.reference` prints it.
"""

from __future__ import annotations

import sys
from dataclasses import fields

from penstock.core.accounting.fields import FieldDoc, documented
from penstock.core.accounting.host_sample import DeviceSample, EngineSample, HostSample
from penstock.core.accounting.load_record import LoadRecord
from penstock.core.accounting.outcomes import MEANINGS
from penstock.core.accounting.record import DERIVED, CallRecord

_INTRODUCTION = """\
# Records

<!-- Made by `python -m penstock.store.reference` of what stands beside the fields in src/penstock/core: edit there. -->

Every request leaves exactly one record, whatever became of it: waited, refused, abandoned, failed, cut by a crash. It
is written to a journal on the local disk before any byte of an answer goes out, and carried from there to the **store**
by a process of its own: SQLite (`penstock.db` in the state folder) unless the configuration's `store.url`, `--store` or
the variable `DATABASE_URL` names another. The store may be away for hours: nothing waits for it, nothing is lost.

* **NULL means unknown, or that it never came to that; it is never 0.** The tables say which.
* `received_at`, `started_at` and `sampled_at` are epoch seconds UTC as the wall clock told them, once per record. Every
  other moment (`…_s`) is seconds after that on a monotonic clock, so that a clock that is set changes no duration.
* How long a call took is always our own clock. What an engine says about its times gives speeds, and nothing else.
* The prompt is counted the same way for every protocol: `prompt_tokens` is all of it, `cached_tokens` the part that
  came from a cache. Refusals never count tokens.

`penstock export --jsonl` (or `--csv`, `--parquet`) writes one object for each call, with the names below, those that
are derived among them; `penstock store ddl` prints the tables. A CSV holds every text as it is, so that it can be
imported again: names that callers and operators chose may begin with `=`, `+`, `-` or `@`, which spreadsheets take for
formulas. Open one of strangers' calls as text.
"""

_TROUBLE = """
## How long they are kept

`store.keep` (90 days) is for calls and loads, `store.keep_samples` (30 days) for samples of the host, `store.keep_size`
for all of them together: beyond it the oldest go. The bookkeeper deletes 1000 at a time between its batches, and gives
freed space of SQLite's file back a mebibyte at a time; PostgreSQL does that itself (autovacuum), and its size is
estimated from the number of rows, because its files do not shrink. In SQLite's size rollups are counted as well: what
is too much goes in portions, and only when the rollups of one have followed is it measured whether more is too much.

A clock that is set wrongly makes everything look old. So one that leaps by more than a third of what is kept, against
the time that was known last and what has passed since, is not believed at once: `/health/detail` and the log say so,
and only what is old by the time that was known goes. It is believed when it has run on like that for three days (or for
a third of what is kept, if that is less), restarts not counted, as after a year in which the machine was off. Records
from before 2020 were made before a clock was set: nobody knows how old they are, and only `keep_size` deletes them.

## When something is broken

* **The gateway is killed**: what a client was told is in the journal; calls that were open become `interrupted`.
* **The machine loses power**: what its disk had not been told to keep is lost; `journal_fsync: 1s` bounds that.
* **The bookkeeper dies or hangs**: it is started anew, and goes on where the store says it was.
* **The store is down, slow, locked, read-only or full**: the records wait in the journal; `/health/detail` says why,
  since when (`journal_lag_s`), and how much (`journal_lag_bytes`); for Prometheus so does `/metrics`.
* **The store refuses a row, or a line of the journal is damaged**: it is set aside in the table `poisoned` with its
  reason, and the others go on.
* **The journal's disk is full**: the 64 MiB are used that were reserved for that, then memory for 100 000 records.
* **Memory is full as well**: `store.journal_full: serve` serves on and counts `records_lost`; `refuse` answers 503
  `journal_full` until there is room, and then one record tells by its `count` how many were refused.
"""

_VIEWS = """
## Views for what was made for Overlaat

`request_events`, `host_samples` and `model_loads` have exactly the columns of Overlaat's tables of those names, in both
databases. They speak its words: moments as epoch seconds, GiB, `rejected_oversized`, `rejected_unhealthy`, and
`upstream_error` for an engine's 4xx too; one `wait_reason`, that which took longest; `priority` 1, 0, -1. Calls that
still run are left out, as are requests of which no model could be read. An interrupted one has no `t_done`. Where a
*table* of such a name exists already, it is left alone and the view is missing.
"""


def markdown() -> str:
    """docs/records.md."""
    return "".join(
        [
            _INTRODUCTION,
            _chapter("Calls: table `calls`", CallRecord),
            _derived(),
            _outcomes(),
            _chapter("Loads: table `loads`", LoadRecord),
            _chapter("Samples of the host: table `samples`", HostSample),
            _objects(),
            _VIEWS,
            _TROUBLE,
        ]
    )


def _chapter(title: str, record: type) -> str:
    rows = "".join(map(_row, documented(record)))
    return f"\n## {title}\n\n| field | type | unit | meaning | NULL means | source |\n|---|---|---|---|---|---|\n{rows}"


def _row(field: FieldDoc) -> str:
    doc = field.doc
    null = doc.null or "(never)"
    return f"| `{field.name}` | {field.kind} | {doc.unit} | {doc.meaning} | {null} | {doc.source} |\n"


def _derived() -> str:
    rows = "".join(
        f"| `{name}` | {'s' if name.endswith('_s') else 'tokens'} | {_sentence(function.__doc__)} |\n"
        for name, function in DERIVED.items()
    )
    about = "Not stored, computed from a call where it is shown."
    return f"\n## Derived\n\n{about}\n\n| name | unit | meaning |\n|---|---|---|\n{rows}"


def _sentence(docstring: str | None) -> str:
    return " ".join((docstring or "").split("\n\n")[0].split()).replace("None =", "NULL =")


def _outcomes() -> str:
    rows = "".join(f"| `{outcome.value}` | {meaning} |\n" for outcome, meaning in MEANINGS.items())
    return f"\n## Outcomes\n\n| `outcome` | meaning |\n|---|---|\n{rows}"


def _objects() -> str:
    """The members of the objects that a sample holds; their names say their units."""
    told = [(name, ", ".join(f"`{field.name}`" for field in fields(kind))) for name, kind in _OBJECTS]
    return "\n" + "\n".join(f"Members of `{name}`: {members}." for name, members in told) + "\n"


_OBJECTS = (("devices", DeviceSample), ("engines", EngineSample))


if __name__ == "__main__":
    sys.stdout.write(markdown())
