"""Who must have begun by a certain moment: refused then, or at the door if it is plain that it cannot."""

from __future__ import annotations

from dataclasses import replace

from penstock.core.model import Phase, Priority, Ticket
from penstock.core.scheduling.actions import Action, Admit, Refuse, Start, Stop, WakeAt
from penstock.core.scheduling.commands import Load, Pause, SetPriority, Unload
from penstock.core.scheduling.expiry import Deadlines
from penstock.core.scheduling.lines import Room
from penstock.core.scheduling.scheduler import Policy, Scheduler
from penstock.errors import DeadlineMissed
from tests.core.scheduling.worlds import deeds, gone, model, ready, scheduler, ticket

HIGH, NORMAL, LOW = Priority


def by(deadline_s: float, ticket_id: str, model_name: str = "a", *, key: str = "ann", arrived_s: float = 0.0) -> Ticket:
    return replace(ticket(ticket_id, model_name, key), deadline_s=deadline_s, arrived_s=arrived_s)


def busy() -> Scheduler:
    """One model with one slot, which is taken."""
    sched = scheduler(model("a"))
    sched.command(Load("a"), 0.0)
    ready(sched, "a", 0.0)
    sched.arrive(ticket("running", "a"), 0.0)
    return sched


def loaded_twice(*loads_s: float) -> Scheduler:
    """One model, stopped again after loads that took so long, at 1 000 s."""
    sched = scheduler(model("a", ttl_s=0.0))
    for number, load_s in enumerate(loads_s):
        sched.command(Load("a"), 100.0 * number)
        generation = sched.replicas["a"].generation
        assert Stop("a", generation) in sched.replica_ready("a", generation, 100.0 * number + load_s, load_s=load_s)
        gone(sched, "a", 100.0 * number + load_s)
    sched.tick(1000.0)
    return sched


def errors(actions: list[Action]) -> dict[str, DeadlineMissed]:
    """Of those who missed their deadline, by ticket."""
    told = {action.ticket_id: action.error for action in actions if isinstance(action, Refuse)}
    return {ticket_id: error for ticket_id, error in told.items() if isinstance(error, DeadlineMissed)}


def test_who_waits_at_its_deadline_is_refused_at_that_moment() -> None:
    sched = busy()
    assert sched.arrive(by(30.0, "t1"), 0.0) == [WakeAt(30.0)]
    assert deeds(sched.tick(29.9)) == []
    (refusal,) = deeds(sched.tick(30.0))
    assert isinstance(refusal, Refuse)
    assert str(refusal.error) == (
        "The request could not be answered within its time limit (30 s): it was given up while it waited (model_cap)."
    )
    assert sched.waiting_count() == 0
    assert sched.leave("t1", 30.0) == []


def test_a_slot_that_comes_free_at_the_deadline_comes_too_late_for_it_and_goes_to_the_next() -> None:
    sched = busy()
    sched.arrive(by(30.0, "t1"), 0.0)
    sched.arrive(ticket("t2", "a"), 0.0)
    actions = sched.leave("running", 30.0)
    assert list(errors(actions)) == ["t1"]
    assert Admit("t2", "a") in actions


def test_who_has_begun_in_time_may_take_as_long_as_it_likes() -> None:
    sched = busy()
    sched.arrive(by(30.0, "t1"), 0.0)
    assert deeds(sched.leave("running", 29.0)) == [Admit("t1", "a")]
    assert deeds(sched.tick(30.0)) == []
    assert sched.replicas["a"].running == {"t1"}


def test_an_earlier_deadline_behind_others_is_woken_for_and_a_later_one_needs_no_new_wake_up() -> None:
    sched = busy()
    assert sched.arrive(by(60.0, "t1"), 0.0) == [WakeAt(60.0)]
    assert sched.arrive(by(70.0, "t2"), 0.0) == []
    assert sched.arrive(by(50.0, "t3"), 0.0) == [WakeAt(50.0)]
    assert list(errors(sched.tick(50.0))) == ["t3"]
    assert list(errors(sched.tick(60.0))) == ["t1"]
    assert list(errors(sched.tick(70.0))) == ["t2"]


def test_several_that_missed_theirs_while_the_clock_stood_still_are_refused_together() -> None:
    sched = busy()
    for number in range(5):
        sched.arrive(by(10.0 + number, f"t{number}"), 0.0)
    assert list(errors(sched.tick(13.0))) == ["t0", "t1", "t2", "t3"]


def test_a_call_that_is_moved_to_another_class_takes_its_deadline_with_it() -> None:
    sched = busy()
    sched.arrive(by(30.0, "t1"), 0.0)
    sched.command(SetPriority("t1", LOW), 1.0)
    assert list(errors(sched.tick(30.0))) == ["t1"]


def test_a_load_is_given_up_when_its_last_waiter_missed_its_deadline() -> None:
    sched = scheduler(model("a"))
    assert deeds(sched.arrive(by(5.0, "t1"), 0.0)) == [Start("a", 1)]
    assert [type(action).__name__ for action in deeds(sched.tick(5.0))] == ["Refuse", "Cancel"]


def test_a_deadline_that_has_passed_is_refused_at_the_door_even_by_an_idle_model() -> None:
    sched = busy()
    sched.leave("running", 1.0)
    (error,) = errors(sched.arrive(by(2.0, "t1"), 2.0)).values()
    assert error.message.endswith("it was given up before it was let in.")
    assert sched.arrive(by(2.1, "t2"), 2.0) == [Admit("t2", "a")]


def test_who_could_not_begin_even_after_the_fastest_load_ever_seen_is_refused_before_anything_is_loaded() -> None:
    sched = loaded_twice(30.0, 20.0)
    (error,) = errors(sched.arrive(by(1020.0, "t1", arrived_s=1000.0), 1000.0)).values()
    assert error.message.endswith("(20 s): it was given up before it was let in, as `a` will not be loaded by then.")
    assert error.retry_after_s is None
    assert sched.replicas["a"].phase is Phase.STOPPED
    assert deeds(sched.arrive(by(1020.1, "t2", arrived_s=1000.0), 1000.0)) == [Start("a", 3)]


def test_one_load_that_was_slow_proves_nothing() -> None:
    sched = loaded_twice(30.0)
    assert deeds(sched.arrive(by(1001.0, "t1"), 1000.0)) == [Start("a", 2)]


def test_a_load_that_is_under_way_is_waited_for_if_it_can_be_there_in_time_and_else_named() -> None:
    sched = loaded_twice(20.0, 20.0, 40.0)
    sched.arrive(ticket("t1", "a"), 1000.0)
    (error,) = errors(sched.arrive(by(1018.0, "t2"), 1005.0)).values()
    assert error.retry_after_s == 15
    assert errors(sched.arrive(by(1021.0, "t3"), 1005.0)) == {}
    assert errors(sched.arrive(by(1026.0, "t4"), 1025.0)) == {}  # slower than ever: it may come any moment


def test_a_pause_or_a_drain_may_end_any_moment_so_nobody_is_refused_for_it() -> None:
    sched = busy()
    sched.command(Unload("a"), 1.0)
    assert sched.replicas["a"].phase is Phase.DRAINING
    assert errors(sched.arrive(by(3.0, "t1"), 2.0)) == {}
    sched.command(Pause(frozenset("a")), 2.0)
    assert errors(sched.arrive(by(3.0, "t2"), 2.0)) == {}
    assert list(errors(sched.tick(3.0))) == ["t1", "t2"]


def test_deadlines_of_those_who_left_are_forgotten_long_before_they_come() -> None:
    room = Room(Policy())
    deadlines = Deadlines(room)
    for number in range(1000):
        deadlines.watch(by(3600.0 + number, f"t{number}"))
    assert len(deadlines._heap) <= 65
    assert deadlines.missed(10_000.0) == []


def test_many_who_leave_change_nothing_in_the_order_of_the_others_deadlines() -> None:
    sched = busy()
    deadlines_s = [float(10 + number * 37 % 400) for number in range(400)]
    for number, deadline_s in enumerate(deadlines_s):
        sched.arrive(by(deadline_s, f"t{number}"), 0.0)
    staying = [number for number in range(400) if number % 8 == 3]
    for number in set(range(400)).difference(staying):
        sched.leave(f"t{number}", 1.0)
    sched.arrive(by(1000.0, "last"), 1.0)
    for number in sorted(staying, key=lambda number: deadlines_s[number]):
        assert list(errors(sched.tick(deadlines_s[number]))) == [f"t{number}"]
    assert [waiting.id for waiting in sched.waiting()] == ["last"]
