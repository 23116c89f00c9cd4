"""How long calls waited for which reason, against looking at every second."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.scheduling.scheduler import Scheduler, WaitReason
from penstock.runtime.engines.waiting import Wait, WaitClock, waited

REASONS = (None, WaitReason.MODEL_CAP, WaitReason.LOADING, WaitReason.HOLD)


class Reasons:
    """A scheduler's side of it: why the calls of one model wait, second by second; None = nobody waits."""

    def __init__(self, by_second: list[WaitReason | None]) -> None:
        self.by_second = by_second
        self.now_s = 0

    def reasons(self) -> dict[str, WaitReason]:
        reason = self.by_second[self.now_s] if self.now_s < len(self.by_second) else None
        return {} if reason is None else {"m": reason}

    def waiting_count(self) -> int:
        return len(self.reasons())


@given(st.lists(st.sampled_from(REASONS), min_size=1, max_size=30), st.integers(0, 29), st.integers(1, 30))
def test_the_seconds_of_a_wait_are_told_apart_by_what_held_in_each(
    by_second: list[WaitReason | None], began_s: int, length_s: int
) -> None:
    world = Reasons(by_second)
    clock = WaitClock(cast("Scheduler", world))
    states = []
    for now_s in range(len(by_second) + length_s + 1):
        world.now_s = now_s
        clock.advance(float(now_s), "m")
        states.append(clock.read("m", float(now_s)))
    began_s = min(began_s, len(by_second) - 1)
    inside = [reason for reason in by_second[began_s : began_s + length_s] if reason is not None]
    found = waited(states[began_s], states[began_s + length_s], float(length_s))
    assert found == {str(reason): pytest.approx(inside.count(reason)) for reason in set(inside)}


totals = st.dictionaries(st.sampled_from(REASONS[1:]), st.floats(0, 1e6))


@given(totals, totals, st.floats(0, 1e6))
def test_reasons_never_add_up_to_more_than_the_wait(
    began: dict[WaitReason, float], more: dict[WaitReason, float], waited_s: float
) -> None:
    ended = {reason: began.get(reason, 0.0) + seconds for reason, seconds in more.items()}
    found = waited(began, ended, waited_s)
    assert sum(found.values()) <= waited_s * (1 + 1e-9) + 1e-12  # half of the smallest number there is is that number
    assert all(seconds >= 0 for seconds in found.values())
    grown = {str(reason): ended[reason] - began.get(reason, 0.0) for reason in ended}
    if sum(max(0.0, seconds) for seconds in grown.values()) <= waited_s:
        assert found == {reason: seconds for reason, seconds in grown.items() if seconds > 0}


def test_a_call_that_waits_for_one_model_after_another_is_told_the_sum_of_its_own_waits() -> None:
    loading, cap = WaitReason.LOADING, WaitReason.MODEL_CAP
    wait = Wait({loading: 100.0}, 10.0)
    assert wait.until({loading: 103.0}, 13.0) == {"loading": 3.0}
    assert wait.until({loading: 104.0}, 14.0) == {"loading": 4.0}
    wait.goes_on({loading: 50.0, cap: 7.0}, 20.0)  # another model's clock
    assert wait.until({loading: 51.0, cap: 9.0}, 23.0) == {"loading": 5.0, "model_cap": 2.0}
