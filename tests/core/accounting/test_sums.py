"""Sums over calls: NULL is never counted as 0, and the parts add up to the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.accounting import histogram
from penstock.core.accounting.course import Course, waited_s
from penstock.core.accounting.sums import NUMBERS, Spread, Sums
from tests.core.accounting.courses import histories


def summed(history: list[Course]) -> Sums:
    sums = Sums()
    for course in history:
        sums.add(course)
    return sums


@given(histories())
def test_unknown_is_not_zero(history: list[Course]) -> None:
    sums = summed(history)
    for name in ("prompt", "cached", "completion"):
        known = [value for course in history if (value := getattr(course, f"{name}_tokens")) is not None]
        assert getattr(sums, f"{name}_tokens") == sum(known)
        assert getattr(sums, f"{name}_known") == len(known)
    assert sums.requests == sum(course.stands_for for course in history)
    assert sums.retries == sum(course.stands_for for course in history if course.retry_count in (1, 2))


@given(histories())
def test_who_gives_up_in_the_queue_has_waited_too(history: list[Course]) -> None:
    sums = summed(history)
    left = [course for course in history if course.enqueued_s is not None and waited_s(course) is not None]
    got = [course for course in left if course.admitted_s is not None]
    assert histogram.samples(sums.bins(Spread.WAITED)) == len(left)
    assert histogram.samples(sums.bins(Spread.QUEUE_WAIT)) == len(got)
    assert sums.waited_s == pytest.approx(sum(waited_s(course) or 0.0 for course in left))


@given(histories(), st.integers(0, 12))
def test_the_parts_add_up(history: list[Course], cut: int) -> None:
    parts, whole = summed(history[:cut]), summed(history)
    parts.merge(summed(history[cut:]))
    for name in NUMBERS:
        assert getattr(parts, name) == pytest.approx(getattr(whole, name))
    assert parts.spreads == whole.spreads


def test_solo_is_who_has_the_devices_to_itself_not_only_its_engine() -> None:
    course = Course(
        "c", "g", 0.0, "m", None, None, "completed",
        enqueued_s=0.0, admitted_s=0.0, first_token_s=1.0, done_s=5.0, completion_tokens=40,
    )  # fmt: skip
    sums = Sums()
    sums.add_speed(course, 1.0, 2.0)
    assert not sums.bins(Spread.SOLO_DECODE_TOK_S)
    sums.add_speed(course, 1.0, 1.2)
    assert histogram.percentile(sums.bins(Spread.SOLO_DECODE_TOK_S), 0.5) == pytest.approx(10.0, rel=0.02)
