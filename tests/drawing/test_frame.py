from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.drawing.frame import Frame, round_levels, round_step

FRAME = Frame(width=110, height=120, left=10, right=0, top=10, bottom=10, most=4.0)


@pytest.mark.parametrize(("least", "step"), [(0.3, 0.5), (1.0, 1.0), (1.1, 2.0), (7.0, 10.0), (240.0, 500.0)])
def test_a_step_is_the_next_round_number(least: float, step: float) -> None:
    assert round_step(least) == pytest.approx(step)


@given(st.floats(1e-6, 1e12), st.integers(2, 8))
def test_levels_reach_from_nothing_to_above_the_highest_value_and_are_not_too_many(most: float, at_most: int) -> None:
    levels = round_levels(most, at_most=at_most)
    assert levels[0] == 0.0
    assert levels[-1] >= most * (1 - 1e-6)
    assert 2 <= len(levels) <= at_most + 1


def test_counts_have_no_levels_between_them() -> None:
    assert round_levels(1.0, least_step=1.0) == [0.0, 1.0]
    assert round_levels(3.0, least_step=1.0) == [0.0, 1.0, 2.0, 3.0]


def test_values_stand_on_the_floor_and_reach_the_top() -> None:
    assert (FRAME.y(0.0), FRAME.y(4.0)) == (110.0, 10.0)
    assert (FRAME.x(0.0), FRAME.x(1.0)) == (10.0, 110.0)


def test_a_line_is_flat_within_each_step_and_an_area_is_closed_at_the_floor() -> None:
    assert FRAME.steps([0.0, 4.0], lambda index: index / 2) == "10.0,110.0 60.0,110.0 60.0,10.0 110.0,10.0"
    assert FRAME.floor(0.0, 1.0) == "110.0,110.0 10.0,110.0"


def test_levels_are_lines_with_their_value_beside_them() -> None:
    drawn = list(FRAME.levels([0.0, 2.0], lambda value: f"{value:.0f}"))
    assert [part[:5] for part in drawn] == ["<line", "<text", "<line", "<text"]
    assert drawn[3].endswith(">2</text>")
