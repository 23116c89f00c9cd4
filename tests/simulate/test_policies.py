"""Every policy does what it is known for, in worlds small enough to be computed by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from penstock.core.fitting.memory import MemoryResidency
from penstock.core.model import Device, Priority, Ticket
from penstock.simulate.box import Box
from penstock.simulate.policies import Penstock
from penstock.simulate.replay import POLICIES, replay
from penstock.simulate.scenario import find
from penstock.simulate.world import Call
from tests.simulate.worlds import call, in_order, moments, shared, world

EVERYBODY = pytest.mark.parametrize("policy", POLICIES)


@EVERYBODY
def test_a_call_waits_for_the_load_and_then_runs(policy: str) -> None:
    assert moments(world(call(1, 1.0, "a")), policy) == [(11.0, 16.0)]


@EVERYBODY
def test_a_loaded_model_serves_as_many_at_once_as_it_has_slots(policy: str) -> None:
    given = world(*(call(number, 0.0, "a") for number in (1, 2, 3)), slots=2)
    assert moments(given, policy) == [(10.0, 15.0), (10.0, 15.0), (15.0, 20.0)]


@EVERYBODY
def test_an_idle_model_makes_way_at_once(policy: str) -> None:
    assert moments(world(call(1, 0.0, "a"), call(2, 20.0, "b")), policy) == [(10.0, 15.0), (30.0, 35.0)]


@EVERYBODY
def test_a_stop_that_takes_time_delays_the_load(policy: str) -> None:
    given = world(call(1, 0.0, "a"), call(2, 20.0, "b"), stop_s=3.0)
    assert moments(given, policy) == [(10.0, 15.0), (33.0, 38.0)]


def interleaved() -> list[Call]:
    return [call(number, number * 0.1, model) for number, model in enumerate("abab", start=1)]


@pytest.mark.parametrize("policy", ["fifo", "cost-pool"])
def test_whoever_keeps_the_order_of_arrival_loads_for_every_call(policy: str) -> None:
    assert sum(replay(world(*interleaved(), pool="box"), policy, 1).box.loads.values()) == 4


@pytest.mark.parametrize("policy", ["penstock", "collating"])
def test_whoever_collates_loads_once_for_each_model(policy: str) -> None:
    assert sum(replay(world(*interleaved()), policy, 1).box.loads.values()) == 2


def test_lru_lets_later_calls_pass_only_while_their_model_is_loaded() -> None:
    given = world(call(1, 0.0, "a", 5.0), call(2, 1.0, "b"), call(3, 12.0, "a", 5.0))
    assert moments(given, "lru") == [(10.0, 15.0), (30.0, 35.0), (15.0, 20.0)]


def dripping() -> list[Call]:
    """`a` is never idle from its first call on, for five minutes; one call for b comes early."""
    drip = [call(number, number * 4.0, "a", 5.0) for number in range(1, 76)]
    return [*drip, call(100, 30.0, "b", 1.0, priority=Priority.HIGH)]


@pytest.mark.parametrize("policy", ["collating", "lru"])
def test_collation_without_a_bound_starves(policy: str) -> None:
    assert moments(world(*dripping(), slots=2), policy)[-1][0] > 300.0


def test_penstock_swaps_for_who_has_waited_for_his_patience() -> None:
    started_s = moments(world(*dripping(), slots=2), "penstock")[-1][0]
    assert 45.0 <= started_s < 80.0  # 15 s of patience, the call in flight, the load


@EVERYBODY
def test_the_budget_is_kept_by_those_who_know_it(policy: str) -> None:
    given = shared(*(call(number, 1.0, "ab"[number % 2], 5.0) for number in range(1, 5)))
    peak = replay(given, policy, 1).box.peak_used
    assert peak == (1.0 if policy in ("penstock", "cost-pool") else 2.0)


def test_the_cost_pool_serves_classes_in_order() -> None:
    calls = [call(number, 1.0, "a", 5.0, priority=Priority(3 - number)) for number in (1, 2, 3)]
    assert [start for start, _ in moments(shared(*calls, slots=1), "cost-pool")] == [11.0, 6.0, 1.0]


def test_penstock_is_not_told_how_long_calls_and_loads_will_take() -> None:
    policy = Penstock(Box(world(load_s=77.0)))
    policy.arrive(call(1, 0.0, "a", 123.0))
    assert list(policy.scheduler.waiting()) == [Ticket("1", "a", "ann", 0.0)]
    assert "77" not in repr(policy.scheduler.explain("1", 0.0))


def test_who_is_refused_is_never_served() -> None:
    given = world(*(call(number, 0.0, "a") for number in (1, 2, 3)), max_queue=1)
    assert [one.is_refused for one in in_order(replay(given, "penstock", 1))] == [False, True, True]


@EVERYBODY
def test_a_server_that_is_simply_there_needs_no_load(policy: str) -> None:
    assert moments(world(call(1, 1.0, "a"), is_launched=False, footprint=()), policy) == [(1.0, 6.0)]


@EVERYBODY
def test_a_pinned_model_stays(policy: str) -> None:
    given = world(*(call(number, 20.0 * number, model) for number, model in enumerate("abcbca", start=1)))
    a, b, c = (replace(model, footprint=(("gpu", 40),)) for model in given.plan.models)
    models = (replace(a, is_pinned=True), b, c)
    plan = replace(given.plan, models=models, residency=MemoryResidency([Device("gpu", 100)], models))
    assert replay(replace(given, plan=plan), policy, 1).box.loads == {"a": 1, "b": 2, "c": 2}


@EVERYBODY
def test_the_same_seed_gives_the_same_run(policy: str) -> None:
    given = find("agents")
    assert moments(given, policy) == moments(given, policy)


def test_every_policy_answers_everybody() -> None:
    for order, policy in itertools.product(sorted(set(itertools.permutations("aabc"))), POLICIES):
        calls = [call(number, number * 3.0, model) for number, model in enumerate(order, start=1)]
        assert all(end < 1000 for _, end in moments(world(*calls), policy))
