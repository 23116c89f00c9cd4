"""Speeds by measured concurrency: against counting in small steps, and guarded against too few samples."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from penstock.core.accounting import throughput
from penstock.core.accounting.concurrency import Activity, Spans
from penstock.core.accounting.course import Course, Interval, decode_tok_s
from penstock.core.accounting.throughput import Cell

pairs = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (float(min(pair)), float(max(pair))))


def looked_at_every_half(intervals: list[Interval], start: float, end: float) -> float:
    """Slow and obvious."""
    middles = [start + 0.25 + 0.5 * index for index in range(round(2 * (end - start)))]
    return sum(low <= at < high for at in middles for low, high in intervals) / len(middles)


@given(st.lists(pairs), pairs)
def test_the_measured_concurrency_is_the_mean_over_a_calls_own_time(others: list[Interval], own: Interval) -> None:
    assume(own[0] < own[1])
    found = Activity(Spans([*others, own])).mean(*own)
    assert found == pytest.approx(looked_at_every_half([*others, own], *own))
    assert found >= 1.0 - 1e-9


def test_alone_is_one_and_half_of_the_time_beside_another_is_one_and_a_half() -> None:
    assert Activity(Spans([(0.0, 10.0)])).mean(0.0, 10.0) == 1.0
    assert Activity(Spans([(0.0, 10.0), (5.0, 20.0)])).mean(0.0, 10.0) == 1.5


def test_nobody_who_looks_before_or_behind_all_sees_anything() -> None:
    assert Activity(Spans([])).mean(0.0, 1.0) == 0.0
    assert Activity(Spans([(5.0, 6.0)])).mean(0.0, 1.0) == 0.0
    assert Activity(Spans([(5.0, 6.0)])).mean(7.0, 8.0) == 0.0


def call(tokens: int | None, *, took_s: float = 10.0, first_token_s: float | None = 2.0) -> Course:
    return Course(
        "c", "g", 0.0, "m", None, None, "completed",
        enqueued_s=0.0, admitted_s=0.0, first_token_s=first_token_s, done_s=took_s, completion_tokens=tokens,
    )  # fmt: skip


def test_what_calls_get_together_is_not_what_each_gets() -> None:
    cells: dict[int, Cell] = {}
    for _ in range(6):
        throughput.note(cells, call(100), 2.0)
    assert cells[2].call_tok_s == pytest.approx(10.0)
    assert cells[2].engine_tok_s == pytest.approx(20.0)
    assert cells[2].decode_p50_tok_s == pytest.approx(12.5, rel=0.02)


@pytest.mark.parametrize("known", [0, 4, 5])
def test_calls_whose_tokens_are_unknown_are_no_samples_of_speed(known: int) -> None:
    cells: dict[int, Cell] = {}
    for number in range(8):
        throughput.note(cells, call(100 if number < known else None), 1.2)
    assert (cells[1].calls, cells[1].token_calls) == (8, known)
    assert cells[1].is_sufficient is (known >= 5)
    assert (cells[1].engine_tok_s is not None) is (known >= 5)
    assert (cells[1].decode_p50_tok_s is not None) is (known >= 5)


def test_zero_tokens_are_known_and_make_no_speed() -> None:
    cells: dict[int, Cell] = {}
    throughput.note(cells, call(0), 1.0)
    assert (cells[1].token_calls, cells[1].tokens, cells[1].decode) == (1, 0, {})


def test_what_comes_all_at_once_was_not_generated_then() -> None:
    assert decode_tok_s(call(100, took_s=2.01)) is None
    assert decode_tok_s(call(100, took_s=4.0)) == 50.0
    assert decode_tok_s(call(100, first_token_s=None)) is None


@given(st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 50)), st.floats(1, 9), st.booleans())))
def test_cells_add_up(calls: list[tuple[int | None, float, bool]]) -> None:
    whole, parts = dict[int, Cell](), (dict[int, Cell](), dict[int, Cell]())
    for tokens, beside, side in calls:
        throughput.note(whole, call(tokens), beside)
        throughput.note(parts[side], call(tokens), beside)
    for number, cell in parts[1].items():
        parts[0].setdefault(number, Cell()).merge(cell)
    assert parts[0].keys() == whole.keys()
    for number, cell in whole.items():
        merged = parts[0][number]
        assert (merged.calls, merged.token_calls, merged.tokens, merged.decode) == (
            cell.calls, cell.token_calls, cell.tokens, cell.decode,
        )  # fmt: skip
        assert merged.shared_s == pytest.approx(cell.shared_s)
