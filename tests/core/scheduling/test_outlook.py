"""When those who wait are told that they will start, in the smallest worlds where something is in their way."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from penstock.core.model import Model, Pool, Priority
from penstock.core.scheduling.commands import Load
from penstock.core.scheduling.explain import WaitReason
from penstock.core.scheduling.plan import KeyTerms
from penstock.core.scheduling.scheduler import Policy, Scheduler
from tests.core.scheduling.worlds import model, ready, scheduler, ticket

SHORT_S = 0.1
ENDED = 100
NOW_S = 1000.0


def estimate_s(sched: Scheduler, ticket_id: str, now_s: float) -> float:
    found_s = sched.explain(ticket_id, now_s).estimate_s
    assert found_s is not None
    return found_s


def used(*models: Model, pools: tuple[Pool, ...] = (), keys: Mapping[str, KeyTerms] | None = None) -> Scheduler:
    """Models that are there; the first has served many short calls."""
    sched = scheduler(*models, pools=pools, keys=keys or {})
    for each in models:
        if each.is_launched:
            sched.command(Load(each.name), 0.0)
            ready(sched, each.name, 0.0)
    for number in range(ENDED):
        sched.arrive(ticket(f"short{number}", models[0].name), float(number))
        sched.leave(f"short{number}", number + SHORT_S)
    return sched


def test_behind_a_long_call_among_short_ones_it_takes_about_half_as_long_as_that_has_run() -> None:
    sched = used(model("a"))
    sched.arrive(ticket("long", "a"), NOW_S)
    sched.arrive(ticket("next", "a"), NOW_S + 60.0)
    assert estimate_s(sched, "next", NOW_S + 60.0) == pytest.approx(30.0, rel=0.01)
    assert estimate_s(sched, "next", NOW_S + 600.0) == pytest.approx(300.0, rel=0.01)


def test_beside_a_long_call_the_other_places_come_free_as_ever() -> None:
    sched = used(model("a", slots=2))
    sched.arrive(ticket("long", "a"), NOW_S)
    sched.arrive(ticket("brief", "a"), NOW_S + 60.0)
    sched.arrive(ticket("next", "a"), NOW_S + 60.0)
    assert estimate_s(sched, "next", NOW_S + 60.0) == pytest.approx(SHORT_S, rel=0.05)


def test_where_many_run_side_by_side_some_of_them_stand_for_all() -> None:
    sched = used(model("a", slots=1000))
    for number in range(1010):
        sched.arrive(ticket(f"each{number}", "a"), NOW_S)
    assert estimate_s(sched, "each1009", NOW_S) == pytest.approx(10 * SHORT_S / 1000, rel=0.01)


def test_a_long_call_of_its_own_key_is_waited_for_at_the_keys_cap() -> None:
    sched = used(model("a", slots=4), keys={"eve": KeyTerms(max_concurrent=1)})
    sched.arrive(ticket("long", "a", "eve"), NOW_S)
    sched.arrive(ticket("other", "a", "ann"), NOW_S + 59.9)
    sched.arrive(ticket("next", "a", "eve"), NOW_S + 60.0)
    assert sched.explain("next", NOW_S + 60.0).reason is WaitReason.KEY_CAP
    assert estimate_s(sched, "next", NOW_S + 60.0) == pytest.approx(30.0, rel=0.01)


def test_a_key_that_may_run_nothing_is_told_no_time() -> None:
    sched = used(model("a", slots=4), keys={"eve": KeyTerms(max_concurrent=0)})
    sched.arrive(ticket("never", "a", "eve"), NOW_S)
    assert sched.explain("never", NOW_S).estimate_s is None


def pooled(name: str, cost: float, **fields: object) -> Model:
    return Model(name, 4, is_launched=False, pool="p", cost=cost, **fields)  # type: ignore[arg-type]


def test_room_in_a_pool_is_waited_for_until_enough_of_those_in_it_have_ended() -> None:
    sched = used(pooled("small", 0.25), pooled("large", 0.75), pools=(Pool("p"),))
    sched.arrive(ticket("s1", "small"), NOW_S)
    sched.arrive(ticket("s2", "small"), NOW_S + 30.0)
    sched.arrive(ticket("big", "large"), NOW_S + 60.0)
    assert sched.explain("big", NOW_S + 60.0).reason is WaitReason.BUDGET_FULL
    # one of the two must end: their ends are as likely as 1 in 30 and 1 in 15 seconds
    assert estimate_s(sched, "big", NOW_S + 60.0) == pytest.approx(1 / (1 / 30 + 1 / 15), rel=0.01)


def test_an_exclusive_pool_is_waited_for_until_the_last_of_the_other_model_has_ended() -> None:
    sched = used(pooled("small", 0.25), pooled("large", 0.75), pools=(Pool("p", is_exclusive=True),))
    sched.arrive(ticket("s1", "small"), NOW_S)
    sched.arrive(ticket("s2", "small"), NOW_S + 30.0)
    sched.arrive(ticket("big", "large"), NOW_S + 60.0)
    assert sched.explain("big", NOW_S + 60.0).reason is WaitReason.EXCLUSIVE
    assert estimate_s(sched, "big", NOW_S + 60.0) == pytest.approx(30.0, rel=0.01)


def test_what_is_kept_for_another_is_waited_for_by_who_is_due_later() -> None:
    sched = used(pooled("small", 0.25), pooled("large", 1.0), pools=(Pool("p"),))
    sched.arrive(ticket("s1", "small"), NOW_S)
    sched.arrive(ticket("big", "large"), NOW_S + 1.0)
    sched.tick(NOW_S + 10.0)
    sched.arrive(ticket("s2", "small", "eve"), NOW_S + 60.0)
    assert sched.explain("s2", NOW_S + 60.0).reason is WaitReason.RESERVED
    assert estimate_s(sched, "s2", NOW_S + 60.0) >= 29.0


def test_a_load_waits_for_the_long_call_of_the_model_that_makes_way() -> None:
    sched = scheduler(model("a"), model("b"), policy=Policy(hold=0.0, hold_high=0.0))
    sched.command(Load("a"), 0.0)
    ready(sched, "a", 0.0)
    sched.arrive(ticket("long", "a"), 0.0)
    sched.arrive(ticket("b1", "b", priority=Priority.HIGH), 60.0)
    sched.tick(90.0)
    assert sched.explain("b1", 90.0).reason is WaitReason.DRAINING
    assert estimate_s(sched, "b1", 90.0) == pytest.approx(45.0 + 5.0 + 10.0)


def test_a_model_that_makes_way_comes_back_after_the_other_has_been_loaded_and_served() -> None:
    sched = scheduler(model("a"), model("b"), policy=Policy(hold=0.0, hold_high=0.0))
    sched.command(Load("a"), 0.0)
    ready(sched, "a", 0.0)
    sched.arrive(ticket("long", "a"), 0.0)
    sched.arrive(ticket("b1", "b", priority=Priority.HIGH), 60.0)
    sched.tick(90.0)
    sched.arrive(ticket("back", "a"), 90.0)
    assert sched.explain("back", 90.0).reason is WaitReason.AGED_IN
    assert estimate_s(sched, "back", 90.0) == pytest.approx(45.0 + 5.0 + 10.0 + 5.0)  # its own load took no time


def test_a_load_that_is_late_is_not_said_to_be_over() -> None:
    sched = scheduler(model("a"))
    sched.arrive(ticket("t1", "a"), 0.0)
    assert estimate_s(sched, "t1", 4.0) == 6.0
    assert estimate_s(sched, "t1", 40.0) == 10.0
