"""The figures of a report as people read them: short numbers, and the columns of its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from penstock.config.plan import HOST_DEVICE
from penstock.core.accounting.record import Outcome
from penstock.store.queries.answers import Usage
from penstock.store.queries.reporting import Report, Spent

UNKNOWN = "-"
DIMENSIONS = ("model", "key", "workload")

_MINUTE_S, _HOUR_S = 60.0, 3600.0
_CANCELLED = (Outcome.CANCELLED_QUEUED, Outcome.CANCELLED_RUNNING)
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True)
class Column:
    """value: a row's cell. is_optional: left out where no row has anything in it."""

    head: str
    value: Callable[[Spent], str]
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """A table: its head, its rows with their names first."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def rows_of(report: Report, dimension: str) -> list[Spent]:
    return {"model": report.models, "key": report.keys, "workload": report.workloads}[dimension]


def told(dimension: str, rows: Sequence[Spent], columns: Sequence[Column]) -> Told:
    cells = [(column.head, [column.value(row) for row in rows]) for column in columns]
    kept = [
        (head, values)
        for column, (head, values) in zip(columns, cells, strict=True)
        if not column.is_optional or any(value not in (UNKNOWN, "0") for value in values)
    ]
    head = (dimension.upper(), *(head for head, _ in kept))
    return Told(head, tuple((row.name, *(values[at] for _, values in kept)) for at, row in enumerate(rows)))


def cancelled(usage: Usage) -> int:
    """By the operator, while they waited or ran."""
    return sum(usage.outcomes.get(outcome, 0) for outcome in _CANCELLED)


def still_open(usage: Usage) -> int:
    """Of the requests of a window those that have not ended."""
    return usage.requests - sum(usage.outcomes.values())


def in_words(report: Report) -> Iterator[tuple[str, str]]:
    """The whole of it in a few lines, each with what it is about."""
    total = report.total
    parts = [
        (total.completed, "completed"), (total.abandoned, "abandoned"), (total.errored, "failed"),
        (total.rejected, "refused"), (cancelled(total), "cancelled"), (still_open(total), "not over yet"),
    ]  # fmt: skip
    yield "Requests", f"{count(total.requests)}: {count(total.demand)} first tries, {count(total.retries)} retries"
    yield "Outcomes", ", ".join(f"{count(number)} {word}" for number, word in parts if number or word == "completed")
    hit = "" if total.cache_hit_pct is None else f" ({total.cache_hit_pct:.0f} % where told)"
    prompt = f"{tokens(total.prompt_tokens)} prompt, {tokens(total.cached_tokens)} of it cached{hit}"
    yield "Tokens", f"{prompt}; {tokens(total.completion_tokens)} generated"
    wait = f"p50 {ms(total.latency_ms.waited_p50)}, p95 {ms(total.latency_ms.waited_p95)}"
    yield "Waits", f"{wait}; {span(total.waited_s)} in all, {span(total.load_wait_s)} of it for loads"
    yield "Machine", f"{span(total.gpu_s)} of GPU time, {total.loads} loads that took {span(total.load_s)}"
    yield "Energy", "not measured" if total.energy_j is None else energy(total.energy_j)


def notes(report: Report) -> Iterator[str]:
    """What whoever reads it should know."""
    window = report.window
    if report.first_at is not None and report.first_at > window.since + report.part_s:
        yield f"Records begin at {moment(report.first_at)}."
    if report.devices == [HOST_DEVICE]:
        yield "GPU time is that of the machine: it counts as one device, with GPUs or without, as no GPU is configured."
    if report.long_open:
        yield (
            f"{report.long_open} calls have been open for more than a day, and count as if they went on: "
            "the next start of their gateway closes them."
        )


def nothing(report: Report) -> str | None:
    """What to say where there is nothing to show; None = there is something."""
    if report.total.requests or report.total.loads:
        return None
    if report.first_at is None:
        return "There are no calls in the store yet. Ask a model something, and they will be here."
    first = moment(report.first_at)
    return f"No calls were received in this time; the first one in the store is of {first}. Try a longer --last."


# Numbers.


def count(number: int) -> str:
    return str(number) if number < 100_000 else compact(number)


def tokens(number: int | None) -> str:
    """None = no call said."""
    return UNKNOWN if number is None else str(number) if number < 10_000 else compact(number)


def compact(value: float) -> str:
    """Three digits and a letter: 1.23M."""
    for unit, letter in _PREFIXES:
        if value >= 0.9995 * unit:
            return f"{_three(value / unit)}{letter}"
    return _three(value)


def span(seconds: float | None) -> str:
    """Up to hours, which add up better than days. None = unknown."""
    if seconds is None:
        return UNKNOWN
    if seconds <= 0:
        return "0"
    if seconds < 0.9995:
        return f"{max(1, round(1000 * seconds))}ms"
    if seconds < 99.95:
        return f"{_three(seconds)}s"
    return f"{_three(seconds / _MINUTE_S)}m" if seconds < 99.95 * _MINUTE_S else f"{_three(seconds / _HOUR_S)}h"


def ms(milliseconds: float | None) -> str:
    return span(None if milliseconds is None else milliseconds / 1000)


def energy(joules: float | None) -> str:
    if joules is None:
        return UNKNOWN
    hours = joules / _HOUR_S
    return f"{_three(joules)}J" if hours < 1 else f"{_three(hours)}Wh" if hours < 999.5 else f"{_three(hours / 1e3)}kWh"


def moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _three(value: float) -> str:
    """Three digits that say something."""
    if value >= 99.95:
        return f"{value:.0f}"
    text = f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
    return text.rstrip("0").rstrip(".")


# Columns.

CALLS = (
    Column("REQUESTS", lambda row: count(row.requests)),
    Column("RETRIES", lambda row: count(row.retries)),
    Column("DONE", lambda row: count(row.completed)),
    Column("ABANDONED", lambda row: count(row.abandoned)),
    Column("FAILED", lambda row: count(row.errored)),
    Column("REFUSED", lambda row: count(row.rejected)),
    Column("CANCELLED", lambda row: count(cancelled(row)), is_optional=True),
    Column("OPEN", lambda row: count(still_open(row)), is_optional=True),
)
WORK = (
    Column("PROMPT", lambda row: tokens(row.prompt_tokens)),
    Column("CACHED", lambda row: tokens(row.cached_tokens)),
    Column("OUTPUT", lambda row: tokens(row.completion_tokens)),
    Column("GPU TIME", lambda row: span(row.gpu_s)),
    Column("ENERGY", lambda row: energy(row.energy_j), is_optional=True),
)
WAITS = (
    Column("WAIT P50", lambda row: ms(row.latency_ms.waited_p50)),
    Column("WAIT P95", lambda row: ms(row.latency_ms.waited_p95)),
    Column("FOR LOADS", lambda row: span(row.load_wait_s)),
    Column("LOADS", lambda row: count(row.loads)),
    Column("IN LOADS", lambda row: span(row.load_s)),
)
GROUPS = (CALLS, WORK, WAITS)
"""What belongs together is not torn apart where there is no room for all of it."""
