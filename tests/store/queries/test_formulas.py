"""Every number that the questions of usage are answered with, against the slow and obvious way to come to it.

On random histories: calls that overlap, lack figures, took no time, still run, of two gateways, by clocks that were
set; from records alone, and from rollups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from penstock.config.store_address import sqlite_address
from penstock.core.accounting import histogram
from penstock.core.accounting.course import Course
from penstock.store.queries.answers import Concurrency, Latency, ModelCurves, ModelUsage, Usage
from penstock.store.queries.asking import Asked
from penstock.store.queries.courses import Filter
from penstock.store.queries.queries import Queries
from penstock.store.queries.roller import Roller
from penstock.store.queries.tables import SPANS
from penstock.store.sqlite import SqliteStore
from tests.core.accounting.courses import NOW, histories
from tests.store.queries import obvious
from tests.store.queries.histories import fill, is_chosen, sharing

FILTERS = (Filter(), Filter(), Filter(model="a"), Filter(key="ann"), Filter(workload=""), Filter(outcome="completed"))
NAMELESS = {"model": "(unknown)", "key": "none", "workload": "(untagged)"}

some_history = given(histories(), st.sampled_from(FILTERS), st.booleans(), st.sampled_from([600.0, 5000.0, 90_000.0]))
# Making a failing history smaller would take minutes: each has a store of its own.
few = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=(Phase.reuse, Phase.generate)
)
many = settings(few, max_examples=300)


@contextmanager
def queries_of(history: Sequence[Course], *, is_rolled_up: bool) -> Iterator[Queries]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "penstock.db")
        path.write_bytes(_prepared())
        store = SqliteStore(path)
        fill(store, history)
        roller = Roller(store, now=lambda: NOW + 1e7, settled_after_s=dict.fromkeys(SPANS, 0.0), rest_s=0.0)
        if is_rolled_up:
            roller.prepare()
        while is_rolled_up and (roller.step() or roller.step()):
            pass
        store.close()
        queries = Queries(sqlite_address(path), now=lambda: NOW)
        yield queries
        queries.close()


@cache
def _prepared() -> bytes:
    """A store with nothing in it but what says which models share devices: making one takes long."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "penstock.db")
        store = SqliteStore(path)
        store.prepare()
        fill(store, [], sharing())
        store.close()
        return path.read_bytes()


def named(call: Course, dimension: str) -> str:
    return getattr(call, dimension) or NAMELESS[dimension]


def groups(calls: Sequence[Course], dimension: str) -> dict[str, list[Course]]:
    found: dict[str, list[Course]] = {}
    for call in calls:
        found.setdefault(named(call, dimension), []).append(call)
    return found


def about(value: float | None) -> object:
    """A percentile is told within the error of the histograms, and in tenths of milliseconds or hundredths."""
    return None if value is None else pytest.approx(value, rel=1.01 * histogram.ERROR, abs=0.06)


# What calls came to.


def check_counts(told: Usage, calls: Sequence[Course], inside: Callable[[Course], bool]) -> None:
    ended = [call for call in calls if call.outcome is not None and inside(call)]
    open_calls = [call for call in calls if call.outcome is None]
    asked = ended + [call for call in open_calls if inside(call)]

    def count(*outcomes: str) -> int:
        return sum(call.stands_for for call in ended if call.outcome in outcomes)

    assert told.requests == sum(call.stands_for for call in ended) + len(asked) - len(ended)
    assert told.retries == sum(call.stands_for if call.outcome else 1 for call in asked if call.retry_count)
    assert told.demand == told.requests - told.retries
    assert told.outcomes == {outcome: count(outcome) for outcome in {str(call.outcome) for call in ended}}
    assert (told.completed, told.abandoned) == (count("completed"), count("client_abandoned"))
    assert told.errored == count("upstream_error", "upstream_refused", "deadline", "interrupted")
    assert told.running == sum(call.admitted_s is not None for call in open_calls)
    assert told.waiting == sum(call.admitted_s is None and call.enqueued_s is not None for call in open_calls)
    assert told.requests == sum(told.outcomes.values()) + len(asked) - len(ended)
    for name in ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens"):
        assert getattr(told, name) == obvious.total(getattr(call, name) for call in ended)
    assert told.energy_j == pytest.approx(obvious.total(call.energy_j for call in ended))
    both = [(call.cached_tokens, call.prompt_tokens) for call in ended]
    known = [(cached, prompt) for cached, prompt in both if cached is not None and prompt is not None]
    cached, prompts = sum(min(pair) for pair in known), sum(prompt for _, prompt in known)
    assert told.cache_hit_pct == (pytest.approx(100 * cached / prompts, abs=0.051) if prompts else None)


def check_latency(told: Latency, calls: Sequence[Course]) -> None:
    """`calls`: those that have ended."""
    values: dict[str, list[float | None]] = {
        "queue_wait": [obvious.waited_s(call) if call.admitted_s is not None else None for call in calls],
        "waited": [obvious.waited_s(call) for call in calls],
        "load_wait": [
            None if call.admitted_s is None and not call.load_wait_s else call.load_wait_s or 0.0 for call in calls
        ],
        "ttft": [call.first_token_s for call in calls],
        "service": [obvious.service_s(call) for call in calls],
        "total": [call.done_s for call in calls],
    }
    for name, of in values.items():
        in_ms = [None if value is None else 1000 * value for value in of]
        assert told.samples[name] == sum(value is not None for value in of), name
        assert getattr(told, f"{name}_p50") == about(obvious.percentile(in_ms, 0.5)), name
        assert getattr(told, f"{name}_p95") == about(obvious.percentile(in_ms, 0.95, at_least=20)), name


def check_models(history: list[Course], which: Filter, *, is_rolled_up: bool, span_s: float) -> None:
    asked = Asked(NOW - span_s, NOW, None, which)
    chosen = [call for call in history if is_chosen(call, which)]

    def inside(call: Course) -> bool:
        return asked.since <= call.received_at < asked.until

    with queries_of(history, is_rolled_up=is_rolled_up) as queries:
        by_model = {row.model: row for row in queries.models(asked).models}
        by_key = {row.key: row for row in queries.consumers(asked).consumers}
        by_workload = {row.workload: row for row in queries.workloads(asked).workloads}
    is_there = [call for call in chosen if inside(call) or call.outcome is None]
    tables: dict[str, dict[str, Usage]] = {"model": {**by_model}, "key": {**by_key}, "workload": {**by_workload}}
    for dimension, rows in tables.items():
        expected = groups(is_there, dimension)
        assert rows.keys() == expected.keys()
        for name, row in rows.items():
            check_counts(row, expected[name], inside)
    for name, calls in groups(is_there, "model").items():
        check_model(by_model[name], [call for call in calls if call.outcome is not None], history)
    for name, calls in groups(is_there, "key").items():
        ended = [call for call in calls if call.outcome is not None]
        row = by_key[name]
        assert row.service_s == pytest.approx(sum(obvious.service_s(call) or 0.0 for call in ended), abs=0.002)
        assert row.waited_s == pytest.approx(sum(obvious.waited_s(call) or 0.0 for call in ended), abs=0.002)
        assert row.models == {
            model: sum(call.stands_for if call.outcome else 1 for call in some if inside(call))
            for model, some in groups([call for call in calls if inside(call)], "model").items()
        }
        assert row.abandoned_rate == (pytest.approx(row.abandoned / row.requests, abs=1e-4) if row.requests else None)
        check_latency(row.latency_ms, ended)


def check_model(row: ModelUsage, ended: Sequence[Course], everyone: Sequence[Course]) -> None:
    check_latency(row.latency_ms, ended)
    assert row.latency_ms_by_outcome.keys() == {str(call.outcome) for call in ended}
    for outcome, told in row.latency_ms_by_outcome.items():
        check_latency(told, [call for call in ended if call.outcome == outcome])
    assert row.service_s == pytest.approx(sum(obvious.service_s(call) or 0.0 for call in ended), abs=0.002)
    completed = [call for call in ended if call.outcome == "completed"]
    assert row.out_tok_p50 == about(obvious.percentile([call.completion_tokens for call in completed], 0.5))
    measured = [call for call in completed if obvious.is_measured(call)]
    alone: list[float | None] = []
    cells: dict[int, list[tuple[Course, float]]] = {}
    for call in measured:
        if is_alone(call, everyone):
            alone.append(obvious.decode_tok_s(call))
        concurrency = obvious.beside(call, everyone, {call.model})
        cells.setdefault(max(1, round(concurrency)), []).append((call, concurrency))
    assert row.decode_solo_samples == sum(speed is not None for speed in alone)
    assert row.decode_solo_tok_s == about(obvious.percentile(alone, 0.5, at_least=5))
    assert [cell.concurrency for cell in row.throughput_by_concurrency] == sorted(cells)
    for cell in row.throughput_by_concurrency:
        check_cell(cell, cells[cell.concurrency])


def check_cell(told: Concurrency, calls: Sequence[tuple[Course, float]]) -> None:
    known = [(call, beside) for call, beside in calls if call.completion_tokens is not None]
    assert (told.calls, told.token_calls) == (len(calls), len(known))
    assert told.sufficient is (len(calls) >= 5 and len(known) >= 5)
    if not told.sufficient:
        assert told.aggregate_tok_s is told.call_tok_s is None
        return
    tokens = sum(call.completion_tokens or 0 for call, _ in known)
    each_s = sum(obvious.service_s(call) or 0.0 for call, _ in known)
    together_s = sum((obvious.service_s(call) or 0.0) / beside for call, beside in known)
    assert told.call_tok_s == pytest.approx(tokens / each_s, abs=0.006)
    assert told.aggregate_tok_s == pytest.approx(tokens / together_s, abs=0.006)
    speeds = [obvious.decode_tok_s(call) for call, _ in known]
    assert told.decode_tok_s_p50 == about(obvious.percentile(speeds, 0.5, at_least=5))


@few
@some_history
def test_what_calls_came_to_is_what_adding_them_up_one_by_one_says(
    history: list[Course], which: Filter, is_rolled_up: bool, span_s: float
) -> None:
    check_models(history, which, is_rolled_up=is_rolled_up, span_s=span_s)


@pytest.mark.long
@pytest.mark.timeout(1800)
@many
@given(histories(40), st.sampled_from(FILTERS), st.booleans(), st.sampled_from([600.0, 5000.0, 90_000.0]))
def test_what_many_calls_came_to_is_what_adding_them_up_one_by_one_says(
    history: list[Course], which: Filter, is_rolled_up: bool, span_s: float
) -> None:
    check_models(history, which, is_rolled_up=is_rolled_up, span_s=span_s)


# The curves.


def check_curves(history: list[Course], which: Filter, *, is_rolled_up: bool, span_s: float, ends_ago_s: int) -> None:
    asked = Asked(NOW - ends_ago_s - span_s, NOW - ends_ago_s, None, which)
    chosen = [call for call in history if is_chosen(call, which)]
    with queries_of(history, is_rolled_up=is_rolled_up) as queries:
        told = queries.timeline(asked)
    nothing = [0.0] * len(told.buckets)
    assert all(
        any(map(any, (curves.offered, curves.out_tok_s, told.totals.in_tok_s))) for curves in told.models.values()
    )
    for index, start in enumerate(told.buckets):
        end = min(float(start + told.bucket_s), NOW)  # of one that has only begun, the part that has passed
        if end <= start or end < NOW - 420:
            continue
        for name, calls in groups(chosen, "model").items():
            curves = told.models.get(name, ModelCurves(nothing, nothing, nothing, nothing))
            for curve, is_so in (
                (curves.offered, obvious.wants),
                (curves.active, obvious.runs),
                (curves.queued, obvious.waits),
            ):
                assert curve[index] == pytest.approx(obvious.mean_of(calls, is_so, start, end, NOW), abs=0.0011)
            tokens = obvious.tokens_in(calls, lambda call: call.completion_tokens, start, end)
            assert curves.out_tok_s[index] == pytest.approx(tokens / (end - start), abs=1e-3, rel=1e-6)
        for name, calls in groups(chosen, "key").items():
            assert told.by_key_active.get(name, nothing)[index] == pytest.approx(
                obvious.mean_of(calls, obvious.runs, start, end, NOW), abs=0.0011
            )
        whole = told.totals
        assert whole.offered[index] == pytest.approx(
            obvious.mean_of(chosen, obvious.wants, start, end, NOW), abs=0.0011
        )
        assert whole.offered[index] == pytest.approx(whole.active[index] + whole.queued[index], abs=2e-4)
        tokens = obvious.tokens_in(chosen, lambda call: call.prompt_tokens, start, end)
        assert whole.in_tok_s[index] == pytest.approx(tokens / (end - start), abs=1e-3, rel=1e-6)


ends_ago = st.sampled_from([0, 0, 37, 203])


@few
@given(histories(), st.sampled_from(FILTERS), st.booleans(), st.sampled_from([600.0, 5000.0]), ends_ago)
def test_the_curves_are_what_looking_every_tenth_of_a_second_shows(
    history: list[Course], which: Filter, is_rolled_up: bool, span_s: float, ends_ago_s: int
) -> None:
    check_curves(history, which, is_rolled_up=is_rolled_up, span_s=span_s, ends_ago_s=ends_ago_s)


@pytest.mark.long
@pytest.mark.timeout(1800)
@many
@given(histories(), st.sampled_from(FILTERS), st.booleans(), st.sampled_from([600.0, 5000.0]), ends_ago)
def test_the_curves_of_many_histories_are_what_looking_every_tenth_of_a_second_shows(
    history: list[Course], which: Filter, is_rolled_up: bool, span_s: float, ends_ago_s: int
) -> None:
    check_curves(history, which, is_rolled_up=is_rolled_up, span_s=span_s, ends_ago_s=ends_ago_s)


# Single calls.


def in_ms(value: float | None) -> object:
    return None if value is None else pytest.approx(1000 * value, abs=0.06)


@few
@given(histories())
def test_a_single_call_is_told_as_all_of_them_are(history: list[Course]) -> None:
    """What is derived from a record (`record.py`) is what sums are made of (`course.py`, both in core/accounting)."""
    with queries_of(history, is_rolled_up=False) as queries:
        told = {row.id: row for row in queries.requests(None, limit=1000).requests}
    assert told.keys() == {call.id for call in history}
    for call in history:
        row = told[call.id]
        assert row.queue_wait == in_ms(obvious.waited_s(call) if call.admitted_s is not None else None)
        assert row.load_wait == in_ms(None if call.admitted_s is None else call.load_wait_s or 0.0)
        assert (row.ttft, row.total) == (in_ms(call.first_token_s), in_ms(call.done_s))
        assert row.service == in_ms(obvious.service_s(call))
        speed = obvious.decode_tok_s(call)
        assert row.decode_tok_s == (None if speed is None else pytest.approx(speed, abs=0.006))
        assert row.t_enqueue == pytest.approx(call.received_at + (call.enqueued_s or 0.0))
        assert row.consumer == named(call, "key")
        phase = "running" if call.admitted_s is not None else "waiting" if call.enqueued_s is not None else "reading"
        assert row.phase == (phase if call.outcome is None else None)
        for name in ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "energy_j", "outcome"):
            assert getattr(row, name) == getattr(call, name), name


# Speeds over time.


@few
@given(histories(), st.sampled_from(FILTERS), st.booleans(), st.sampled_from([600.0, 5000.0, 90_000.0]))
def test_speeds_over_time_are_those_of_the_calls_received_in_each_bucket(
    history: list[Course], which: Filter, is_rolled_up: bool, span_s: float
) -> None:
    with queries_of(history, is_rolled_up=is_rolled_up) as queries:
        told = queries.perf(Asked(NOW - span_s, NOW, None, which))
    completed = [call for call in history if call.outcome == "completed" and is_chosen(call, which)]
    for name, calls in groups(completed, "model").items():
        for index, start in enumerate(told.buckets):
            inside = [call for call in calls if start <= call.received_at < min(start + told.bucket_s, NOW)]
            if not inside:
                assert name not in told.models or told.models[name].n[index] == 0
                continue
            speeds = told.models[name]
            tokens = [call.completion_tokens for call in inside]
            assert speeds.n[index] == sum(call.stands_for for call in inside)
            assert speeds.n_tok[index] == sum(count is not None for count in tokens)
            assert speeds.comp_tok_p50[index] == about(obvious.percentile(tokens, 0.5))
            assert speeds.decode_p50[index] == about(obvious.percentile(map(obvious.decode_tok_s, inside), 0.5))
            alone = [obvious.decode_tok_s(call) for call in inside if is_alone(call, history)]
            assert speeds.decode_solo_p50[index] == about(obvious.percentile(alone, 0.5))


def is_alone(call: Course, everyone: Sequence[Course]) -> bool:
    mates: set[str | None] = {*obvious.DEVICE_MATES.get((call.gateway_id, call.model or ""), {call.model})}
    return obvious.is_measured(call) and obvious.beside(call, everyone, mates) < 1.5
