"""Reports for tests: of a store with names that were meant to do harm, and ones made up by hand."""

from __future__ import annotations

from pathlib import Path

from penstock.core.accounting.course import Course
from penstock.store.queries.asking import Asked
from penstock.store.queries.reporting import Report, report
from penstock.store.queries.snapshot import Snapshot
from penstock.store.sqlite import SqliteStore
from tests.core.accounting.courses import NOW
from tests.store.queries.test_device_time import a_load, fill

HOSTILE = "<img src=x onerror=\"window.pwned='yes'\"><script>window.pwned='yes'</script>"
ESCAPES = "\x1b[31mred\x1b]0;title\x07 \u202edlrow [/bold]"
LAST_S = 7 * 86_400.0

OUTCOMES = (
    "completed", "completed", "completed", "client_abandoned", "upstream_error", "rejected_quota", "cancelled_queued",
    None,
)  # fmt: skip


def a_week(now: float = NOW) -> list[Course]:
    """Six calls an hour on three models, for three keys, of every outcome; the last ones run still."""
    found = []
    for number in range(7 * 24 * 6):
        outcome = OUTCOMES[number % 7] if number < 7 * 24 * 6 - 3 else None
        got_a_slot = outcome not in ("rejected_quota", "cancelled_queued")
        found.append(
            Course(
                f"c{number}",
                "g1",
                now - LAST_S + 1.0 + 600.0 * number,
                (HOSTILE, "qwen3:14b", "größe-大")[number % 3],
                ("ann", ESCAPES, None)[number // 3 % 3],
                ("nightly", HOSTILE, None)[number // 9 % 3],
                outcome,
                retry_count=int(number % 5 == 0),
                enqueued_s=None if outcome == "rejected_quota" else 0.0,
                admitted_s=(number % 24) / 2 if got_a_slot else None,
                first_token_s=12.5 if got_a_slot else None,
                last_s=12.5 if got_a_slot else 0.0,
                done_s=None if outcome is None else 60.0,
                prompt_tokens=1200 if outcome == "completed" else None,
                cached_tokens=800 if outcome == "completed" else None,
                completion_tokens=340 if outcome == "completed" else None,
                energy_j=900.0 if outcome == "completed" else None,
                load_wait_s=2.5 if number % 24 else None,
            )
        )  # fmt: skip
    return found


def a_store(folder: Path, courses: list[Course], now: float = NOW) -> str:
    """Its address."""
    store = SqliteStore(folder / "penstock.db")
    store.prepare()
    loads = [a_load(model, ["gpu0"], now - LAST_S + 5) for model in (HOSTILE, "qwen3:14b", "größe-大")]
    fill(store, courses, loads if courses else ())
    store.close()
    return f"sqlite:///{folder / 'penstock.db'}"


def a_report(folder: Path, courses: list[Course], last_s: float = LAST_S) -> Report:
    a_store(folder, courses)
    store = SqliteStore(folder / "penstock.db")
    try:
        with store.transaction() as connection:
            return report(Snapshot(connection, NOW), Asked(NOW - last_s, NOW))
    finally:
        store.close()
