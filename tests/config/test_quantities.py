"""Durations and sizes: what is written is what is meant."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.quantities import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    duration_text,
    seconds,
    size_bytes,
    size_text,
)


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [("90", 90), ("500ms", 0.5), ("10m", 600), ("1h30m", 5400), ("1h 30m", 5400), ("90d", 7_776_000), ("1w", 604_800)],
)
def test_a_duration_is_a_number_with_units(text: str, expected_s: float) -> None:
    assert seconds(text) == expected_s


@pytest.mark.parametrize(
    ("text", "expected_bytes"),
    [("0", 0), ("64KiB", 65_536), ("64k", 65_536), ("8GiB", 8 * 2**30), ("24GB", 24 * 10**9), ("1.5 GiB", 3 * 2**29)],
)
def test_a_size_is_a_number_with_a_unit(text: str, expected_bytes: int) -> None:
    assert size_bytes(text) == expected_bytes


@pytest.mark.parametrize("text", ["", " ", "soon", "-1s", "1x", "1h30", "10m extra", "1e3", "٣s", "9" * 50])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(text)):
        seconds(text)


@pytest.mark.parametrize("text", ["", "lots", "-1", "1 parsec", "GiB", "1GiB2", "9" * 50])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(text)):
        size_bytes(text)


@given(st.integers(0, 2**50))
def test_a_size_survives_being_written_and_read(amount_bytes: int) -> None:
    assert size_bytes(size_text(amount_bytes)) == amount_bytes
    assert re.match(SIZE_PATTERN, size_text(amount_bytes))


@given(st.integers(0, 10**9))
def test_a_whole_duration_survives_being_written_and_read(span_s: int) -> None:
    assert seconds(duration_text(span_s)) == span_s
    assert re.match(DURATION_PATTERN, duration_text(span_s))


@given(st.text(max_size=50))
def test_reading_any_text_ends_in_a_number_or_in_value_error(text: str) -> None:
    for read in (seconds, size_bytes):
        try:
            assert read(text) >= 0
        except ValueError:
            continue
