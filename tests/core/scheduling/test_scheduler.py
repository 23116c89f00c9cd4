"""Conversations with the scheduler: a fact in, the actions out."""

from __future__ import annotations

import pytest

from penstock.core.fitting.memory import MemoryResidency
from penstock.core.model import Device, Model, Phase, Pool, Priority
from penstock.core.scheduling.actions import Admit, Cancel, Refuse, Start, Stop, WakeAt
from penstock.core.scheduling.commands import CancelWaiting, Load, Pause, Pin, Reset, Resume, Unload, Unpin
from penstock.core.scheduling.scheduler import Plan, Policy, Scheduler, Wait, WaitReason
from penstock.errors import PromptTooLong, QueueFull, StartFailed, Unadmittable, UnknownModel
from tests.core.scheduling.worlds import deeds, gone, model, plan, ready, scheduler, ticket

HIGH, NORMAL, LOW = Priority


def resident(
    *models: Model, now_s: float = 0.0, policy: Policy | None = None, pools: tuple[Pool, ...] = ()
) -> Scheduler:
    """A scheduler whose first model is ready and idle."""
    sched = scheduler(*models, policy=policy, pools=pools)
    sched.command(Load(models[0].name), now_s)
    ready(sched, models[0].name, now_s)
    return sched


def phase(sched: Scheduler, name: str) -> Phase:
    return sched.replicas[name].phase


def test_a_swap_waits_for_the_running_call_then_stops_then_starts() -> None:
    sched = scheduler(model("a"), model("b"))
    assert sched.arrive(ticket("t1", "a"), 0.0) == [Start("a", 1)]
    assert sched.replica_ready("a", 1, 10.0) == [Admit("t1", "a")]
    assert deeds(sched.arrive(ticket("t2", "b"), 11.0)) == []
    assert phase(sched, "a") is Phase.DRAINING
    assert deeds(sched.leave("t1", 12.0)) == [Stop("a", 1)]
    assert phase(sched, "a") is Phase.STOPPING
    assert deeds(sched.tick(13.0)) == []  # its memory is not back yet
    assert deeds(sched.replica_gone("a", 1, 14.0)) == [Start("b", 1)]
    assert deeds(sched.replica_ready("b", 1, 24.0)) == [Admit("t2", "b")]


def test_a_free_slot_is_taken_at_once_and_comes_back() -> None:
    sched = resident(model("a"))
    assert sched.arrive(ticket("t1", "a"), 1.0) == [Admit("t1", "a")]
    assert sched.arrive(ticket("t2", "a"), 1.0) == []
    assert sched.leave("t1", 2.0) == [Admit("t2", "a")]
    assert sched.leave("t2", 3.0) == []
    assert sched.leave("t2", 3.0) == []


def test_a_b_c_a_b_c_is_served_a_a_b_b_c_c() -> None:
    sched = scheduler(model("a"), model("b"), model("c"))
    actions = [deeds(sched.arrive(ticket(f"{name}{i}", name, key=name), i)) for i in (0, 1) for name in "abc"]
    order, now_s = [], 1.0
    todo = [action for each in actions for action in each]
    while todo:
        now_s += 1.0
        match todo.pop(0):
            case Start(name, generation):
                now_s += 9.0
                todo += deeds(sched.replica_ready(name, generation, now_s))
            case Stop(name, generation):
                todo += deeds(sched.replica_gone(name, generation, now_s))
            case Admit(ticket_id, _):
                order.append(ticket_id[0])
                todo += deeds(sched.leave(ticket_id, now_s))
    assert "".join(order) == "aabbcc"


def test_a_busy_model_keeps_its_place_for_its_hold_and_then_yields_to_who_is_due() -> None:
    sched = resident(model("a"), model("b"), policy=Policy(hold_stretch=1.0))
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.arrive(ticket("t2", "a"), 0.0)
    assert deeds(sched.arrive(ticket("b1", "b", "bob", HIGH), 0.0)) == []
    wait = sched.explain("b1", 1.0)
    assert (wait.reason, wait.wait_for, wait.wait_until_s) == (
        WaitReason.HOLD,
        "a",
        10.0,
    )  # a load of no seconds, of 10
    assert deeds(sched.tick(15.0)) == []
    assert phase(sched, "a") is Phase.DRAINING
    assert sched.explain("t2", 15.0).reason is WaitReason.AGED_IN
    assert sched.explain("t2", 15.0).wait_for == "b"
    assert deeds(sched.leave("t1", 16.0)) == [Stop("a", 1)]  # t2 waits for a's return


def test_the_gates_open_again_when_nobody_wants_the_room_any_more() -> None:
    sched = resident(model("a", slots=2), model("b"))
    sched.arrive(ticket("t1", "a"), 1.0)
    sched.arrive(ticket("b1", "b"), 1.0)
    assert phase(sched, "a") is Phase.DRAINING
    sched.leave("b1", 2.0)
    assert phase(sched, "a") is Phase.READY
    assert sched.arrive(ticket("t2", "a"), 2.0) == [Admit("t2", "a")]


def test_models_that_fit_together_load_side_by_side() -> None:
    sched = scheduler(model("a", 40), model("b", 40), model("c", 40))
    assert deeds(sched.arrive(ticket("t1", "a"), 0.0)) == [Start("a", 1)]
    assert deeds(sched.arrive(ticket("t2", "b"), 0.0)) == [Start("b", 1)]
    assert deeds(sched.arrive(ticket("t3", "c"), 0.0)) == []
    assert sched.explain("t1", 0.0).reason is WaitReason.LOADING


def test_only_so_many_models_are_resident_and_so_many_loads_run_as_the_operator_allows() -> None:
    sched = scheduler(model("a", 1), model("b", 1), max_resident=1)
    sched.arrive(ticket("t1", "a"), 0.0)
    assert deeds(sched.arrive(ticket("t2", "b"), 0.0)) == []
    assert ready(sched, "a", 1.0) == [Admit("t1", "a")]
    assert deeds(sched.leave("t1", 2.0)) == [Stop("a", 1)]
    serial = scheduler(model("a", 1), model("b", 1), policy=Policy(parallel_loads=1))
    serial.arrive(ticket("t1", "a"), 0.0)
    assert deeds(serial.arrive(ticket("t2", "b", priority=HIGH), 0.0)) == []
    assert deeds(serial.tick(100.0)) == []
    assert serial.explain("t2", 100.0).reason is WaitReason.LOADING
    assert ready(serial, "a", 101.0) == [Start("b", 1), Admit("t1", "a")]


def test_nothing_else_takes_the_room_that_a_due_model_waits_for() -> None:
    sched = resident(model("a", 60, slots=2), model("big", 90), model("small", 20))
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.arrive(ticket("t2", "big"), 0.0)
    sched.tick(90.0)
    assert deeds(sched.arrive(ticket("t3", "small"), 91.0)) == []  # it would fit now, and would be in the way
    assert deeds(sched.leave("t1", 92.0)) == [Stop("a", 1)]
    assert gone(sched, "a", 93.0) == [Start("big", 1)]


def test_who_is_due_later_waits_for_who_is_due_earlier() -> None:
    sched = resident(model("a"), model("b"), model("c"))
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.arrive(ticket("b1", "b"), 1.0)
    sched.arrive(ticket("c1", "c"), 2.0)
    sched.tick(200.0)
    wait = sched.explain("c1", 200.0)
    assert (wait.reason, wait.wait_for) == (WaitReason.AGED_IN, "b")


def test_a_load_that_nobody_waits_for_any_more_is_given_up() -> None:
    sched = scheduler(model("a"))
    sched.arrive(ticket("t1", "a"), 0.0)
    assert sched.leave("t1", 1.0) == [Cancel("a", 1)]
    assert deeds(sched.arrive(ticket("t2", "a"), 2.0)) == []
    assert sched.explain("t2", 2.0).reason is WaitReason.LOADING
    assert sched.replica_ready("a", 1, 3.0) == []  # too late
    assert gone(sched, "a", 4.0) == [Start("a", 2)]


def test_a_load_that_the_operator_asked_for_is_not_given_up() -> None:
    sched = scheduler(model("a"))
    assert sched.command(Load("a"), 0.0) == [Start("a", 1)]
    sched.arrive(ticket("t1", "a"), 0.0)
    assert sched.leave("t1", 1.0) == []
    assert scheduler(model("a"), policy=Policy(cancel_loads=False)).command(Load("a"), 0.0) == [Start("a", 1)]


def test_an_idle_model_stops_when_its_ttl_is_over_counted_from_its_last_call() -> None:
    sched = resident(model("a", ttl_s=30.0))
    assert sched.arrive(ticket("t1", "a"), 5.0) == [Admit("t1", "a")]
    assert sched.tick(30.0) == []  # never with work in flight
    assert sched.leave("t1", 40.0) == [WakeAt(70.0)]
    assert sched.arrive(ticket("t2", "a"), 50.0) == [Admit("t2", "a")]
    assert sched.leave("t2", 60.0) == []  # one wake-up is pending, and is early enough
    assert sched.tick(70.0) == [WakeAt(90.0)]
    assert sched.tick(90.0) == [Stop("a", 1)]
    assert gone(sched, "a", 91.0) == []


def test_a_start_that_fails_is_tried_again_then_everyone_is_told_why() -> None:
    sched = scheduler(model("a"))
    sched.arrive(ticket("t1", "a"), 0.0)
    assert sched.replica_failed("a", 1, 1.0, reason="no such file") == [WakeAt(1.5)]
    assert phase(sched, "a") is Phase.BACKOFF
    assert sched.tick(1.5) == [Start("a", 2)]
    assert sched.replica_failed("a", 2, 2.0, reason="no such file") == [WakeAt(4.0)]
    assert sched.tick(4.0) == [Start("a", 3)]
    refusal = sched.replica_gone("a", 3, 5.0)[0]
    assert isinstance(refusal, Refuse)
    assert isinstance(refusal.error, StartFailed)
    assert refusal.error.retry_after_s == 30
    assert "it ended before it was ready" in refusal.error.message


def test_a_failed_model_rests_and_every_further_attempt_doubles_the_pause() -> None:
    sched = scheduler(model("a"))
    sched.arrive(ticket("t1", "a"), 0.0)
    [refusal] = sched.replica_failed("a", 1, 1.0, reason="bad flag", is_final=True)
    assert isinstance(refusal, Refuse)
    [refusal] = sched.arrive(ticket("t2", "a"), 30.0)
    assert isinstance(refusal, Refuse)
    assert refusal.error.retry_after_s == 1
    assert sched.arrive(ticket("t3", "a"), 31.0) == [Start("a", 2)]
    [refusal] = sched.replica_failed("a", 2, 32.0, reason="bad flag")
    assert isinstance(refusal, Refuse)
    assert refusal.error.retry_after_s == 60
    assert sched.command(Reset("a"), 33.0) == []
    assert sched.arrive(ticket("t4", "a"), 34.0) == [Start("a", 3)]
    assert ready(sched, "a", 40.0) == [Admit("t4", "a")]
    assert sched.replicas["a"].failures == 0


def test_the_operator_may_load_a_failed_model_before_its_pause_is_over() -> None:
    sched = scheduler(model("a"))
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.replica_failed("a", 1, 1.0, reason="bad flag", is_final=True)
    assert sched.command(Load("a"), 2.0) == [Start("a", 2)]
    sched.replica_failed("a", 2, 3.0, reason="bad flag")
    assert phase(sched, "a") is Phase.FAILED
    assert sched.tick(4.0) == []


def test_an_engine_that_dies_is_started_again_on_demand_and_its_calls_are_forgotten() -> None:
    sched = resident(model("a"))
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.arrive(ticket("t2", "a"), 0.0)
    assert deeds(sched.replica_failed("a", 1, 5.0, reason="killed")) == [Start("a", 2)]
    assert sched.replicas["a"].failure == "killed"
    assert sched.leave("t1", 6.0) == []
    assert ready(sched, "a", 7.0) == [Admit("t2", "a")]


def test_facts_about_an_earlier_process_are_not_believed() -> None:
    sched = resident(model("a"))
    gone(sched, "a", 1.0)
    assert sched.replica_gone("a", 1, 2.0) == []
    sched.arrive(ticket("t1", "a"), 3.0)
    assert sched.replica_ready("a", 1, 4.0) == []
    assert sched.replica_failed("a", 1, 4.0, reason="late") == []
    assert sched.replica_gone("nobody", 1, 4.0) == []
    assert phase(sched, "a") is Phase.STARTING


def test_unload_drains_and_stops_and_who_waits_has_it_loaded_again() -> None:
    sched = resident(model("a"))
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.arrive(ticket("t2", "a"), 0.0)
    assert sched.command(Unload("a"), 1.0) == []
    assert deeds(sched.leave("t1", 2.0)) == [Stop("a", 1)]
    assert gone(sched, "a", 3.0) == [Start("a", 2)]
    assert sched.command(Unload("a"), 4.0) == []  # it is on its way for somebody who waits
    assert ready(sched, "a", 5.0) == [Admit("t2", "a")]
    sched.command(Unload("a"), 6.0)
    assert sched.command(Load("a"), 7.0) == []  # changed their mind
    assert phase(sched, "a") is Phase.READY


def test_a_pinned_model_is_kept_and_comes_back_at_once() -> None:
    sched = resident(model("a", ttl_s=1.0), model("b"), model("c", 30))
    sched.command(Pin("a"), 0.0)
    assert deeds(sched.tick(100.0)) == []
    assert deeds(sched.replica_gone("a", 1, 101.0, reason="killed")) == [Start("a", 2)]
    ready(sched, "a", 102.0)
    [refusal] = sched.arrive(ticket("t1", "b"), 103.0)
    assert isinstance(refusal, Refuse)
    assert isinstance(refusal.error, Unadmittable)
    assert "pinned a" in refusal.error.message
    assert sched.arrive(ticket("t2", "c"), 103.0) == [Start("c", 1)]
    assert deeds(sched.command(Unpin("a"), 104.0)) == [Stop("a", 2)]


def test_a_model_that_waits_when_another_is_pinned_in_its_place_is_told_so() -> None:
    sched = resident(model("a"), model("b"))
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.arrive(ticket("t2", "b"), 0.0)
    sched.command(Pin("a"), 1.0)
    sched.tick(100.0)
    wait = sched.explain("t2", 100.0)
    assert (wait.reason, wait.estimate_s, wait.bound_s) == (WaitReason.MEMORY, None, None)
    sched.tick(wait.wait_until_s or 0.0)  # no reading was to blame
    assert sched.explain("t2", 130.0) == Wait(WaitReason.MEMORY)


def test_memory_that_others_hold_is_not_counted_on() -> None:
    sched = scheduler(model("a"))
    assert sched.memory("gpu", 50, 0.0) == []
    sched.arrive(ticket("t1", "a"), 1.0)
    sched.tick(100.0)
    assert sched.explain("t1", 100.0).reason is WaitReason.MEMORY
    assert deeds(sched.memory("gpu", 70, 101.0)) == [Start("a", 1)]


def test_memory_that_a_stopped_engine_still_holds_is_waited_for() -> None:
    sched = resident(model("a"))
    sched.command(Unload("a"), 1.0)
    sched.arrive(ticket("t1", "a", priority=Priority.HIGH), 1.0)
    assert deeds(sched.replica_gone("a", 1, 50.0, free_bytes={"gpu": 45})) == []
    assert sched.explain("t1", 50.0).reason is WaitReason.MEMORY
    assert deeds(sched.memory("gpu", 100, 52.0)) == [Start("a", 2)]


def test_readings_that_leave_no_room_for_one_alone_are_believed_for_a_while_only() -> None:
    sched = resident(model("a", 60), model("b", 70))
    sched.memory("gpu", 0, 1.0)  # others hold 40
    sched.arrive(ticket("t1", "b", priority=Priority.HIGH), 1.0)
    sched.tick(100.0)
    wait = sched.explain("t1", 100.0)
    assert (wait.reason, wait.wait_until_s) == (WaitReason.MEMORY, 130.0)
    assert deeds(sched.tick(130.0)) == [Stop("a", 1)]
    assert gone(sched, "a", 131.0) == [Start("b", 1)]


def test_a_reading_while_a_model_is_being_loaded_tells_nothing() -> None:
    sched = scheduler(model("a", 60), model("b", 40))
    assert sched.arrive(ticket("t1", "a"), 0.0) == [Start("a", 1)]
    sched.memory("gpu", 30, 1.0)
    assert deeds(sched.arrive(ticket("t2", "b"), 2.0)) == [Start("b", 1)]


def test_a_paused_model_admits_and_loads_nothing_until_it_is_resumed() -> None:
    sched = resident(model("a"), model("b", 30))
    sched.command(Pause(frozenset("a")), 0.0)
    sched.command(Pause(frozenset("b")), 0.0)
    assert deeds(sched.arrive(ticket("t1", "a"), 1.0)) == []
    assert deeds(sched.arrive(ticket("t2", "b"), 1.0)) == []
    assert sched.explain("t1", 2.0).reason is sched.explain("t2", 2.0).reason is WaitReason.PAUSED
    assert sched.reasons() == {"a": WaitReason.PAUSED, "b": WaitReason.PAUSED}
    assert deeds(sched.command(Resume(frozenset("a")), 3.0)) == [Admit("t1", "a")]
    assert deeds(sched.command(Resume(frozenset("b")), 3.0)) == [Start("b", 1)]


def test_those_who_are_resumed_together_are_looked_at_together() -> None:
    sched = scheduler(model("a"), model("b"))
    sched.command(Pause(frozenset("ab")), 0.0)
    sched.arrive(ticket("t1", "a", priority=Priority.LOW), 1.0)
    sched.arrive(ticket("t2", "b", priority=Priority.HIGH), 1.0)
    assert deeds(sched.command(Resume(frozenset("ab")), 1000.0)) == [Start("b", 1)]


def test_cancelling_turns_away_who_waits_and_nobody_else() -> None:
    sched = resident(model("a"), model("b", 30))
    sched.arrive(ticket("runs", "a"), 0.0)
    for name in ("t1", "t2", "t3"):
        sched.arrive(ticket(name, "a"), 0.0)
    actions = deeds(sched.command(CancelWaiting(("t1", "runs", "nobody", "t3")), 1.0))
    assert [action.ticket_id for action in actions if isinstance(action, Refuse)] == ["t1", "t3"]
    assert [action.error.outcome for action in actions if isinstance(action, Refuse)] == ["cancelled_queued"] * 2
    assert deeds(sched.leave("runs", 2.0)) == [Admit("t2", "a")]


def test_a_load_whose_last_waiter_is_cancelled_is_given_up() -> None:
    sched = scheduler(model("a"))
    assert sched.arrive(ticket("t1", "a"), 0.0) == [Start("a", 1)]
    refusal, cancel = deeds(sched.command(CancelWaiting(("t1",)), 1.0))
    assert isinstance(refusal, Refuse)
    assert cancel == Cancel("a", 1)


def test_who_cannot_be_served_is_told_at_the_door() -> None:
    huge = model("huge", 200)
    sched = scheduler(huge, model("a", max_prompt_tokens=10, max_queue=1))
    errors = [
        sched.arrive(ticket("t1", "nobody"), 0.0),
        sched.arrive(ticket("t2", "huge"), 0.0),
        sched.arrive(ticket("t3", "a", tokens=11), 0.0),
        sched.arrive(ticket("t4", "a"), 0.0) and sched.arrive(ticket("t5", "a"), 0.0),
    ]
    kinds = [type(refusal.error) for [refusal] in errors if isinstance(refusal, Refuse)]
    assert kinds == [UnknownModel, Unadmittable, PromptTooLong, QueueFull]
    assert sched.command(Load("huge"), 1.0) == []
    assert plan(huge).faults() == ["`huge` can never be served: it needs 0.0 GiB on gpu, where 0.0 GiB are usable"]


def test_the_waiting_room_has_an_end_but_a_free_slot_is_not_in_it() -> None:
    sched = scheduler(model("a", max_queue=0), model("b"), max_waiting=0)
    sched.command(Load("a"), 0.0)
    ready(sched, "a", 1.0)
    assert sched.arrive(ticket("t1", "a"), 2.0) == [Admit("t1", "a")]
    for name in "ab":
        [refusal] = sched.arrive(ticket(f"t-{name}", name), 2.0)
        assert isinstance(refusal, Refuse)
        assert isinstance(refusal.error, QueueFull)
    assert sched.waiting_count() == sched.waiting_count("a") == 0


def test_a_server_that_is_simply_there_is_always_ready_and_never_stopped() -> None:
    far = Model("far", slots=None, is_launched=False, ttl_s=1.0)
    sched = scheduler(far)
    assert [sched.arrive(ticket(f"t{i}", "far"), 0.0) for i in range(3)] == [[Admit(f"t{i}", "far")] for i in range(3)]
    for i in range(3):
        sched.leave(f"t{i}", 1.0)
    assert sched.tick(100.0) == sched.command(Unload("far"), 100.0) == sched.command(Pin("far"), 100.0) == []
    assert sched.arrive(ticket("t0", "far"), 101.0) == [Admit("t0", "far")]
    assert sched.arrive(ticket("t0", "far"), 101.0) == []  # told twice


def test_another_plan_changes_only_the_pins_that_it_changes() -> None:
    sched = scheduler(model("a", 10, is_pinned=True), model("b", 10), model("c", 10), model("d", 10, is_pinned=True))
    sched.command(Unpin("a"), 0.0)
    sched.command(Pin("b"), 0.0)
    sched.command(Pause(frozenset("bd")), 0.0)
    sched.configure(plan(model("a", 10, is_pinned=True), model("b", 10), model("c", 10, is_pinned=True)), 1.0)
    assert (sorted(sched.pinned), sorted(sched.paused)) == (["b", "c"], ["b"])


def test_another_plan_keeps_the_replicas_of_models_that_stay() -> None:
    sched = resident(model("a", 40), model("b", 40), model("far", is_launched=False))
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.arrive(ticket("t2", "a"), 0.0)
    sched.arrive(ticket("t3", "b"), 0.0)
    ready(sched, "b", 1.0)
    sched.arrive(ticket("t4", "b"), 1.0)
    actions = sched.configure(plan(model("a", 40, slots=2), model("c", 40)), 2.0)
    assert isinstance(actions[0], Refuse)
    assert isinstance(actions[0].error, UnknownModel)
    assert deeds(actions[1:]) == [Admit("t2", "a")]
    assert isinstance(sched.arrive(ticket("t5", "b"), 2.0)[0], Refuse)
    assert deeds(sched.leave("t3", 3.0)) == [Stop("b", 1)]
    gone(sched, "b", 4.0)
    assert set(sched.replicas) == {"a", "c"}
    sched.configure(plan(model("a", 40), model("b", 40)), 5.0)
    assert sched.arrive(ticket("t6", "b"), 6.0) == [Start("b", 2)]  # a late word about b's first life is known as such


def test_what_runs_is_charged_to_the_pools_of_the_new_plan() -> None:
    both = [model(name, 10, slots=2, pool="p") for name in "ab"]
    sched = resident(*both, pools=(Pool("p"),))
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.arrive(ticket("t2", "a"), 0.0)
    sched.arrive(ticket("t3", "b"), 0.0)
    assert ready(sched, "b", 1.0) == []
    assert sched.explain("t3", 1.0).reason is WaitReason.BUDGET_FULL
    assert deeds(sched.configure(plan(*both, pools=(Pool("p", 1.5),)), 2.0)) == [Admit("t3", "b")]


def test_the_order_of_the_waiting_and_each_ones_position_agree() -> None:
    sched = resident(model("a"))
    sched.arrive(ticket("running", "a"), 0.0)
    for i in range(3):
        sched.arrive(ticket(f"low{i}", "a", "bob", LOW), 1.0)
    for i in range(3):
        sched.arrive(ticket(f"ann{i}", "a", "ann"), 2.0)
    sched.arrive(ticket("high", "a", "eve", HIGH), 3.0)
    order = [waiting.id for waiting in sched.waiting()]
    assert order == ["high", "ann0", "ann1", "ann2", "low0", "low1", "low2"]
    assert [sched.explain(ticket_id, 4.0).position for ticket_id in order] == list(range(7))
    assert sched.explain("running", 4.0).reason is WaitReason.NONE
    bounds = [sched.explain(f"ann{i}", 4.0).bound_s or 0.0 for i in range(3)]
    assert bounds == sorted(bounds)


def test_an_estimate_grows_with_the_place_and_with_the_load() -> None:
    sched = resident(model("a"), model("b", 30))
    sched.arrive(ticket("t1", "a"), 0.0)
    for i in range(3):
        sched.arrive(ticket(f"w{i}", "a"), 0.0)
    assert [sched.explain(f"w{i}", 0.0).estimate_s for i in range(3)] == [5.0, 10.0, 15.0]
    sched.arrive(ticket("b0", "b"), 0.0)
    assert sched.explain("b0", 4.0).estimate_s == 6.0  # of a load of ten seconds
    sched.replica_failed("b", 1, 5.0, reason="no")
    assert sched.explain("b0", 5.0).estimate_s == 10.0


def test_a_late_tick_counts_as_lost_time_and_breaks_no_promise() -> None:
    sched = resident(model("a"), model("b"), policy=Policy(call_limit_s=10.0))
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.arrive(ticket("t2", "a"), 0.0)
    sched.arrive(ticket("b1", "b"), 0.0)
    sched.tick(1e6)  # the machine slept for days
    sched.leave("t1", 1e6)
    gone(sched, "a", 1e6 + 1)
    assert ready(sched, "b", 1e6 + 11) == [Admit("b1", "b")]
    assert sched.bound_exceeded == 0


def test_a_start_later_than_promised_is_counted() -> None:
    sched = resident(model("a"), policy=Policy(call_limit_s=1.0))
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.arrive(ticket("t2", "a"), 0.0)
    sched.leave("t1", 1e6)  # it ran far beyond its limit
    assert sched.bound_exceeded == 1


def test_same_facts_same_actions() -> None:
    def story() -> list[object]:
        sched = scheduler(*(model(name, 35) for name in "edcba"))
        said: list[object] = []
        for i in range(40):
            said += sched.arrive(ticket(f"t{i}", "abcde"[i * i % 5], f"k{i % 3}", Priority(i % 3)), float(i))
            for name, replica in sched.replicas.items():
                if replica.phase is Phase.STARTING and i % 4 == 0:
                    said += sched.replica_ready(name, replica.generation, i + 0.5)
                elif replica.phase is Phase.STOPPING:
                    said += sched.replica_gone(name, replica.generation, i + 0.5)
        return said

    assert story() == story()


def test_a_model_that_loads_on_another_device_is_not_held_up() -> None:
    models = (model("a"), model("b"), Model("c", footprint=(("gpu1", 10),), load_s=1.0))
    residency = MemoryResidency([Device("gpu", 100), Device("gpu1", 10)], models)
    sched = Scheduler(Plan(models, residency))
    sched.command(Load("a"), 0.0)
    ready(sched, "a", 1.0)
    sched.arrive(ticket("t1", "a"), 1.0)
    sched.arrive(ticket("t2", "b"), 1.0)
    sched.tick(100.0)
    assert deeds(sched.arrive(ticket("t3", "c"), 101.0)) == [Start("c", 1)]


@pytest.mark.parametrize("stage", [Phase.STOPPED, Phase.STOPPING, Phase.FAILED])
def test_an_illegal_move_is_our_bug(stage: Phase) -> None:
    replica = scheduler(model("a")).replicas["a"]
    replica.phase = stage
    with pytest.raises(AssertionError, match="-> ready"):
        replica.move(Phase.READY, 0.0)
