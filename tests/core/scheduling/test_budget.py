"""Pools: what calls take, who may pass whom, and that nobody starves for want of a large share."""

from __future__ import annotations

import pytest

from penstock.core.model import Model, Pool
from penstock.core.scheduling.actions import Admit, WakeAt
from penstock.core.scheduling.admission import PoolState
from penstock.core.scheduling.budget import share_of
from penstock.core.scheduling.commands import Load
from penstock.core.scheduling.scheduler import Policy, Scheduler, WaitReason
from tests.core.scheduling.worlds import deeds, model, ready, scheduler, ticket

POOL = Pool("p")


def pooled(*models: Model, is_exclusive: bool = False) -> Scheduler:
    return scheduler(*models, pools=(Pool("p", 1.0, is_exclusive),))


def there(name: str, slots: int | None, cost: float | None = None) -> Model:
    """A server that is always ready, so that only the pool matters."""
    return Model(name, slots, is_launched=False, pool="p", cost=cost)


@pytest.mark.parametrize(
    ("tokens", "share"), [(0, 0.125), (2000, 0.125), (2001, 0.25), (8000, 0.25), (8001, 0.5), (10**9, 0.5)]
)
def test_a_long_prompt_takes_more(tokens: int, share: float) -> None:
    assert share_of(there("a", 8), POOL, tokens, Policy()) == share
    assert share_of(there("a", 8), None, tokens, Policy()) == 0.125


def test_a_long_prompt_leaves_the_lane_of_a_short_one_open() -> None:
    assert share_of(there("a", 4), POOL, 10**6, Policy()) == 0.75
    assert share_of(there("a", 2), POOL, 10**6, Policy()) == 0.5
    assert share_of(there("a", 1), POOL, 10**6, Policy()) == 1.0
    assert share_of(there("a", None), POOL, 10**6, Policy()) == 0.0  # no cap and no cost: takes nothing


def test_short_calls_keep_passing_while_several_heavy_ones_wait() -> None:
    sched = pooled(there("a", 4))
    assert sched.arrive(ticket("heavy1", "a", "bob", tokens=9000), 0.0) == [Admit("heavy1", "a")]
    assert deeds(sched.arrive(ticket("heavy2", "a", "bob", tokens=9000), 0.0)) == []
    assert deeds(sched.tick(6.0)) == []
    assert sched.explain("heavy2", 6.0).reason is WaitReason.BUDGET_FULL
    assert sched.arrive(ticket("light1", "a"), 7.0) == [Admit("light1", "a")]  # beside the reservation
    assert deeds(sched.arrive(ticket("light2", "a"), 7.0)) == []
    assert sched.leave("light1", 8.0) == [Admit("light2", "a")]
    assert sched.leave("heavy1", 9.0) == [Admit("heavy2", "a")]  # and it delayed nobody


def test_a_call_that_needs_the_whole_pool_is_passed_for_a_grace_and_then_has_its_share_kept() -> None:
    sched = pooled(there("wide", 4), there("solo", 1))
    sched.arrive(ticket("w1", "wide"), 0.0)
    assert sched.arrive(ticket("s1", "solo", "bob"), 1.0) == [WakeAt(6.0)]
    assert sched.arrive(ticket("w2", "wide"), 2.0) == [Admit("w2", "wide")]
    assert sched.tick(6.0) == []
    assert deeds(sched.arrive(ticket("w3", "wide"), 7.0)) == []
    wait = sched.explain("w3", 7.0)
    assert (wait.reason, wait.wait_for) == (WaitReason.RESERVED, "solo")
    assert deeds(sched.leave("w1", 8.0)) == []
    assert deeds(sched.leave("w2", 9.0)) == [Admit("s1", "solo")]
    assert deeds(sched.leave("s1", 10.0)) == [Admit("w3", "wide")]


def test_when_who_had_a_share_kept_goes_away_the_others_go_on_at_once() -> None:
    sched = pooled(there("wide", 4), there("solo", 1))
    sched.arrive(ticket("w1", "wide"), 0.0)
    sched.arrive(ticket("s1", "solo", "bob"), 1.0)
    sched.tick(6.0)
    sched.arrive(ticket("w2", "wide"), 7.0)
    assert deeds(sched.leave("s1", 8.0)) == [Admit("w2", "wide")]


def test_in_an_exclusive_pool_one_model_runs_at_a_time_and_yields_after_a_grace() -> None:
    sched = pooled(there("a", 2), there("b", 2), is_exclusive=True)
    sched.arrive(ticket("a1", "a"), 0.0)
    assert deeds(sched.arrive(ticket("b1", "b", "bob"), 1.0)) == []
    wait = sched.explain("b1", 1.0)
    assert (wait.reason, wait.wait_for) == (WaitReason.EXCLUSIVE, "a")
    assert sched.arrive(ticket("a2", "a"), 2.0) == [Admit("a2", "a")]
    sched.leave("a1", 3.0)
    sched.tick(6.0)
    assert deeds(sched.arrive(ticket("a3", "a"), 7.0)) == []
    assert deeds(sched.leave("a2", 8.0)) == [Admit("b1", "b")]


def test_what_was_taken_is_given_back_exactly() -> None:
    sched = pooled(there("a", None, 0.1), there("b", 3))
    for i in range(1000):
        sched.arrive(ticket(f"t{i}", "ab"[i % 2]), float(i))
        sched.leave(f"t{i - 3}", float(i))
    for i in range(1000):
        sched.leave(f"t{i}", 1000.0)
    [budget] = sched._desk._budgets.values()
    assert (budget.used, budget.running) == (0.0, {})


def test_a_pool_tells_what_runs_in_it_and_for_whom_a_share_is_kept() -> None:
    sched = scheduler(model("a", slots=4, pool="p"), model("b", 40, slots=4, pool="p", cost=1.0), pools=(Pool("p"),))
    for name in "ab":
        sched.command(Load(name), 0.0)
        ready(sched, name, 0.0)
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.arrive(ticket("t2", "b"), 0.0)
    sched.tick(6.0)
    assert sched.pools() == [PoolState(Pool("p"), 0.25, {"a": 1}, "t2")]
    assert (sched.share("t2"), sched.share("t1"), sched.share("t3")) == (1.0, 0.25, None)
