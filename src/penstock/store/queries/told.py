"""Sums as they are told: counts, tokens, percentiles, speeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

from penstock.core.accounting import histogram
from penstock.core.accounting.course import Course
from penstock.core.accounting.histogram import Bins
from penstock.core.accounting.record import Outcome
from penstock.core.accounting.sums import Spread, Sums
from penstock.core.accounting.throughput import MIN_SAMPLES, Cell
from penstock.store.queries.answers import Concurrency, Latency
from penstock.store.queries.asking import Asked

FEW = 20
"""Fewer values than this have no 95th percentile."""

NO_KEY, NO_WORKLOAD, NO_MODEL = "none", "(untagged)", "(unknown)"
"""How those are told that have none."""

OTHER, MAX_ROWS = "<other>", 500
"""How all are told that are behind so many others."""

_SPREADS = {
    "queue_wait": Spread.QUEUE_WAIT, "waited": Spread.WAITED, "load_wait": Spread.LOAD_WAIT, "ttft": Spread.TTFT,
    "service": Spread.SERVICE, "total": Spread.TOTAL,
}  # fmt: skip

LATENCIES = tuple(_SPREADS.values())
"""What `latency` is told from."""

_ERRORS = (Outcome.UPSTREAM_ERROR, Outcome.UPSTREAM_REFUSED, Outcome.DEADLINE, Outcome.INTERRUPTED)


class Usages(TypedDict):
    """The members of an `answers.Usage`."""

    requests: int
    demand: int
    retries: int
    outcomes: dict[str, int]
    completed: int
    abandoned: int
    errored: int
    cancelled_queued: int
    rejected: int
    running: int
    waiting: int
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None
    cache_hit_pct: float | None
    energy_j: float | None


def together(by_outcome: Mapping[str, Sums]) -> Sums:
    whole = Sums()
    for sums in by_outcome.values():
        whole.merge(sums)
    return whole


def usage(by_outcome: Mapping[str, Sums], whole: Sums, open_calls: Sequence[Course], asked: Asked) -> Usages:
    """`open_calls`: all that run or wait now; those of them that were received in the window are requests too."""
    outcomes = {outcome: sums.requests for outcome, sums in sorted(by_outcome.items())}
    new = [course for course in open_calls if asked.since <= course.received_at < asked.until]
    requests = whole.requests + len(new)
    retries = whole.retries + sum(course.is_retry for course in new)
    running = sum(course.admitted_s is not None for course in open_calls)
    waiting = sum(course.admitted_s is None and course.enqueued_s is not None for course in open_calls)
    return Usages(
        requests=requests,
        demand=requests - retries,
        retries=retries,
        outcomes=outcomes,
        completed=outcomes.get(Outcome.COMPLETED, 0),
        abandoned=outcomes.get(Outcome.CLIENT_ABANDONED, 0),
        errored=sum(outcomes.get(outcome, 0) for outcome in _ERRORS),
        cancelled_queued=outcomes.get(Outcome.CANCELLED_QUEUED, 0),
        rejected=sum(count for outcome, count in outcomes.items() if outcome.startswith("rejected_")),
        running=running,
        waiting=waiting,
        prompt_tokens=whole.prompt_tokens if whole.prompt_known else None,
        cached_tokens=whole.cached_tokens if whole.cached_known else None,
        completion_tokens=whole.completion_tokens if whole.completion_known else None,
        reasoning_tokens=whole.reasoning_tokens if whole.reasoning_known else None,
        cache_hit_pct=_percent(whole.cached_with_prompt_tokens, whole.prompt_with_cache_tokens),
        energy_j=round(whole.energy_j, 3) if whole.energy_known else None,
    )


def rate(part: int, of: int) -> float | None:
    """None = of nothing."""
    return round(part / of, 4) if of else None


def _percent(part: int, of: int) -> float | None:
    return round(100.0 * part / of, 1) if of else None


def latency(sums: Sums) -> Latency:
    told = {}
    for name, spread in _SPREADS.items():
        bins = sums.bins(spread)
        told[f"{name}_p50"] = _ms(bins, 0.5)
        told[f"{name}_p95"] = _ms(bins, 0.95) if histogram.samples(bins) >= FEW else None
    samples = {name: histogram.samples(sums.bins(spread)) for name, spread in _SPREADS.items()}
    return Latency(**told, samples=samples)


def _ms(bins: Bins, share: float) -> float | None:
    value_s = histogram.percentile(bins, share)
    return None if value_s is None else round(1000.0 * value_s, 1)


def rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)


def throughput(cells: Mapping[int, Cell]) -> list[Concurrency]:
    return [
        Concurrency(
            concurrency=number,
            calls=cell.calls,
            token_calls=cell.token_calls,
            aggregate_tok_s=rounded(cell.engine_tok_s),
            call_tok_s=rounded(cell.call_tok_s),
            decode_tok_s_p50=rounded(cell.decode_p50_tok_s),
            sufficient=cell.is_sufficient,
        )
        for number, cell in sorted(cells.items())
    ]


def median(sums: Sums, spread: Spread, *, at_least: int = 1) -> float | None:
    """None = of fewer values than that."""
    bins = sums.bins(spread)
    return rounded(histogram.percentile(bins, 0.5)) if histogram.samples(bins) >= at_least else None


def solo_decode(sums: Sums) -> tuple[float | None, int]:
    """The median speed of calls that had their devices to themselves, if there are enough of them; and how many."""
    count = histogram.samples(sums.bins(Spread.SOLO_DECODE_TOK_S))
    return median(sums, Spread.SOLO_DECODE_TOK_S, at_least=MIN_SAMPLES), count


def ratios(values: Iterable[float], widths: Sequence[float]) -> list[float]:
    return [round(value / width, 4) for value, width in zip(values, widths, strict=True)]
