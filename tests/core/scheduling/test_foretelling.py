"""What is said to those who wait: bounds to the second, places in the queue, expected durations."""

from __future__ import annotations

import math

import pytest

from penstock.core.model import Model, Pool, Priority
from penstock.core.scheduling.accounts import Accounts
from penstock.core.scheduling.actions import Refuse
from penstock.core.scheduling.commands import Load, Pause, Pin, SetPriority
from penstock.core.scheduling.demand import Demand
from penstock.core.scheduling.explain import WaitReason
from penstock.core.scheduling.lines import Queue, Room
from penstock.core.scheduling.scheduler import Policy, Scheduler
from penstock.errors import QueueFull
from tests.core.scheduling.worlds import deeds, model, plan, ready, scheduler, ticket

HIGH, NORMAL, LOW = Priority
POLICY = Policy(patience_s=(7.0, 50.0, 900.0), hold=4.0, hold_stretch=3.0, hold_high=1.0, call_limit_s=100.0)


def busy(*models: Model, policy: Policy = POLICY) -> Scheduler:
    """The first model is loaded at 0 s in no time, and its one slot is taken."""
    sched = scheduler(*models, policy=policy)
    sched.command(Load(models[0].name), 0.0)
    ready(sched, models[0].name, 0.0)
    sched.arrive(ticket("running", models[0].name), 0.0)
    return sched


@pytest.mark.parametrize(("min_resident_s", "turn_s"), [(0.0, 30 + 24 * 30 + 105), (1000.0, 30 + 1000 + 105)])
def test_a_bound_is_a_patience_and_a_turn_for_each_line_and_two_more(min_resident_s: float, turn_s: float) -> None:
    sched = busy(model("a"), model("b", load_s=30.0, min_resident_s=min_resident_s))
    sched.arrive(ticket("t1", "a"), 0.0)
    assert sched.explain("t1", 10.0).bound_s == 50 - 10 + 3 * turn_s
    sched.arrive(ticket("u1", "a", "bob"), 10.0)
    sched.arrive(ticket("t2", "a"), 10.0)
    assert sched.explain("t1", 10.0).bound_s == 50 - 10 + 4 * turn_s  # of two lines now
    assert sched.explain("t2", 10.0).bound_s == 50 - 10 + 4 * turn_s + 2 * 50 + 4 * turn_s
    sched.leave("running", 11.0)
    assert sched.bound_exceeded == 0


def test_the_longest_load_ever_seen_counts() -> None:
    sched = scheduler(model("a", 10), model("b", 10), policy=POLICY)
    sched.arrive(ticket("a1", "a"), 5.0)
    wait = sched.explain("a1", 6.0)
    assert (wait.reason, wait.wait_until_s, wait.estimate_s) == (WaitReason.LOADING, 5.0 + 10.0, 9.0)
    sched.replica_ready("a", 1, 45.0)
    sched.arrive(ticket("a2", "a"), 45.0)
    assert sched.explain("a2", 45.0).bound_s == 50 + 3 * (40 + 24 * 40 + 105)


def test_a_load_that_takes_longer_than_expected_is_outside_the_bound() -> None:
    sched = scheduler(model("a"), policy=POLICY)
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.tick(10.0)
    expected_s = sched.explain("t1", 10.0).bound_s
    assert sched.explain("t1", 8.0).bound_s == pytest.approx((expected_s or 0.0) + 2.0)
    assert sched.explain("t1", 60.0).bound_s == expected_s


def test_a_load_that_is_given_up_is_outside_the_bound_of_the_others() -> None:
    sched = busy(model("a", 40), model("b", 40), policy=POLICY)
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.arrive(ticket("b1", "b"), 1.0)
    expected_s = sched.explain("t1", 4.0).bound_s
    sched.leave("b1", 4.0)
    assert sched.explain("t1", 4.0).bound_s == (expected_s or 0.0) + 3.0


def test_time_that_passes_while_memory_is_taken_by_others_is_outside_the_bound() -> None:
    sched = busy(model("a"), model("b"), policy=POLICY)
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.arrive(ticket("b1", "b", priority=HIGH), 0.0)
    sched.command(Pin("a"), 0.0)
    sched.tick(7.0)
    assert sched.explain("b1", 7.0).reason is WaitReason.MEMORY
    assert sched.explain("t1", 57.0).bound_s == sched.explain("t1", 7.0).bound_s


def test_what_the_operator_does_may_cost_those_who_wait_one_turn_more() -> None:
    sched = busy(model("a"), policy=POLICY)
    sched.arrive(ticket("t1", "a"), 0.0)
    expected_s = sched.explain("t1", 0.0).bound_s
    sched.command(Pin("a"), 0.0)
    assert sched.explain("t1", 0.0).bound_s == (expected_s or 0.0) + 10 + 24 * 10 + 105


def test_a_pause_is_the_reason_also_while_the_model_is_being_loaded() -> None:
    sched = scheduler(model("a"))
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.command(Pause(frozenset({"a"})), 1.0)
    assert sched.explain("t1", 2.0).reason is WaitReason.PAUSED


def test_who_comes_later_stands_before_those_of_another_line_who_have_not_begun_to_age() -> None:
    sched = busy(model("a"))
    for number in range(3):
        sched.arrive(ticket(f"ann{number}", "a", "ann"), 0.0)
    sched.arrive(ticket("bob", "a", "bob"), 10.0)
    places = {waiting.id: sched.explain(waiting.id, 10.0).position for waiting in sched.waiting()}
    assert places == {"ann0": 0, "bob": 1, "ann1": 2, "ann2": 3}


def test_those_who_left_a_line_are_counted_no_more() -> None:
    sched = busy(model("a"), policy=Policy(patience_s=(7.0, 50.0, 90_000.0)))
    for number in range(60):
        sched.arrive(ticket(f"t{number}", "a"), 0.0)
    sched.arrive(ticket("last", "a", "bob", LOW), 0.0)
    left = 60
    for number in [*range(5, 50), 0, 51, 1, 52, 2, 3, 4, 50]:
        sched.leave(f"t{number}", 1.0)
        left -= 1
        assert sched.explain("last", 1.0).position == left


def test_a_duration_is_learned_from_the_models_own_calls_and_guessed_from_those_of_others() -> None:
    room = Room(Policy(estimate_s=5.0))
    own, other = (Queue(Model(name), 10.0) for name in ("own", "other"))
    room.learn_service(own, 25.0)
    assert (room.service_s(own), room.service_s(other)) == (25.0, 7.0)
    room.learn_service(own, 35.0)
    assert room.service_s(own) == 26.0


def test_calls_that_died_with_their_engine_teach_nothing_and_cost_the_others_one_turn() -> None:
    sched = busy(model("a"), model("b", 10), policy=POLICY)
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.arrive(ticket("t2", "a"), 0.0)
    sched.arrive(ticket("b1", "b"), 1.0)
    expected_s = sched.explain("b1", 2.0).bound_s
    sched.replica_gone("a", 1, 2.0, reason="it fell over")
    assert sched.explain("b1", 2.0).bound_s == (expected_s or 0.0) + 10 + 24 * 10 + 105
    ready(sched, "a", 12.0)
    assert sched.explain("t2", 12.0).estimate_s == 5.0  # not the two seconds that the other lasted


def test_a_key_that_goes_for_a_moment_still_owes_what_it_had() -> None:
    accounts = Accounts()
    ann, bob = accounts.join("ann"), accounts.join("bob")
    ann.served_s, bob.served_s = 100.0, 10.0
    assert (accounts.lead_s(ann), accounts.lead_s(bob)) == (90.0, 0.0)
    accounts.part("ann", ann)
    assert accounts.join("ann").served_s == 100.0


def test_a_raised_call_goes_before_those_of_its_new_line_who_came_later() -> None:
    sched = busy(model("a"))
    for name, priority in [("h1", HIGH), ("low", LOW), ("h2", HIGH), ("h3", HIGH)]:
        sched.arrive(ticket(name, "a", priority=priority), 0.0)
    sched.command(SetPriority("low", HIGH), 1.0)
    assert [waiting.id for waiting in sched.waiting()] == ["h1", "low", "h2", "h3"]


def test_as_many_wait_for_a_model_as_may() -> None:
    sched = busy(model("a", max_queue=1))
    assert deeds(sched.arrive(ticket("t1", "a"), 0.0)) == []
    (refused,) = deeds(sched.arrive(ticket("t2", "a"), 0.0))
    assert isinstance(refused, Refuse)
    assert isinstance(refused.error, QueueFull)


def test_who_does_not_wait_is_told_so() -> None:
    wait = busy(model("a")).explain("nobody", 0.0)
    assert (wait.reason, wait.position, wait.estimate_s, wait.bound_s) == (WaitReason.NONE, 0, 0.0, 0.0)


def test_an_arrival_counts_less_the_longer_ago_it_was() -> None:
    demand = Demand()
    demand.saw(HIGH, 0.0, 100.0)
    assert demand.rate(HIGH, 0.0, 100.0) == 0.01
    assert demand.rate(HIGH, 100.0, 100.0) == pytest.approx(0.01 / math.e)
    demand.saw(HIGH, 100.0, 100.0)
    assert demand.rate(HIGH, 100.0, 100.0) == pytest.approx(0.01 / math.e + 0.01)


def test_a_kept_share_stays_with_who_is_due_first() -> None:
    models = [
        Model(name, slots, is_launched=False, pool="p", cost=cost)
        for name, slots, cost in (("small", 4, 0.25), ("first", 1, 1.0), ("second", 1, 0.9))
    ]
    sched = scheduler(*models, pools=(Pool("p"),))
    sched.arrive(ticket("s1", "small"), 0.0)
    sched.arrive(ticket("f1", "first", "ann"), 1.0)
    sched.arrive(ticket("g1", "second", "bob"), 1.5)
    sched.tick(10.0)
    sched.arrive(ticket("s2", "small", "eve"), 11.0)
    assert sched.explain("s2", 11.0).wait_for == "first"


def test_the_numbers_of_another_plan_hold_from_then_on() -> None:
    sched = busy(model("a"))
    sched.configure(plan(model("a"), policy=POLICY, max_waiting=1), 1.0)
    assert deeds(sched.arrive(ticket("t1", "a"), 2.0)) == []
    (refused,) = deeds(sched.arrive(ticket("t2", "a"), 2.0))
    assert isinstance(refused, Refuse)
    assert isinstance(refused.error, QueueFull)


def test_a_wake_up_that_is_pending_is_not_asked_for_again() -> None:
    sched = busy(model("a"), model("b"))
    sched.arrive(ticket("t1", "a"), 0.0)
    first, again = sched.arrive(ticket("b1", "b"), 0.0), sched.tick(0.5)
    assert len(first) == 1
    assert again == []
