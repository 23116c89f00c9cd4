"""Which time who deletes old records goes by: never far from one that passes as time does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.store.belief import (
    BELIEVED_AFTER_S,
    COUNTED_AT_MOST_S,
    DAY_S,
    Belief,
    first_belief,
    next_belief,
    told,
    tolerated,
)

KEPT_S = 90 * DAY_S
TOLERATED_S = tolerated(KEPT_S)
NOW = 1_700_000_000.0

_spans = st.floats(0.0, 7200.0)
_offs = st.one_of(st.just(0.0), st.floats(-1e9, 1e9), st.floats(-TOLERATED_S, TOLERATED_S))


@given(st.lists(st.tuples(_spans, _offs), max_size=200))
def test_in_less_than_what_it_takes_no_clock_moves_the_time_by_more_than_is_tolerated_at_once(
    looks: list[tuple[float, float]],
) -> None:
    belief, true = Belief(NOW), NOW
    for passed_s, off_s in looks:
        true += passed_s
        after = next_belief(belief, true + off_s, passed_s, TOLERATED_S)
        counted_s = (belief.doubted_s or 0.0) + min(passed_s, COUNTED_AT_MOST_S)
        if belief.doubted_s is None or counted_s < BELIEVED_AFTER_S:
            assert abs(after.at - (belief.at + passed_s)) <= TOLERATED_S
        belief = after


@given(st.lists(st.tuples(_spans, st.floats(1.001 * TOLERATED_S, 1e9)), max_size=300))
def test_a_right_look_in_between_ends_a_doubt(looks: list[tuple[float, float]]) -> None:
    belief, true = Belief(NOW), NOW
    for passed_s, off_s in looks:
        true += passed_s
        assert next_belief(belief, true + off_s, passed_s, TOLERATED_S).doubted_s == 0.0
        belief = next_belief(belief, true, passed_s, TOLERATED_S)
        assert belief == Belief(true)


@given(st.lists(st.tuples(st.floats(0.0, TOLERATED_S / 2), st.floats(0.0, TOLERATED_S / 2)), max_size=50))
def test_a_machine_that_is_often_off_is_never_doubted(lives: list[tuple[float, float]]) -> None:
    belief, now = Belief(NOW), NOW
    for off_s, on_s in lives:
        now += off_s
        belief = next_belief(belief, now, 0.0, TOLERATED_S)
        assert belief == Belief(now)
        now += on_s
        belief = next_belief(belief, now, on_s, TOLERATED_S)
        assert belief == Belief(now)


def test_a_store_that_was_away_settles_no_doubt() -> None:
    belief = next_belief(Belief(NOW), NOW + 1e9, 0.0, TOLERATED_S)
    belief = next_belief(belief, NOW + 1e9, 30 * DAY_S, TOLERATED_S)
    assert belief.doubted_s == COUNTED_AT_MOST_S


def test_what_is_kept_for_minutes_may_be_deleted_after_minutes() -> None:
    tolerated_s = tolerated(60.0)
    belief = Belief(NOW)
    for look in range(8):
        belief = next_belief(belief, NOW + DAY_S + 60.0 * look, 60.0, tolerated_s)
    assert belief.doubted_s is None


def test_a_first_look_believes_the_clock_or_an_older_record() -> None:
    assert first_belief(NOW, None) == first_belief(NOW, NOW + 5.0) == Belief(NOW)
    assert first_belief(NOW, NOW - 5.0) == Belief(NOW - 5.0)


def test_a_doubt_says_what_is_wrong_and_for_how_long_it_lasts() -> None:
    ahead = told(Belief(NOW, 0.0), NOW + 40 * DAY_S, TOLERATED_S)
    behind = told(Belief(NOW, DAY_S), NOW - 3600.0, 600.0)
    assert "40.0 days ahead of" in ahead
    assert "after 3.0 days more" in ahead
    assert "60 min behind" in behind
    assert told(Belief(NOW), NOW, TOLERATED_S) == ""
