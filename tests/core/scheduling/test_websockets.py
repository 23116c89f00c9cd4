"""A websocket takes no slot, and keeps its engine from being swapped out while bytes pass."""

from __future__ import annotations

from penstock.core.scheduling.actions import Start, Stop, WakeAt
from penstock.core.scheduling.commands import Unload
from penstock.core.scheduling.scheduler import Scheduler
from tests.core.scheduling.worlds import deeds, gone, model, ready, scheduler, ticket


def loaded(name: str, ttl_s: float | None = None) -> Scheduler:
    sched = scheduler(model(name, ttl_s=ttl_s), model("other"))
    sched.arrive(ticket("first", name), 0.0)
    ready(sched, name, 10.0)
    sched.leave("first", 11.0)
    return sched


def test_a_swap_waits_until_nothing_has_passed_for_a_while() -> None:
    sched = loaded("a")
    sched.keep("a", 1, 60.0)
    actions = sched.arrive(ticket("t", "other"), 12.0)
    assert deeds(actions) == []
    assert WakeAt(60.0) in [*actions, *sched.tick(59.0)]
    sched.keep("a", 1, 80.0)
    assert deeds(sched.tick(60.0)) == []
    assert deeds(sched.tick(80.0)) == [Stop("a", 1)]
    assert gone(sched, "a", 81.0) == [Start("other", 1)]
    assert sched.bound_exceeded == 0


def test_time_to_live_counts_from_the_last_bytes_too() -> None:
    sched = loaded("a", ttl_s=5.0)
    sched.keep("a", 1, 30.0)
    assert deeds(sched.tick(20.0)) == []
    assert deeds(sched.tick(30.0)) == [Stop("a", 1)]


def test_the_operator_may_unload_it_all_the_same() -> None:
    sched = loaded("a")
    sched.keep("a", 1, 60.0)
    assert deeds(sched.command(Unload("a"), 20.0)) == [Stop("a", 1)]


def test_a_word_about_an_earlier_process_protects_nobody() -> None:
    sched = loaded("a")
    sched.keep("a", 0, 60.0)
    assert deeds(sched.arrive(ticket("t", "other"), 12.0)) == [Stop("a", 1)]
