"""How long a model keeps its place against those who wait for another."""

from __future__ import annotations

import math

import pytest

from penstock.core.model import Model
from penstock.core.scheduling.hold import LEAST_HOLD_S, hold_end_s
from penstock.core.scheduling.lines import Queue
from penstock.core.scheduling.plan import Policy

POLICY = Policy(hold=4.0, hold_high=1.0, hold_stretch=3.0)
LOADED_S, OWN_LOAD_S, OTHER_LOAD_S = 1000.0, 20.0, 10.0
ROUND_TRIP_S = OWN_LOAD_S + OTHER_LOAD_S
HIGH, NORMAL, LOW, NOBODY = range(4)


def kept_s(own: int, other: int, *, work_s: float = 0.0, policy: Policy = POLICY, min_resident_s: float = 0.0) -> float:
    """How long a model with two slots stays for whose sake a call of class `own` waits, against one of `other`."""
    queue = Queue(Model("a", slots=2, min_resident_s=min_resident_s), OWN_LOAD_S)
    if own != NOBODY:
        queue.counts[own] = 1
    queue.work_s = work_s
    return hold_end_s(policy, queue, LOADED_S, OTHER_LOAD_S, other) - LOADED_S


@pytest.mark.parametrize(
    ("own", "other", "times"),
    [(NORMAL, NORMAL, 4), (HIGH, NORMAL, 4), (HIGH, LOW, 4), (NORMAL, HIGH, 1), (LOW, NORMAL, 1), (LOW, HIGH, 1)],
)
def test_it_stays_for_some_round_trips_and_fewer_against_a_better_class(own: int, other: int, times: int) -> None:
    assert kept_s(own, other) == times * ROUND_TRIP_S


@pytest.mark.parametrize(
    ("own", "other", "times"),
    [(NORMAL, NORMAL, 12), (HIGH, LOW, 12), (NORMAL, HIGH, 3), (LOW, NORMAL, 3), (LOW, HIGH, 1)],
)
def test_it_stays_longer_while_it_is_behind_but_not_against_a_class_two_better(
    own: int, other: int, times: int
) -> None:
    assert kept_s(own, other, work_s=2 * OWN_LOAD_S + 1) == times * ROUND_TRIP_S
    assert kept_s(own, other, work_s=2 * OWN_LOAD_S) == min(times, 4 if own <= other else 1) * ROUND_TRIP_S


def test_for_nobody_it_stays_no_longer_than_the_operator_said() -> None:
    assert kept_s(NOBODY, NORMAL) == 0.0
    assert kept_s(NOBODY, NORMAL, min_resident_s=500.0) == 500.0


def test_the_operators_least_time_and_the_rules_own_both_hold() -> None:
    assert kept_s(NORMAL, NORMAL, min_resident_s=500.0) == 500.0
    assert kept_s(NORMAL, NORMAL, min_resident_s=1.0) == 4 * ROUND_TRIP_S
    assert kept_s(NORMAL, NORMAL, policy=Policy(hold=0.0)) == pytest.approx(LEAST_HOLD_S)


def test_one_that_was_never_loaded_here_holds_no_place() -> None:
    queue = Queue(Model("a"), OWN_LOAD_S)
    queue.counts[NORMAL] = 1
    assert hold_end_s(POLICY, queue, -math.inf, OTHER_LOAD_S, NORMAL) == -math.inf
