"""By when a call must have begun: the earliest of all limits, in words."""

from __future__ import annotations

import pytest

from penstock.core.calls.deadline import MAX_TIMEOUT_S, Deadline, begin_by, seconds


@pytest.mark.parametrize("text", [None, "", "soon", "0", "-1", "nan", "inf", "1" * 21, str(MAX_TIMEOUT_S * 2)])
def test_what_is_no_sensible_number_of_seconds_is_no_limit(text: str | None) -> None:
    assert seconds(text) is None


def test_a_number_of_seconds_is_read() -> None:
    assert (seconds("0.5"), seconds(str(MAX_TIMEOUT_S))) == (0.5, MAX_TIMEOUT_S)


@pytest.mark.parametrize(("is_kept_alive", "limit"), [(False, "X-Stainless-Read-Timeout"), (True, "X-Request-Timeout")])
def test_the_earliest_limit_counts_but_not_patience_between_bytes_where_some_are_sent(
    is_kept_alive: bool, limit: str
) -> None:
    found = begin_by(
        request_timeout_s=20.0, read_timeout_s=10.0, asked_wait_s=30.0, allowed_wait_s=None, is_kept_alive=is_kept_alive
    )
    assert found == Deadline(20.0 if is_kept_alive else 10.0, f"{limit}: {20 if is_kept_alive else 10} s")


def test_who_sets_no_limit_waits_as_long_as_it_takes() -> None:
    limits = begin_by(
        request_timeout_s=None, read_timeout_s=5.0, asked_wait_s=None, allowed_wait_s=None, is_kept_alive=True
    )
    assert limits is None
