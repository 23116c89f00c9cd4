"""What begins and what does not: as many calls as have a slot, and the loads that somebody wants."""

from __future__ import annotations

from penstock.core.model import Model, Phase
from penstock.core.scheduling.actions import Admit, Refuse, Start, Stop
from penstock.core.scheduling.commands import Load, Pin, Reset
from penstock.core.scheduling.scheduler import Policy, Scheduler
from penstock.errors import Unadmittable
from tests.core.scheduling.worlds import deeds, model, plan, ready, scheduler, ticket


def resident(*models: Model) -> Scheduler:
    """A scheduler whose first model took ten seconds to load and is idle at 10 s."""
    sched = scheduler(*models)
    sched.command(Load(models[0].name), 0.0)
    ready(sched, models[0].name, 10.0)
    return sched


def test_as_many_begin_at_once_as_there_are_slots_and_each_begins_once() -> None:
    sched = scheduler(model("a", slots=4))
    for number in range(5):
        sched.arrive(ticket(f"t{number}", "a"), 0.0)
    assert ready(sched, "a", 10.0) == [Admit(f"t{number}", "a") for number in range(4)]


def test_a_load_is_finished_without_its_waiter_where_loads_are_not_given_up() -> None:
    sched = scheduler(model("a"), policy=Policy(cancel_loads=False))
    sched.arrive(ticket("t1", "a"), 0.0)
    assert deeds(sched.leave("t1", 1.0)) == []
    ready(sched, "a", 10.0)
    assert sched.replicas["a"].phase is Phase.READY


def test_asking_to_load_what_is_there_does_not_keep_it_there() -> None:
    sched = resident(model("a", ttl_s=30.0))
    sched.command(Load("a"), 20.0)
    assert deeds(sched.tick(40.0)) == [Stop("a", 1)]


def test_a_load_that_was_asked_for_is_tried_again_but_forgotten_when_it_failed_for_good() -> None:
    sched = scheduler(model("a"), policy=Policy(backoff_s=(1.0,), failed_pause_s=30.0))
    sched.command(Load("a"), 0.0)
    sched.replica_failed("a", 1, 1.0, reason="no")
    assert deeds(sched.tick(2.0)) == [Start("a", 2)]
    sched.replica_failed("a", 2, 3.0, reason="never", is_final=True)
    assert deeds(sched.arrive(ticket("t1", "a"), 100.0)) == [Start("a", 3)]
    sched.leave("t1", 101.0)
    assert sched.replicas["a"].phase is Phase.STOPPING  # nobody wants it: the wish of then is over


def test_who_comes_while_a_failed_start_rests_does_not_shorten_the_rest() -> None:
    sched = scheduler(model("a"), policy=Policy(backoff_s=(10.0,)))
    sched.arrive(ticket("t1", "a"), 0.0)
    sched.replica_failed("a", 1, 1.0, reason="no")
    assert deeds(sched.arrive(ticket("t2", "a", "bob"), 2.0)) == []
    assert deeds(sched.tick(11.0)) == [Start("a", 2)]


def test_a_model_that_was_reset_has_all_its_attempts_again() -> None:
    sched = scheduler(model("a"), policy=Policy(start_attempts=2))
    for generation in (1, 2):
        sched.command(Load("a"), 100.0 * generation)
        sched.replica_failed("a", generation, 100.0 * generation, reason="no")
    assert sched.replicas["a"].phase.value == "failed"
    sched.command(Reset("a"), 300.0)
    sched.command(Load("a"), 300.0)
    sched.replica_failed("a", 3, 301.0, reason="no")
    assert sched.replicas["a"].phase.value == "backoff"


def test_a_pin_of_a_model_that_is_no_more_is_forgotten() -> None:
    sched = resident(model("a"), model("b"))
    sched.command(Pin("a"), 10.0)
    sched.configure(plan(model("b")), 11.0)
    assert sched.pinned == frozenset()


def test_who_would_never_fit_beside_what_is_pinned_is_told_so_at_the_door() -> None:
    sched = resident(model("a"), model("b"))
    sched.command(Pin("a"), 10.0)
    (refused,) = deeds(sched.arrive(ticket("b1", "b"), 11.0))
    assert isinstance(refused, Refuse)
    assert isinstance(refused.error, Unadmittable)
