"""The curves are integrals: the same as looking at every tenth of a second, for times that are tenths."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.core.accounting.course import Course, Interval, active, offered, queued
from penstock.core.accounting.curves import Curve, Grid, grid_over, pieces
from tests.core.accounting.courses import NOW, histories

GRID = Grid(1_700_000_000, 15, 30)
STEP = 0.1


def looked_at_every_tenth(intervals: list[Interval], grid: Grid) -> list[float]:
    """Slow and obvious."""
    found = []
    for start in grid.starts():
        middles = [start + (index + 0.5) * STEP for index in range(round(grid.width / STEP))]
        found.append(sum(STEP for at in middles for low, high in intervals if low <= at < high))
    return found


@given(histories())
def test_each_curve_is_the_integral_over_what_went_on(history: list[Course]) -> None:
    for interval_of in (offered, active, queued):
        intervals = [found for course in history if (found := interval_of(course, NOW)) is not None]
        curve = Curve(GRID)
        for start, end in intervals:
            curve.add(start, end)
        assert curve.integrals() == pytest.approx(looked_at_every_tenth(intervals, GRID), abs=1e-3)


@given(histories())
def test_what_is_offered_runs_or_waits_and_nothing_else(history: list[Course]) -> None:
    curves = {interval_of: Curve(GRID) for interval_of in (offered, active, queued)}
    for interval_of, curve in curves.items():
        for course in history:
            if (interval := interval_of(course, NOW)) is not None:
                assert interval[0] <= interval[1]
                curve.add(*interval)
    wanted, held, waited = (curve.integrals() for curve in curves.values())
    assert wanted == pytest.approx([one + other for one, other in zip(held, waited, strict=True)])


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(0, 50))))
def test_nothing_is_lost_or_made_between_buckets(pieces: list[tuple[float, float, float]]) -> None:
    grid = Grid(0, 7, 72)
    curve = Curve(grid)
    for one, other, per_s in pieces:
        curve.add(min(one, other), max(one, other), per_s)
    assert sum(curve.integrals()) == pytest.approx(sum(abs(one - other) * per_s for one, other, per_s in pieces))


def test_two_calls_of_which_one_waits_a_second() -> None:
    curve = Curve(Grid(0, 5, 1))
    for start, end in ((0.0, 5.0), (0.0, 5.0)):
        curve.add(start, end)
    assert curve.integrals() == [10.0]


def test_the_buckets_stay_where_they_are_when_somebody_looks_again() -> None:
    first, later = grid_over(1003.0, 1303.0, 60), grid_over(1010.0, 1310.0, 60)
    assert first.starts() == [960, 1020, 1080, 1140, 1200, 1260]
    assert later == first
    assert first.widths(1290.0) == [60, 60, 60, 60, 60, 30]


def test_a_call_that_was_interrupted_is_followed_as_far_as_it_was_seen() -> None:
    course = Course("c", "g", 100.0, "m", None, None, "interrupted", enqueued_s=1.0, admitted_s=2.0, last_s=7.0)
    assert offered(course, NOW) == (101.0, 107.0)
    assert active(course, NOW) == (102.0, 107.0)


def test_an_open_call_goes_on_until_now_even_if_the_clock_was_set_back() -> None:
    course = Course("c", "g", 100.0, "m", None, None, None, enqueued_s=1.0, admitted_s=2.0, last_s=2.0)
    assert active(course, 150.0) == (102.0, 150.0)
    assert active(course, 90.0) == (102.0, 102.0)


@given(st.floats(0, 500), st.floats(0, 500), st.floats(0, 50))
@example(0.0, 5e-324, 1.0)
def test_an_amount_that_flows_is_all_there_however_long_it_took(one: float, other: float, amount: float) -> None:
    curve = Curve(Grid(0, 7, 72))
    curve.flow(min(one, other), max(one, other), amount)
    assert sum(curve.integrals()) == pytest.approx(amount)


def test_what_flowed_in_no_time_is_in_its_bucket_and_nowhere_if_that_is_not_looked_at() -> None:
    curve = Curve(Grid(100, 5, 2))
    for at in (99.0, 105.0, 110.0):
        curve.flow(at, at, 3.0)
    curve.put(0, 1.0)
    assert curve.integrals() == [1.0, 3.0]


def test_an_interval_falls_into_pieces_that_add_up_to_it() -> None:
    assert list(pieces(3.0, 12.0, 5)) == [(0, 2.0), (5, 5.0), (10, 2.0)]
    assert list(pieces(5.0, 10.0, 5)) == [(5, 5.0)]
    assert list(pieces(7.0, 7.0, 5)) == [(5, 0.0)]


def test_what_seems_to_end_in_the_future_is_counted_until_now() -> None:
    """Another machine's clock is ahead, or one was set back: a bucket that has only begun must not show a tower."""
    grid, now = Grid(100, 5, 2), 105.5
    curve, tokens = Curve(grid, now), Curve(grid, now)
    curve.add(104.0, 109.0)
    tokens.flow(104.0, 109.0, 50.0)
    tokens.flow(106.0, 106.0, 7.0)
    assert curve.integrals() == [1.0, 0.5]
    assert tokens.integrals() == [10.0, 5.0]
    assert grid.widths(now) == [5, 0.5]


def test_a_bucket_is_divided_by_what_has_passed_of_it() -> None:
    grid = Grid(100, 5, 3)
    assert grid.widths(200.0) == [5, 5, 5]
    assert grid.widths(107.0) == [5, 2, 5]  # nothing is in one that has not begun
    assert grid.widths(105.0) == [5, 0.001, 5]
