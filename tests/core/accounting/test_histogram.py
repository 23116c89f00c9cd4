"""A histogram says within 2 % what the sorted values say, and adds up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.accounting import histogram
from penstock.core.accounting.histogram import Bins

values = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e12)), min_size=1)


def of(numbers: list[float]) -> Bins:
    bins: Bins = {}
    for number in numbers:
        histogram.count(bins, number)
    return bins


@given(values, st.floats(0, 1))
def test_a_percentile_is_that_of_the_sorted_values_within_its_error(numbers: list[float], share: float) -> None:
    true = sorted(numbers)[min(int(len(numbers) * share), len(numbers) - 1)]
    assert histogram.percentile(of(numbers), share) == pytest.approx(true, rel=histogram.ERROR * 1.001)


@given(values, values)
def test_two_histograms_add_up_to_that_of_both(some: list[float], others: list[float]) -> None:
    merged = of(some)
    histogram.merge(merged, of(others))
    assert merged == of(some + others)
    assert histogram.samples(merged) == len(some) + len(others)


def test_of_nothing_nothing_is_known() -> None:
    assert histogram.percentile({}, 0.5) is None
    assert histogram.percentile(of([0.0]), 0.5) == 0.0


def test_of_two_in_the_middle_the_upper_is_told() -> None:
    assert histogram.percentile(of([20.0, 30.0]), 0.5) == pytest.approx(30.0, rel=0.02)
