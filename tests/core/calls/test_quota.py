"""Quotas count what they say they count, window by window, whatever the clock does."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from penstock.core.calls.quota import DAY_S, WEEK_S, Charge, Counted, Quota, Tally, fullest

MINUTE = Quota(Counted.REQUESTS, 3, 60)
NOW = 1_790_000_000.0


def tally(quota: Quota = MINUTE) -> Tally:
    return Tally(quota, [0, 0], 0)


def test_a_window_of_a_minute_begins_with_each_full_minute() -> None:
    full = 60 * math.floor(NOW / 60)
    one = tally()
    for second in (0, 1, 59.999):
        one.add(1, full + second)
    assert one.used(full + 59.999) == 3
    assert one.room_at(full + 30) == full + 60
    assert one.used(full + 60) == 0
    assert one.room_at(full + 60) is None


def test_a_day_begins_at_midnight_and_a_week_on_monday_in_utc() -> None:
    day, week = Quota(Counted.TOKENS, 1, DAY_S), Quota(Counted.TOKENS, 1, WEEK_S)
    ends = datetime.fromtimestamp(day.ends_at(day.window(NOW)), UTC)
    assert (ends.hour, ends.minute, ends.second) == (0, 0, 0)
    monday = datetime.fromtimestamp(week.ends_at(week.window(NOW)), UTC)
    assert (monday.weekday(), monday.hour) == (0, 0)


def test_what_no_engine_saw_is_given_back() -> None:
    requests, tokens = tally(), tally(Quota(Counted.TOKENS, 100, 60))
    charge = Charge([requests, tokens], 40, NOW)
    assert (requests.used(NOW), tokens.used(NOW)) == (1, 40)
    charge.give_back(NOW)
    assert (requests.used(NOW), tokens.used(NOW)) == (0, 0)


def test_tokens_are_put_right_at_the_end_and_requests_stay() -> None:
    requests, tokens = tally(), tally(Quota(Counted.TOKENS, 100, 60))
    Charge([requests, tokens], 40, NOW).settle(25, NOW)
    assert (requests.used(NOW), tokens.used(NOW)) == (1, 25)
    Charge([requests, tokens], 5, NOW).settle(90, NOW)
    assert (requests.used(NOW), tokens.used(NOW)) == (2, 115)


def test_a_call_that_outlives_its_window_is_charged_the_rest_in_the_next() -> None:
    tokens = tally(Quota(Counted.TOKENS, 100, 60))
    Charge([tokens], 40, NOW).settle(100, NOW + 60)
    assert tokens.used(NOW + 60) == 60
    Charge([tokens], 40, NOW + 60).give_back(NOW + 120)
    assert tokens.used(NOW + 120) == 0


def test_of_several_the_one_that_is_full_for_longest_is_told() -> None:
    minute, day = tally(Quota(Counted.REQUESTS, 1, 60)), tally(Quota(Counted.TOKENS, 10, DAY_S))
    assert fullest([minute, day], NOW) is None
    minute.add(1, NOW)
    assert fullest([minute, day], NOW) == (minute, minute.quota.ends_at(minute.quota.window(NOW)))
    day.add(10, NOW)
    assert fullest([minute, day], NOW) == (day, day.quota.ends_at(day.quota.window(NOW)))


def test_a_clock_put_back_over_the_edge_opens_no_window_again() -> None:
    edge = 60 * math.ceil(NOW / 60)
    one = tally()
    one.add(2, edge - 1)
    one.add(3, edge + 0.1)
    assert one.used(edge - 0.5) == 3
    assert one.room_at(edge - 0.5) == edge + 60


def test_a_clock_that_was_wrong_by_years_locks_nobody_out() -> None:
    one = tally()
    one.add(3, NOW + 20 * 365 * DAY_S)
    assert one.room_at(NOW) is None
    assert one.add(1, NOW) == MINUTE.window(NOW)
    assert one.used(NOW) == 1


def test_a_process_killed_between_two_cells_charges_nobody_for_an_older_window() -> None:
    for writes in range(3):
        cells = DyingCells([MINUTE.window(NOW) - 1, 3], writes)
        one = Tally(MINUTE, cells, 0)
        try:
            one.add(1, NOW)
        except Dead:
            pass
        assert Tally(MINUTE, cells.cells, 0).used(NOW) <= 1


class Dead(Exception):
    """The process ended here."""


class DyingCells:
    """Cells of a process that is killed after so many writes."""

    def __init__(self, cells: list[int], writes: int) -> None:
        self.cells = cells
        self._left = writes

    def __getitem__(self, at: int, /) -> int:
        return self.cells[at]

    def __setitem__(self, at: int, number: int, /) -> None:
        if not self._left:
            raise Dead
        self._left -= 1
        self.cells[at] = number


@st.composite
def histories(draw: st.DrawFn) -> tuple[Quota, list[tuple[float, int]]]:
    """A quota and charges in order of time."""
    quota = Quota(
        draw(st.sampled_from(Counted)), draw(st.integers(1, 50)), draw(st.sampled_from([1, 60, 3600, WEEK_S]))
    )
    steps = draw(st.lists(st.tuples(st.floats(0, 3 * quota.per_s), st.integers(1, 20)), max_size=60))
    moments, now = [], NOW
    for step, amount in steps:
        now += step
        moments.append((now, amount))
    return quota, moments


@given(histories(), st.booleans())
def test_a_tally_agrees_with_adding_up_all_charges_of_the_window(
    history: tuple[Quota, list[tuple[float, int]]], restarts: bool
) -> None:
    quota, moments = history
    cells = [0, 0]
    one = Tally(quota, cells, 0)
    accepted: list[tuple[float, int]] = []
    for now, amount in moments:
        window = quota.window(now)
        used = sum(each for moment, each in accepted if quota.window(moment) == window)
        assert one.used(now) == used
        assert (one.room_at(now) is None) is (used < quota.limit)
        if used < quota.limit:
            one.add(amount, now)
            accepted.append((now, amount))
        else:
            assert one.room_at(now) == quota.ends_at(window) > now
        if restarts:
            cells = list(cells)
            one = Tally(quota, cells, 0)


@given(st.floats(0, 4e9), st.integers(1, 400 * DAY_S))
def test_every_moment_is_in_the_window_that_ends_next(now: float, per_s: int) -> None:
    quota = Quota(Counted.REQUESTS, 1, per_s)
    assert now < quota.ends_at(quota.window(now)) <= now + per_s


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500), st.booleans()), max_size=30))
def test_after_all_calls_have_ended_only_what_engines_did_is_charged(calls: list[tuple[int, int, bool]]) -> None:
    requests, tokens = tally(Quota(Counted.REQUESTS, 1, DAY_S)), tally(Quota(Counted.TOKENS, 1, DAY_S))
    charges = [Charge([requests, tokens], estimate, NOW) for estimate, _, _ in calls]
    for charge, (_, real, is_served) in zip(charges, calls, strict=True):
        if is_served:
            charge.settle(real, NOW)
        else:
            charge.give_back(NOW)
    assert requests.used(NOW) == sum(is_served for _, _, is_served in calls)
    assert tokens.used(NOW) == sum(real for _, real, is_served in calls if is_served)
