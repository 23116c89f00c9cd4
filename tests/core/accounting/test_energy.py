"""What is charged to calls of the energy that a device used, against a slow and obvious reckoning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.accounting.energy import Span, busy_s, shares_j

SPAN = Span(0.0, 10.0)
MOMENTS = st.integers(-20, 120)  # tenths of seconds, some outside the span
WORK = st.dictionaries(st.text(max_size=3), st.tuples(MOMENTS, MOMENTS), max_size=8)


def spans(work: dict[str, tuple[int, int]]) -> dict[str, Span]:
    return {call_id: Span(start / 10, end / 10) for call_id, (start, end) in work.items()}


def test_a_call_that_ran_all_the_time_used_everything() -> None:
    assert shares_j(1000.0, SPAN, {"a": Span(-5.0, 20.0)}, 30.0) == {"a": 1000.0}


def test_what_it_draws_when_idle_is_nobodys_while_nobody_works() -> None:
    """116 W on average, of which 70 W for 4 of 5 seconds: the one second took 300 J."""
    assert shares_j(580.0, Span(0.0, 5.0), {"a": Span(2.0, 3.0)}, 70.0) == {"a": 300.0}


def test_without_ever_having_seen_it_idle_the_mean_stands_for_it() -> None:
    assert shares_j(500.0, SPAN, {"a": Span(2.0, 4.0)}, None) == {"a": 100.0}


def test_calls_share_by_the_time_for_which_each_worked() -> None:
    assert shares_j(900.0, SPAN, {"a": Span(0.0, 10.0), "b": Span(5.0, 10.0)}, 0.0) == {"a": 600.0, "b": 300.0}


def test_nobody_at_work_is_charged_nothing() -> None:
    assert shares_j(900.0, SPAN, {"before": Span(-3.0, -1.0), "instant": Span(4.0, 4.0)}, 20.0) == {}


def slow_busy_s(work: dict[str, tuple[int, int]]) -> float:
    """Tenth by tenth of a second: is anybody at work?"""
    return sum(any(start <= tick < end for start, end in work.values()) for tick in range(100)) / 10


@given(st.floats(0, 1e6), WORK, st.none() | st.floats(0, 1e5))
def test_the_shares_add_up_to_what_was_used_above_idle(
    energy_j: float, work: dict[str, tuple[int, int]], idle_w: float | None
) -> None:
    shares = shares_j(energy_j, SPAN, spans(work), idle_w)
    busy = slow_busy_s(work)
    mean_w = energy_j / 10
    idle_j = (mean_w if idle_w is None else min(idle_w, mean_w)) * (10 - busy)
    assert sum(shares.values()) == pytest.approx(energy_j - idle_j if busy else 0.0, abs=1e-6 * max(1.0, energy_j))
    assert all(-1e-9 * max(1.0, energy_j) <= share <= energy_j * (1 + 1e-9) for share in shares.values())


@given(st.floats(1, 1e6), WORK)
def test_who_worked_as_long_is_charged_as_much(energy_j: float, work: dict[str, tuple[int, int]]) -> None:
    shares = shares_j(energy_j, SPAN, spans(work), 10.0)
    for call_id, (start, end) in work.items():
        for other_id, (other_start, other_end) in work.items():
            own, other = (max(0, min(e, 100) - max(s, 0)) for s, e in ((start, end), (other_start, other_end)))
            if own == other:
                assert shares.get(call_id, 0.0) == pytest.approx(shares.get(other_id, 0.0))


@given(st.lists(st.tuples(MOMENTS, MOMENTS), max_size=8))
def test_time_in_which_somebody_worked_counts_once(work: list[tuple[int, int]]) -> None:
    slow = sum(any(start <= tick < end for start, end in work) for tick in range(-20, 120)) / 10
    assert busy_s([Span(start / 10, end / 10) for start, end in work if end > start]) == pytest.approx(slow)
