"""Whose turn it is: due times, fairness between keys, the order inside a line."""

from __future__ import annotations

import random

from penstock.core.model import Priority
from penstock.core.scheduling.actions import Admit
from penstock.core.scheduling.commands import Load, SetPriority
from penstock.core.scheduling.scheduler import Policy, Scheduler
from tests.core.scheduling.worlds import deeds, model, ready, scheduler, ticket

HIGH, NORMAL, LOW = Priority


def one_model(slots: int = 1, policy: Policy | None = None) -> Scheduler:
    """One model, ready, with every slot taken by calls `r0`, `r1`, ..."""
    sched = scheduler(model("a", slots=slots), policy=policy)
    sched.command(Load("a"), 0.0)
    ready(sched, "a", 0.0)
    for i in range(slots):
        sched.arrive(ticket(f"r{i}", "a", "runner"), 0.0)
    return sched


def serve(sched: Scheduler, first: str, count: int, now_s: float, each_s: float = 1.0) -> list[str]:
    """End one call after the other and note who is admitted."""
    order, running = [], first
    for i in range(count):
        for action in deeds(sched.leave(running, now_s + (i + 1) * each_s)):
            assert isinstance(action, Admit)
            running = action.ticket_id
            order.append(running)
    return order


def test_a_better_class_goes_first_until_the_other_has_waited_for_the_difference() -> None:
    sched = one_model()
    sched.arrive(ticket("low", "a", "bob", LOW), 0.0)
    sched.arrive(ticket("early", "a", "ann", NORMAL), 809.0)
    assert serve(sched, "r0", 1, 809.0) == ["early"]
    sched.arrive(ticket("late", "a", "ann", NORMAL), 811.0)
    assert serve(sched, "early", 1, 811.0) == ["low"]


def test_only_the_first_of_a_line_ages() -> None:
    sched = one_model()
    for i in range(100):
        sched.arrive(ticket(f"flood{i}", "a", "bob"), 0.0)
    sched.arrive(ticket("modest", "a", "ann"), 50.0)
    order = serve(sched, "r0", 3, 60.0)
    assert order[0] == "flood0"
    assert "modest" in order[:2]


def test_a_line_is_first_come_first_served_also_after_some_have_gone() -> None:
    sched = one_model()
    for i in range(400):
        sched.arrive(ticket(f"t{i}", "a"), 0.0)
    gone = [i for i in range(400) if i % 4]
    random.Random(1).shuffle(gone)
    for i in gone:
        sched.leave(f"t{i}", 1.0)
    assert [waiting.id for waiting in sched.waiting()] == [f"t{i}" for i in range(0, 400, 4)]
    assert sched.explain("t396", 1.0).position == 99
    assert serve(sched, "r0", 100, 1.0) == [f"t{i}" for i in range(0, 400, 4)]


def test_two_backlogged_keys_get_the_same_time_whatever_their_calls_cost() -> None:
    sched = one_model()
    cost_s = {"long": 10.0, "short": 1.0}
    count, now_s, running = 0, 0.0, "r0"
    served_s = dict.fromkeys(cost_s, 0.0)
    for key in cost_s:
        for i in range(400):
            sched.arrive(ticket(f"{key}-{i}", "a", key), 0.0)
    while now_s < 700.0:
        [action] = [action for action in sched.leave(running, now_s) if isinstance(action, Admit)]
        running, count = action.ticket_id, count + 1
        key = running.split("-")[0]
        now_s += cost_s[key]
        served_s[key] += cost_s[key]
    assert 0.8 < served_s["long"] / served_s["short"] < 1.25


def test_a_backlog_of_a_lower_class_is_no_measure_for_a_better_one() -> None:
    sched = one_model()
    for i in range(50):
        sched.arrive(ticket(f"low{i}", "a", "batch", LOW), 0.0)
    sched.arrive(ticket("n0", "a", "ann"), 0.0)
    due_s = sched._room.entries["n0"].due_s
    assert due_s == 90.0  # the only key of its class: nobody to be ahead of


def test_a_key_that_comes_back_gets_no_credit_for_having_been_away() -> None:
    sched = one_model()
    for i in range(20):
        sched.arrive(ticket(f"b{i}", "a", "bob"), 0.0)
    serve(sched, "r0", 10, 0.0, each_s=30.0)
    sched.arrive(ticket("new", "a", "ann"), 300.0)
    accounts = sched._room.accounts[NORMAL]
    assert accounts._active["ann"].served_s == accounts._active["bob"].served_s
    sched.leave("new", 301.0)
    sched.arrive(ticket("again", "a", "ann"), 302.0)
    assert accounts._active["ann"].calls == 1


def test_firsts_that_go_again_and_again_leave_no_trace() -> None:
    sched = one_model()
    sched.arrive(ticket("stays", "a", "ann", LOW), 0.0)
    for i in range(1000):
        sched.arrive(ticket(f"t{i}", "a", f"k{i}", LOW), 1.0)
        sched.leave(f"t{i}", 1.0)
    [heap] = sched._room.queues["a"].firsts.heaps.values()
    assert len(heap) < 100


def test_a_call_that_is_raised_goes_to_its_place_in_the_other_line_but_not_before_who_ages_there() -> None:
    sched = one_model()
    sched.arrive(ticket("old", "a", "ann", LOW), 0.0)
    for name in ("first", "second"):
        sched.arrive(ticket(name, "a", "ann", NORMAL), 1.0)
    sched.command(SetPriority("old", NORMAL), 2.0)
    assert [each.id for each in sched.waiting()] == ["first", "old", "second"]
    assert serve(sched, "r0", 3, 2.0) == ["first", "old", "second"]


def test_a_call_that_is_raised_is_never_due_later_for_it() -> None:
    sched = one_model()
    sched.arrive(ticket("old", "a", "ann", LOW), 0.0)  # due at 900
    sched.arrive(ticket("new", "a", "bob", HIGH), 886.0)  # due at 901
    sched.command(SetPriority("old", HIGH), 899.0)
    assert serve(sched, "r0", 1, 899.0) == ["old"]


def test_a_call_that_is_raised_behind_another_begins_to_age_when_it_becomes_first() -> None:
    sched = one_model()
    sched.arrive(ticket("old", "a", "ann", LOW), 0.0)  # due at 900
    sched.arrive(ticket("first", "a", "ann", HIGH), 897.0)
    sched.arrive(ticket("bob", "a", "bob", HIGH), 898.5)  # due at 913.5
    sched.command(SetPriority("old", HIGH), 898.5)
    assert serve(sched, "r0", 3, 898.0) == ["first", "bob", "old"]


def test_a_call_that_is_moved_there_and_back_is_served_once() -> None:
    sched = one_model()
    sched.arrive(ticket("t", "a"), 0.0)
    for priority in (LOW, NORMAL, LOW, NORMAL):
        sched.command(SetPriority("t", priority), 0.0)
    assert serve(sched, "r0", 1, 1.0) == ["t"]


def test_a_call_that_is_lowered_waits_like_one_that_arrives_now() -> None:
    sched = one_model()
    sched.arrive(ticket("old", "a", "ann", HIGH), 0.0)
    sched.arrive(ticket("new", "a", "bob", NORMAL), 800.0)
    sched.command(SetPriority("old", LOW), 800.0)
    sched.command(SetPriority("old", LOW), 800.0)  # it is already
    sched.command(SetPriority("nobody", LOW), 800.0)
    assert serve(sched, "r0", 2, 800.0) == ["new", "old"]
