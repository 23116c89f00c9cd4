"""The breaker: an engine that keeps failing is left alone, and tried again with one call."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.core.calls.breaker import Breaker, BreakerPolicy, BreakerState

CLOSED, OPEN, HALF_OPEN = BreakerState
POLICY = BreakerPolicy(failures=3, pause_s=10.0, max_pause_s=30.0)


def broken(now_s: float = 0.0) -> Breaker:
    """One that has just opened."""
    breaker = Breaker("m", POLICY)
    for i in range(POLICY.failures):
        assert breaker.refusal(f"c{i}", now_s) is None
        breaker.failed(f"c{i}", now_s)
    assert breaker.state is OPEN
    return breaker


def retry_after_s(breaker: Breaker, now_s: float) -> int | None:
    error = breaker.refusal("somebody", now_s)
    return None if error is None else error.retry_after_s


def test_so_many_faults_in_a_row_open_it_and_a_success_in_between_does_not() -> None:
    breaker = Breaker("m", POLICY)
    for outcome in "ffsffs":
        breaker.succeeded("c") if outcome == "s" else breaker.failed("c", 0.0)
    assert breaker.state is CLOSED
    assert broken().refusal("d", 0.0) is not None


def test_retry_after_is_the_rest_of_the_pause_and_never_zero() -> None:
    breaker = broken()
    assert [retry_after_s(breaker, now_s) for now_s in (0.0, 4.5, 9.9)] == [10, 6, 1]
    breaker.refusal("probe", 10.0)
    assert retry_after_s(breaker, 11.0) == 10


def test_after_its_pause_one_call_decides() -> None:
    breaker = broken()
    assert breaker.refusal("probe", 10.0) is None
    assert breaker.refusal("probe", 10.5) is None  # it comes again, its engine was gone
    assert breaker.refusal("other", 11.0) is not None
    breaker.succeeded("early")  # let in before it opened
    breaker.failed("early", 11.0)
    assert breaker.state is HALF_OPEN
    breaker.succeeded("probe")
    assert breaker.state is CLOSED
    assert breaker.refusal("other", 11.0) is None


def test_each_probe_that_fails_doubles_the_pause_up_to_a_bound() -> None:
    breaker, now_s, pauses = broken(), 0.0, []
    for i in range(4):
        pauses.append(breaker.until_s - now_s)
        now_s = breaker.until_s
        assert breaker.refusal(f"p{i}", now_s) is None
        breaker.failed(f"p{i}", now_s)
    assert pauses == [10.0, 20.0, 30.0, 30.0]


def test_a_probe_that_says_nothing_makes_room_for_another() -> None:
    breaker = broken()
    assert breaker.refusal("probe", 10.0) is None
    breaker.left("stranger")
    assert breaker.refusal("other", 10.0) is not None
    breaker.left("probe")
    assert breaker.refusal("other", 10.0) is None


def test_a_crash_that_takes_many_calls_with_it_is_one_fault() -> None:
    breaker = Breaker("m", POLICY)
    for i in range(8):
        breaker.failed(f"c{i}", 5.0, fell_since_s=1.0)
    assert (breaker.state, breaker.failures) == (CLOSED, 1)
    breaker.failed("d", 7.0, fell_since_s=6.0)
    breaker.failed("e", 9.0, fell_since_s=8.0)
    assert breaker.state is OPEN


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["comes", "succeeds", "fails", "falls", "leaves", "reset"]),
        st.integers(0, 5),
        st.sampled_from([0.0, 0.5, 7.0, 40.0]),
    ),
    max_size=60,
)


@given(EVENTS)
def test_whatever_happens_it_opens_only_by_faults_and_lets_one_in_at_most_while_in_doubt(
    events: list[tuple[str, int, float]],
) -> None:
    breaker, now_s, since_success, inside = Breaker("m", POLICY), 0.0, 0, set[str]()
    for what, number, later_s in events:
        now_s += later_s
        call = f"c{number}"
        was = breaker.state
        if what == "comes":
            error = breaker.refusal(call, now_s)
            assert error is None or (error.retry_after_s or 0) >= 1
            assert was is not CLOSED or error is None
            if error is None and breaker.state is HALF_OPEN:
                inside.add(call)
                assert len(inside) == 1
        elif what == "reset" or (what == "succeeds" and (was is CLOSED or call in inside)):
            breaker.reset() if what == "reset" else breaker.succeeded(call)
            since_success = 0
            assert breaker.state is CLOSED
        elif what in ("fails", "falls"):
            since_success += 1
            breaker.failed(call, now_s, fell_since_s=now_s - 1 if what == "falls" else None)
            assert breaker.state is was or breaker.until_s > now_s
        else:
            breaker.left(call) if what == "leaves" else breaker.succeeded(call)
            inside.discard(call)
            assert breaker.state is was
        if breaker.state is not HALF_OPEN:
            inside.clear()
        assert breaker.state is CLOSED or since_success >= POLICY.failures
