"""What a key may run at once, and how much of its class's time it gets."""

from __future__ import annotations

import pytest

from penstock.core.model import Model, Phase, Pool, Priority
from penstock.core.scheduling.actions import Admit, Start, Stop
from penstock.core.scheduling.commands import CancelWaiting, Load, Pause, SetPriority
from penstock.core.scheduling.plan import KeyTerms
from penstock.core.scheduling.scheduler import Policy, Scheduler, WaitReason
from tests.core.scheduling.worlds import deeds, gone, model, plan, ready, scheduler, ticket

HIGH, NORMAL, LOW = Priority
ONE = {"ann": KeyTerms(max_concurrent=1)}


def loaded(*models: Model, keys: dict[str, KeyTerms], policy: Policy | None = None) -> Scheduler:
    """The first model is ready at 0 s."""
    sched = scheduler(*models, policy=policy, keys=keys)
    sched.command(Load(models[0].name), 0.0)
    ready(sched, models[0].name, 0.0)
    return sched


def reason(sched: Scheduler, ticket_id: str, now_s: float = 1.0) -> WaitReason:
    return sched.explain(ticket_id, now_s).reason


def test_more_calls_of_a_key_than_it_may_run_wait_and_start_as_soon_as_one_ends() -> None:
    sched = loaded(model("a", slots=4), keys={"ann": KeyTerms(max_concurrent=2)})
    began = [sched.arrive(ticket(f"t{number}", "a"), 0.0) for number in range(4)]
    assert began == [[Admit("t0", "a")], [Admit("t1", "a")], [], []]
    assert (reason(sched, "t2"), sched.reasons()) == (WaitReason.KEY_CAP, {"a": WaitReason.KEY_CAP})
    waits = [sched.explain(f"t{number}", 0.0) for number in (2, 3)]
    assert [(wait.estimate_s, wait.bound_s) for wait in waits] == [(2.5, None), (5.0, None)]
    assert sched.leave("t1", 2.0) == [Admit("t2", "a")]
    assert sched.leave("t0", 2.0) == [Admit("t3", "a")]


def test_a_key_that_may_run_nothing_waits_for_ever() -> None:
    sched = loaded(model("a"), keys={"ann": KeyTerms(max_concurrent=0)})
    assert sched.arrive(ticket("t1", "a"), 0.0) == []
    wait = sched.explain("t1", 1.0)
    assert (wait.reason, wait.estimate_s) == (WaitReason.KEY_CAP, None)


def test_a_key_at_its_cap_is_in_nobodys_way() -> None:
    sched = loaded(model("a", slots=4), keys=ONE)
    for number in range(3):
        sched.arrive(ticket(f"t{number}", "a", priority=HIGH), 0.0)
    assert sched.arrive(ticket("bob", "a", "bob", LOW), 0.0) == [Admit("bob", "a")]


def test_all_lines_of_a_key_count_together_and_are_opened_together() -> None:
    sched = loaded(model("a", 40, slots=4), model("b", 40, slots=4), keys=ONE)
    sched.command(Load("b"), 0.0)
    ready(sched, "b", 0.0)
    sched.arrive(ticket("t1", "a"), 0.0)
    assert sched.arrive(ticket("t2", "b", priority=LOW), 0.0) == []
    assert sched.arrive(ticket("t3", "b", priority=HIGH), 0.0) == []
    assert sched.arrive(ticket("t4", "b", "bob"), 0.0) == [Admit("t4", "b")]
    assert sched.leave("t1", 1.0) == [Admit("t3", "b")]
    assert sched.leave("t3", 2.0) == [Admit("t2", "b")]


def test_nothing_is_loaded_for_a_key_at_its_cap_even_when_its_call_is_overdue() -> None:
    sched = loaded(model("a", 40), model("b", 40), keys=ONE)
    sched.arrive(ticket("t1", "a"), 0.0)
    assert deeds(sched.arrive(ticket("t2", "b", priority=HIGH), 0.0)) == []
    assert deeds(sched.tick(1000.0)) == []
    assert reason(sched, "t2") is WaitReason.KEY_CAP
    assert deeds(sched.leave("t1", 1001.0)) == [Start("b", 1)]


def test_a_load_that_was_begun_is_finished_when_the_key_comes_to_its_cap_meanwhile() -> None:
    sched = loaded(model("a", 40), model("b", 40), keys=ONE)
    sched.arrive(ticket("other", "a", "bob"), 0.0)
    assert sched.arrive(ticket("t1", "a"), 0.0) == []
    assert deeds(sched.arrive(ticket("t2", "b"), 0.0)) == [Start("b", 1)]
    assert sched.leave("other", 1.0) == [Admit("t1", "a")]
    assert (sched.replicas["b"].phase, reason(sched, "t2")) == (Phase.STARTING, WaitReason.KEY_CAP)
    assert ready(sched, "b", 10.0) == []
    assert deeds(sched.leave("t1", 11.0)) == [Admit("t2", "b")]


def test_a_model_that_only_calls_of_a_key_at_its_cap_wait_for_makes_way_like_an_idle_one() -> None:
    sched = loaded(model("far", is_launched=False, slots=9), model("a"), model("b"), keys=ONE)
    sched.command(Load("a"), 0.0)
    ready(sched, "a", 10.0)
    sched.arrive(ticket("t0", "a"), 10.0)
    sched.leave("t0", 10.0)
    sched.arrive(ticket("t1", "far"), 10.0)
    for number in range(5):
        sched.arrive(ticket(f"w{number}", "a", priority=HIGH), 11.0)
    assert deeds(sched.arrive(ticket("bob", "b", "bob", LOW), 12.0)) == [Stop("a", 1)]


def test_a_model_on_which_the_key_itself_runs_keeps_its_hold_for_the_next_of_its_calls() -> None:
    sched = loaded(model("a"), model("b"), keys=ONE)
    for number in range(5):
        sched.arrive(ticket(f"t{number}", "a"), 0.0)
    assert deeds(sched.arrive(ticket("bob", "b", "bob"), 1.0)) == []
    assert sched.explain("bob", 1.0).reason is WaitReason.HOLD
    assert sched.replicas["a"].phase is Phase.READY
    assert deeds(sched.leave("t0", 2.0)) == [Admit("t1", "a")]


def test_a_place_is_kept_for_an_overdue_call_once_room_is_being_made_for_it() -> None:
    sched = loaded(model("a", 40, slots=2), model("c", 60, slots=2), model("b", 60), keys=ONE, policy=Policy(hold=0.0))
    sched.command(Load("c"), 0.0)
    ready(sched, "c", 0.0)
    sched.arrive(ticket("c1", "c", "bob"), 0.0)
    sched.arrive(ticket("c2", "c", "bob"), 0.0)
    sched.arrive(ticket("c3", "c", "bob", HIGH), 0.0)
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.arrive(ticket("t2", "b"), 0.0)
    sched.arrive(ticket("t3", "a"), 0.0)
    assert deeds(sched.leave("t1", 100.0)) == []  # `c` drains for `b`: `t3` would shut the line that it drains for
    assert sched.replicas["c"].phase is Phase.DRAINING
    wait = sched.explain("t3", 100.0)
    assert (wait.reason, wait.wait_for) == (WaitReason.KEY_CAP, "b")
    assert deeds(sched.leave("c1", 101.0)) == []
    assert deeds(sched.leave("c2", 102.0)) == [Stop("c", 1)]
    assert deeds(gone(sched, "c", 103.0)) == [Start("b", 1)]
    assert reason(sched, "t3", 104.0) is WaitReason.KEY_CAP
    assert ready(sched, "b", 113.0) == [Admit("t2", "b")]
    assert Admit("t3", "a") in sched.leave("t2", 114.0)


def test_a_place_that_was_kept_is_free_again_when_nobody_needs_it() -> None:
    sched = loaded(model("a", 40, slots=2), model("c", 60), model("b", 60), keys=ONE, policy=Policy(hold=0.0))
    sched.command(Load("c"), 0.0)
    ready(sched, "c", 0.0)
    for ticket_id, name, key in [("c1", "c", "bob"), ("c2", "c", "bob"), ("t1", "a", "ann"), ("t2", "b", "ann")]:
        sched.arrive(ticket(ticket_id, name, key), 0.0)
    sched.arrive(ticket("t3", "a"), 0.0)
    sched.leave("t1", 100.0)
    sched.arrive(ticket("t4", "a"), 100.0)
    assert (reason(sched, "t3", 100.0), reason(sched, "t4", 100.0)) == (WaitReason.KEY_CAP, WaitReason.KEY_CAP)
    assert deeds(sched.leave("t3", 101.0)) == []
    assert Admit("t4", "a") in sched.leave("t2", 102.0)


def test_who_stands_behind_a_call_that_gives_way_to_an_earlier_one_of_its_key_starts_at_once() -> None:
    sched = loaded(model("a", 40), model("c", 60), model("b", 60), keys=ONE, policy=Policy(hold=0.0))
    sched.command(Load("c"), 0.0)
    ready(sched, "c", 0.0)
    for ticket_id, name, key in [("c1", "c", "bob"), ("t1", "a", "ann"), ("t2", "b", "ann"), ("t3", "a", "ann")]:
        sched.arrive(ticket(ticket_id, name, key), 0.0)
    sched.arrive(ticket("bob", "a", "bob"), 20.0)
    assert deeds(sched.leave("t1", 100.0)) == [Admit("bob", "a")]
    assert sched.explain("t3", 100.0).wait_for == "b"


def test_no_place_is_kept_for_a_call_whose_model_is_there_but_busy() -> None:
    sched = loaded(model("a"), Model("far", is_launched=False), keys=ONE)
    sched.arrive(ticket("other", "a", "bob"), 1.0)
    assert deeds(sched.arrive(ticket("t1", "a"), 1.0)) == []
    assert sched.arrive(ticket("t2", "far"), 1.0) == [Admit("t2", "far")]


def test_a_place_is_kept_for_a_call_for_which_a_model_was_stopped_until_its_own_is_there() -> None:
    sched = loaded(model("a"), model("b"), Model("far", is_launched=False), keys=ONE)
    assert deeds(sched.arrive(ticket("t1", "b"), 1.0)) == [Stop("a", 1)]
    assert deeds(sched.arrive(ticket("t2", "far"), 1.0)) == []
    assert sched.explain("t2", 1.0).wait_for == "b"
    assert gone(sched, "a", 2.0) == [Start("b", 1)]
    assert ready(sched, "b", 12.0) == [Admit("t1", "b")]
    assert deeds(sched.leave("t1", 13.0)) == [Admit("t2", "far")]


def test_a_place_is_kept_from_the_moment_in_which_the_other_model_is_stopped() -> None:
    sched = loaded(model("a"), model("b"), Model("far", is_launched=False), keys={"ann": KeyTerms(max_concurrent=0)})
    sched.arrive(ticket("t1", "b"), 1.0)
    sched.arrive(ticket("t2", "far"), 1.0)
    assert deeds(sched.set_keys(ONE, 2.0)) == [Stop("a", 1)]
    assert sched.explain("t2", 2.0).wait_for == "b"


def test_no_share_is_kept_for_a_key_at_its_cap() -> None:
    models = (
        Model("big", 1, is_launched=False, pool="p", cost=0.9),
        Model("small", 9, is_launched=False, pool="p", cost=0.1),
        Model("far", 1, is_launched=False),
    )
    sched = scheduler(*models, pools=(Pool("p"),), keys=ONE)
    for number in range(3):
        sched.arrive(ticket(f"s{number}", "small", "bob"), 0.0)
    sched.arrive(ticket("t1", "big"), 0.0)
    sched.tick(10.0)
    assert [pool.reserved_for for pool in sched.pools()] == ["t1"]
    for number in (3, 4):
        sched.arrive(ticket(f"s{number}", "small", "bob"), 10.0)
    assert reason(sched, "s4", 10.0) is WaitReason.RESERVED
    # The key's place goes to another of its calls: what was kept for the first is for all again, at once.
    assert sched.arrive(ticket("t2", "far"), 11.0) == [Admit("t2", "far"), Admit("s4", "small")]
    assert [pool.reserved_for for pool in sched.pools()] == [None]
    sched.leave("t2", 12.0)
    sched.tick(13.0)
    assert [pool.reserved_for for pool in sched.pools()] == [None]  # and has to be earned anew


def test_a_share_that_was_kept_in_vain_goes_to_the_others_in_the_same_moment() -> None:
    models = (
        Model("big", 1, is_launched=False, pool="p", cost=0.9),
        Model("small", 9, is_launched=False, pool="p", cost=0.1),
        Model("far", 1, is_launched=False),
    )
    sched = scheduler(*models, pools=(Pool("p"),), keys=ONE)
    sched.arrive(ticket("f1", "far", "bob"), 0.0)
    for number in range(3):
        sched.arrive(ticket(f"s{number}", "small", "bob"), 0.0)
    sched.arrive(ticket("t1", "big"), 0.0)
    sched.tick(10.0)
    for number in (3, 4):
        sched.arrive(ticket(f"s{number}", "small", "bob"), 10.0)
    sched.arrive(ticket("t2", "far"), 11.0)
    assert reason(sched, "s4", 11.0) is WaitReason.RESERVED
    assert deeds(sched.leave("f1", 12.0)) == [Admit("t2", "far"), Admit("s4", "small")]


def test_who_comes_behind_in_a_shut_line_or_leaves_it_is_counted_right() -> None:
    sched = loaded(model("a", slots=4), keys=ONE)
    for number in range(5):
        sched.arrive(ticket(f"t{number}", "a"), 0.0)
    sched.command(SetPriority("t3", HIGH), 1.0)
    sched.command(CancelWaiting(("t1", "t2")), 1.0)
    assert [waiting.id for waiting in sched.waiting()] == ["t3", "t4"]
    assert sched.leave("t0", 2.0) == [Admit("t3", "a")]
    assert sched.leave("t3", 3.0) == [Admit("t4", "a")]


def test_terms_can_be_changed_while_calls_run_and_wait() -> None:
    sched = loaded(model("a", slots=9), keys=ONE)
    for number in range(6):
        sched.arrive(ticket(f"t{number}", "a"), 0.0)
    assert sched.set_keys({"ann": KeyTerms(max_concurrent=3)}, 1.0) == [Admit("t1", "a"), Admit("t2", "a")]
    assert sched.set_keys(ONE, 2.0) == []
    assert [sched.leave(f"t{number}", 3.0) for number in range(3)] == [[], [], [Admit("t3", "a")]]
    assert sched.configure(plan(model("a", slots=9)), 4.0) == [Admit("t4", "a"), Admit("t5", "a")]
    assert sched.plan.keys == {}
    sched.leave("t5", 5.0)
    sched.set_keys(ONE, 6.0)
    assert sched.arrive(ticket("t6", "a"), 6.0) == []
    sched.leave("t3", 7.0)
    assert sched.leave("t4", 7.0) == [Admit("t6", "a")]


def test_a_pause_is_named_before_a_cap() -> None:
    sched = loaded(model("a", slots=2), keys=ONE)
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.arrive(ticket("t2", "a"), 0.0)
    sched.command(Pause(frozenset("a")), 1.0)
    assert reason(sched, "t2") is WaitReason.PAUSED


def test_time_at_the_cap_is_outside_the_bound_and_counts_as_waited_all_the_same() -> None:
    sched = loaded(model("a"), keys=ONE, policy=Policy(call_limit_s=10.0))
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.arrive(ticket("t2", "a"), 0.0)
    sched.leave("t1", 1e6)
    assert sched.bound_exceeded == 0
    sched.arrive(ticket("t3", "a"), 1e6)
    sched.arrive(ticket("bob", "a", "bob", HIGH), 1e6)
    sched.set_keys({}, 1e6)
    assert [waiting.id for waiting in sched.waiting()] == ["bob", "t3"]
    assert reason(sched, "t3", 1e6) is WaitReason.MODEL_CAP


@pytest.mark.parametrize("weights", [(1.0, 3.0), (2.0, 1.0), (1.0, 1.0)])
@pytest.mark.parametrize("durations_s", [(1.0, 1.0), (2.0, 0.5)])
def test_backlogged_keys_of_a_class_get_the_machine_by_their_weights(
    weights: tuple[float, float], durations_s: tuple[float, float]
) -> None:
    keys = dict(zip(("ann", "bob"), weights, strict=True))
    takes_s = dict(zip(keys, durations_s, strict=True))
    sched = loaded(model("a"), keys={key: KeyTerms(weight) for key, weight in keys.items()})
    served_s = dict.fromkeys(keys, 0.0)
    sched.arrive(ticket("first", "a", "ann"), 0.0)
    for number in range(2000):
        for key in keys:
            sched.arrive(ticket(f"{key}-{number}", "a", key), 0.0)
    now_s, running = 0.0, "first"
    while now_s < 1200.0:
        [admit] = deeds(sched.leave(running, now_s))
        assert isinstance(admit, Admit)
        running = admit.ticket_id
        key = running.split("-")[0]
        now_s += takes_s[key]
        served_s[key] += takes_s[key] if now_s > 200.0 else 0.0  # until then the keys find their distance
    assert served_s["bob"] / served_s["ann"] == pytest.approx(keys["bob"] / keys["ann"], rel=0.03)


def test_a_weight_that_is_changed_counts_for_what_is_served_from_then_on() -> None:
    sched = loaded(model("a"), keys={})
    sched.arrive(ticket("t1", "a"), 0.0)
    accounts = sched._room.accounts[NORMAL]
    sched.arrive(ticket("b1", "a", "bob"), 0.0)
    assert accounts._active["ann"].served_s == 5.0
    sched.set_keys({"ann": KeyTerms(weight=4.0)}, 1.0)
    sched.arrive(ticket("t2", "a"), 1.0)
    sched.leave("t1", 5.0)
    sched.leave("b1", 10.0)
    assert accounts._active["ann"].served_s == 5.0 + 5.0 / 4.0
