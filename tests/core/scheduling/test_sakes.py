"""For whose sake an engine is stopped or started: said with the deed, for the account of loads."""

from __future__ import annotations

from penstock.core.fitting.groups import Group, GroupResidency
from penstock.core.model import Model, Ticket
from penstock.core.scheduling.actions import Start, Stop
from penstock.core.scheduling.commands import Load, Unload
from penstock.core.scheduling.plan import Plan, Policy
from penstock.core.scheduling.scheduler import Scheduler


def two_that_exclude_each_other() -> Scheduler:
    models = (Model("a"), Model("b"))
    residency = GroupResidency([Group("all", frozenset({"a", "b"}), swap=True, exclusive=True, persistent=False)])
    return Scheduler(Plan(models, residency, policy=Policy(patience_s=(0.0, 0.0, 0.0))))


def test_a_stop_names_the_model_that_gets_the_room_and_who_waits_for_it() -> None:
    sched = two_that_exclude_each_other()
    [start] = [each for each in sched.arrive(Ticket("t1", "a", "ann", 0.0), 0.0) if isinstance(each, Start)]
    assert (start.replica_id, start.ticket_id) == ("a", "t1")
    sched.replica_ready("a", 1, 1.0)
    sched.arrive(Ticket("t2", "b", "bob", 2.0), 2.0)
    [stop] = [each for each in sched.leave("t1", 3.0) if isinstance(each, Stop)]
    assert (stop.replica_id, stop.target, stop.ticket_id) == ("a", "b", "t2")
    [start] = [each for each in sched.replica_gone("a", 1, 4.0) if isinstance(each, Start)]
    assert (start.replica_id, start.ticket_id) == ("b", "t2")


def test_what_an_operator_asks_for_is_for_nobodys_sake() -> None:
    sched = two_that_exclude_each_other()
    [start] = [each for each in sched.command(Load("a"), 0.0) if isinstance(each, Start)]
    assert start.ticket_id is None
    sched.replica_ready("a", 1, 1.0)
    [stop] = [each for each in sched.command(Unload("a"), 2.0) if isinstance(each, Stop)]
    assert (stop.target, stop.ticket_id) == (None, None)
