from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli import report_figures as figures
from tests.cli.reports import a_report, a_week


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "-"), (0.0, "0"), (0.0001, "1ms"), (0.34, "340ms"), (0.9996, "1s"), (12.345, "12.3s"), (99.96, "1.67m"),
        (600.0, "10m"), (5999.0, "1.67h"), (360_000.0, "100h"),
    ],
)  # fmt: skip
def test_a_span_has_three_digits_and_a_unit(seconds: float | None, said: str) -> None:
    assert figures.span(seconds) == said


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0"), (99_999, "99999"), (123_456, "123k"), (999_600, "1M"), (12_300_000_000, "12.3G")]
)
def test_large_counts_are_shortened(number: int, said: str) -> None:
    assert figures.count(number) == said


@pytest.mark.parametrize(
    ("joules", "said"), [(None, "-"), (0.0, "0J"), (812.0, "812J"), (7200.0, "2Wh"), (3.6e6 * 1.5, "1.5kWh")]
)
def test_energy_is_told_in_what_bills_are_told_in(joules: float | None, said: str) -> None:
    assert figures.energy(joules) == said


@given(st.floats(0, 1e10))
def test_no_number_takes_more_room_than_a_column_has(value: float) -> None:
    for said in (figures.span(value), figures.energy(value), figures.compact(value), figures.count(int(value))):
        assert len(said) <= 10
        assert re.fullmatch(r"[\d.]+[a-zA-Z]*", said)


def test_the_words_say_what_the_whole_came_to(tmp_path: Path) -> None:
    found = a_report(tmp_path, a_week())
    words = dict(figures.in_words(found))
    assert words["Requests"] == "1008: 806 first tries, 202 retries"
    assert words["Outcomes"] == "432 completed, 144 abandoned, 143 failed, 143 refused, 143 cancelled, 3 not over yet"
    assert words["Tokens"] == "518k prompt, 346k of it cached (67 % where told); 147k generated"
    assert "GPU time, 3 loads that took 3s" in words["Machine"]
    assert words["Energy"] == "108Wh"


def test_a_column_that_nobody_fills_is_left_out_and_one_that_must_be_there_is_not(tmp_path: Path) -> None:
    calls = [each for each in a_week() if each.outcome == "completed"]
    found = a_report(tmp_path, [each._replace(energy_j=None) for each in calls])
    columns = [column for group in figures.GROUPS for column in group]
    head = figures.told("model", found.models, columns).head
    assert not {"CANCELLED", "OPEN", "ENERGY"} & set(head)
    assert {"ABANDONED", "REFUSED", "GPU TIME"} <= set(head)


def test_what_a_reader_should_know_is_noted(tmp_path: Path) -> None:
    found = a_report(tmp_path, a_week()[-50:])
    assert list(figures.notes(found)) == [f"Records begin at {figures.moment(found.first_at or 0)}."]
    odd = replace(found, first_at=0.0, long_open=2, devices=["ram"])
    said = list(figures.notes(odd))
    assert "counts as one device" in said[0]
    assert "2 calls have been open" in said[1]


def test_an_empty_store_and_an_empty_time_are_told_apart(tmp_path: Path) -> None:
    empty = a_report(tmp_path, [])
    assert "no calls in the store yet" in (figures.nothing(empty) or "")
    assert "Try a longer --last" in (figures.nothing(replace(empty, first_at=1.0)) or "")
    assert figures.nothing(replace(empty, total=replace(empty.total, loads=1))) is None
