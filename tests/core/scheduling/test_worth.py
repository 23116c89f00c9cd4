"""When a model makes way though nobody is due yet, how long it is spared, and who goes if several could."""

from __future__ import annotations

import pytest

from penstock.core.fitting.groups import Group, GroupResidency
from penstock.core.model import Model, Phase, Pool, Priority
from penstock.core.scheduling.actions import Start, Stop, WakeAt
from penstock.core.scheduling.commands import Load
from penstock.core.scheduling.explain import WaitReason
from penstock.core.scheduling.scheduler import Policy, Scheduler
from tests.core.scheduling.worlds import deeds, gone, model, ready, scheduler, ticket

HIGH, NORMAL, LOW = Priority
POOL = Pool("p")
AT_ONCE = Policy(hold=0.0, hold_high=0.0)


def resident(*models: Model, pools: tuple[Pool, ...] = (), policy: Policy | None = None) -> Scheduler:
    """A scheduler whose first model took ten seconds to load and is idle at 10 s."""
    sched = scheduler(*models, pools=pools, policy=policy)
    sched.command(Load(models[0].name), 0.0)
    ready(sched, models[0].name, 10.0)
    return sched


def there(name: str) -> Model:
    """A server that is simply there, whose only call at once takes half of the pool."""
    return Model(name, is_launched=False, pool="p", cost=0.5)


def test_of_two_who_wait_equally_the_one_that_takes_less_time_to_load_is_loaded_first() -> None:
    sched = resident(model("a"), model("large", load_s=50.0), model("small", load_s=10.0))
    sched.arrive(ticket("a1", "a"), 11.0)
    sched.arrive(ticket("large1", "large"), 12.0)
    sched.arrive(ticket("small1", "small"), 13.0)
    assert deeds(sched.leave("a1", 14.0)) == [Stop("a", 1)]
    assert gone(sched, "a", 15.0) == [Start("small", 1)]


def test_of_two_who_wait_equally_the_one_that_takes_less_time_to_answer_is_loaded_first() -> None:
    sched = resident(model("large"), model("a"), model("small"))
    sched.arrive(ticket("large0", "large"), 10.0)
    sched.leave("large0", 110.0)
    sched.command(Load("a"), 110.0)
    gone(sched, "large", 111.0)
    ready(sched, "a", 121.0)
    sched.arrive(ticket("a1", "a"), 121.0)
    sched.arrive(ticket("large1", "large"), 122.0)
    sched.arrive(ticket("small1", "small"), 123.0)
    assert deeds(sched.leave("a1", 124.0)) == [Stop("a", 1)]
    assert gone(sched, "a", 125.0) == [Start("small", 1)]


def test_a_busier_model_is_not_asked_to_leave_for_one_that_is_not_due() -> None:
    sched = resident(model("a"), model("b"), policy=AT_ONCE)
    for number in range(3):
        sched.arrive(ticket(f"a{number}", "a"), 20.0)
    sched.arrive(ticket("b1", "b", priority=LOW), 21.0)
    assert sched.replicas["a"].phase is Phase.READY


def test_a_swap_is_not_worth_it_while_the_pool_would_let_nobody_in() -> None:
    b = model("b", pool="p", cost=1.0)
    sched = resident(model("a"), b, there("s"), pools=(POOL,))
    sched.arrive(ticket("s1", "s"), 20.0)
    assert deeds(sched.arrive(ticket("b1", "b"), 21.0)) == []
    assert deeds(sched.tick(24.0)) == []
    assert deeds(sched.tick(26.0)) == [Stop("a", 1)]  # s1 ought to have ended: a call takes 5 s as far as is known


def test_a_swap_is_worth_it_if_the_pool_has_just_room_enough() -> None:
    sched = resident(model("a"), model("b", pool="p", cost=0.5), there("s"), pools=(POOL,))
    sched.arrive(ticket("s1", "s"), 20.0)
    assert deeds(sched.arrive(ticket("b1", "b"), 21.0)) == [Stop("a", 1)]


def test_what_runs_on_the_victim_will_have_left_the_pool() -> None:
    sched = resident(model("a", pool="p", cost=0.6), model("b", pool="p", cost=0.6), pools=(POOL,))
    sched.arrive(ticket("a1", "a"), 20.0)
    sched.arrive(ticket("b1", "b"), 21.0)
    assert sched.replicas["a"].phase is Phase.DRAINING


@pytest.mark.parametrize(
    ("waiting", "slots", "priority", "until_s"),
    [
        (1, 1, NORMAL, 10.0 + 4 * 20.0),  # four round trips of two loads
        (2, 1, NORMAL, 10.0 + 4 * 20.0),  # work of exactly a load time
        (3, 1, NORMAL, 10.0 + 3 * 4 * 20.0),  # more than that: three times as long
        (3, 2, NORMAL, 10.0 + 4 * 20.0),  # but done two at a time
        (2, 1, LOW, 10.0 + 1 * 20.0),  # against a better class
        (3, 1, LOW, 10.0 + 3 * 1 * 20.0),  # the same, and three times as long
    ],
)
def test_a_hold_depends_on_the_work_that_waits_and_on_its_class(
    waiting: int, slots: int, priority: Priority, until_s: float
) -> None:
    sched = resident(model("a", slots=slots), model("b"), policy=Policy(patience_s=(0.0, 0.0, 900.0)))
    for number in range(waiting + slots):
        sched.arrive(ticket(f"a{number}", "a", priority=priority), 10.0)
    sched.arrive(ticket("b1", "b", "bob"), 11.0)
    wait = sched.explain("b1", 11.0)
    assert (wait.reason, wait.wait_for, wait.wait_until_s) == (WaitReason.HOLD, "a", until_s)
    assert wait.estimate_s == until_s - 11.0 + 10.0  # then it is loaded


def test_who_is_not_worth_a_swap_yet_is_told_that_the_other_keeps_its_place_and_until_when() -> None:
    sched = resident(model("a"), model("b"))
    for number in range(5):
        sched.arrive(ticket(f"a{number}", "a"), 1000.0)  # its hold is long over
    assert deeds(sched.arrive(ticket("b1", "b", "bob"), 1001.0)) == []
    wait = sched.explain("b1", 1001.0)
    assert (wait.reason, wait.wait_for) == (WaitReason.HOLD, "a")
    assert wait.wait_until_s == 1001.0 + Policy().patience_s[NORMAL]


def test_of_two_models_the_one_that_has_nothing_to_finish_makes_way() -> None:
    sched = resident(model("a", 50), model("b", 50), model("c", 50))
    sched.command(Load("b"), 10.0)
    ready(sched, "b", 10.0)
    for name in "ab":
        sched.arrive(ticket(f"{name}1", name), 20.0)
    sched.leave("b1", 21.0)
    assert deeds(sched.arrive(ticket("c1", "c"), 22.0)) == [Stop("b", 1)]


def test_of_two_idle_models_the_one_that_better_calls_come_for_stays() -> None:
    sched = resident(model("a", 50), model("b", 50), model("c", 50), policy=Policy(demand_memory_s=100.0))
    sched.command(Load("b"), 10.0)
    ready(sched, "b", 20.0)
    for name in "abc":
        sched.arrive(ticket(f"{name}0", name), 21.0)
    for name in "cba":  # there was a decision before any of the calls that count
        sched.leave(f"{name}0", 22.0)
    for number, (name, priority) in enumerate([("b", LOW), ("b", LOW), ("b", LOW), ("a", HIGH)]):
        sched.arrive(ticket(f"t{number}", name, priority=priority), 23.0 + number)
        sched.leave(f"t{number}", 23.0 + number)
    assert deeds(sched.arrive(ticket("c1", "c"), 40.0)) == [Stop("b", 1)]  # a high call counts for sixteen low ones


@pytest.mark.parametrize("patience_s", [0.0, 90.0])
def test_the_first_hold_that_ends_is_waited_for(patience_s: float) -> None:
    policy = Policy(patience_s=(0.0, patience_s, 900.0), hold_stretch=1.0)
    sched = resident(model("a", 50), model("b", 50), model("c", 50), policy=policy)
    sched.command(Load("b"), 10.0)
    ready(sched, "b", 30.0)
    for name in "ab":
        for number in range(2):
            sched.arrive(ticket(f"{name}{number}", name), 30.0)
    sched.arrive(ticket("c1", "c", "bob"), 31.0)
    wait = sched.explain("c1", 31.0)
    assert (wait.wait_for, wait.wait_until_s) == ("a", 10.0 + 4 * 20.0)


def test_two_loads_that_are_due_at_once_ask_two_models_to_leave() -> None:
    sched = resident(*(model(name, 50) for name in ("v", "w", "b", "c")))
    sched.command(Load("w"), 10.0)
    ready(sched, "w", 20.0)
    for name in ("v", "w"):
        sched.arrive(ticket(f"{name}1", name), 20.0)
    for name in ("b", "c"):
        sched.command(Load(name), 100.0)
    assert {sched.replicas[name].phase for name in ("v", "w")} == {Phase.DRAINING}


def test_who_loads_beside_anybody_waits_until_the_older_claim_of_one_who_does_not_is_loading() -> None:
    models = [Model(name) for name in ("busy", "alone", "free")]
    sched = scheduler(*models, residency=GroupResidency([Group("g", frozenset({"free"}), exclusive=False)]))
    sched.command(Load("busy"), 0.0)
    ready(sched, "busy", 10.0)
    sched.arrive(ticket("t1", "busy"), 10.0)
    sched.command(Load("alone"), 11.0)
    assert deeds(sched.arrive(ticket("t2", "free"), 12.0)) == []  # it would have to leave again for `alone`
    assert deeds(sched.leave("t1", 13.0)) == [Stop("busy", 1)]
    assert gone(sched, "busy", 14.0) == [Start("alone", 1)]
    assert deeds(sched.tick(15.0)) == [Start("free", 1)]


def test_nobody_else_has_to_leave_while_the_one_who_made_room_is_being_stopped() -> None:
    sched = resident(model("a", 50), model("b", 50), model("c", 50))
    sched.command(Load("c"), 10.0)
    ready(sched, "c", 20.0)
    sched.arrive(ticket("c1", "c"), 20.0)
    sched.leave("c1", 21.0)
    assert deeds(sched.arrive(ticket("b1", "b"), 22.0)) == [Stop("a", 1)]
    for now_s in (23.0, 200.0):
        assert deeds(sched.tick(now_s)) == []
        assert sched.replicas["c"].phase is Phase.READY


def test_it_is_looked_again_when_a_hold_ends_and_not_before() -> None:
    sched = resident(model("a"), model("b"))
    for name in ("a1", "a2"):
        sched.arrive(ticket(name, "a"), 10.0)
    assert WakeAt(90.0) in sched.arrive(ticket("b1", "b"), 11.0)  # due at 101, held off for four round trips


def test_who_waits_for_a_drain_is_told_whose() -> None:
    sched = resident(model("a"), model("b"), policy=AT_ONCE)
    sched.arrive(ticket("a1", "a"), 10.0)
    sched.arrive(ticket("b1", "b"), 11.0)
    wait = sched.explain("b1", 11.0)
    assert (wait.reason, wait.wait_for) == (WaitReason.DRAINING, "a")
