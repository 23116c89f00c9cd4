"""Which of several models a call goes to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.core.calls.choose import Candidate, choose
from penstock.core.model import Choice, Model, Phase, Replica, Strategy, Ticket
from penstock.core.scheduling.actions import Admit, Refuse, Start
from penstock.core.scheduling.commands import Load, Pause
from penstock.core.scheduling.scheduler import Scheduler
from penstock.errors import DeadlineMissed, PromptTooLong, UnknownModel
from tests.core.scheduling.worlds import deeds, gone, model, ready, scheduler, ticket

PIN, WARM, SPILLOVER, FAILOVER = Strategy


def candidate(
    name: str, phase: Phase = Phase.STOPPED, *, running: int = 0, waiting: int = 0, slots: int = 1, **fields: object
) -> Candidate:
    replica = Replica(name, Model(name, slots), phase, running={f"{name}{number}" for number in range(running)})
    return replace(Candidate(replica, waiting), **fields)  # type: ignore[arg-type]


def chosen(strategy: Strategy, *candidates: Candidate, spillover: int = 1, fits: bool = True) -> str:
    return choose(strategy, candidates, spillover, lambda _target, _others: fits)


def one_of(strategy: Strategy, *models: str, ticket_id: str = "t1", spillover: int = 1) -> Ticket:
    return replace(ticket(ticket_id, "either"), choice=Choice(strategy, models, spillover))


def test_pin_takes_the_first_whatever_its_state() -> None:
    assert chosen(PIN, candidate("a", Phase.FAILED, is_usable=False), candidate("b", Phase.READY)) == "a"


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        ([Phase.STOPPED, Phase.STARTING, Phase.READY, Phase.READY], "c"),
        ([Phase.STOPPED, Phase.STOPPING, Phase.WAKING, Phase.STARTING], "c"),
        ([Phase.SLEEPING, Phase.STOPPED, Phase.DRAINING], "a"),
    ],
)
def test_warm_takes_the_first_ready_one_else_the_first_loading_one_else_the_first(
    phases: list[Phase], expected: str
) -> None:
    assert chosen(WARM, *(candidate(name, phase) for name, phase in zip("abcd", phases, strict=False))) == expected


def test_warm_prefers_a_ready_one_that_can_take_the_call_at_once() -> None:
    full, crowded = candidate("a", Phase.READY, running=1), candidate("b", Phase.READY, waiting=1)
    assert chosen(WARM, full, crowded, candidate("c", Phase.READY)) == "c"
    assert chosen(WARM, full, crowded, candidate("c", Phase.STARTING)) == "a"


def test_spillover_fills_the_ones_in_use_in_turns_before_it_brings_in_the_next() -> None:
    first = candidate("a", Phase.READY, running=1, slots=4, chosen=2)
    second = candidate("b", Phase.STARTING, waiting=1, chosen=1)
    assert chosen(SPILLOVER, first, second, candidate("c"), spillover=2) == "b"
    assert chosen(SPILLOVER, first, replace(second, chosen=3), candidate("c"), spillover=2) == "a"
    assert chosen(SPILLOVER, first, second, candidate("c"), candidate("d"), spillover=1) == "c"
    assert chosen(SPILLOVER, first, second, candidate("c", Phase.STOPPING), candidate("d"), spillover=1) == "d"


def test_spillover_stays_with_the_least_busy_where_no_other_can_be_had() -> None:
    first, second = candidate("a", Phase.READY, running=3, slots=4), candidate("b", Phase.READY, waiting=2)
    assert chosen(SPILLOVER, first, second) == "b"
    assert chosen(SPILLOVER, first, second, candidate("c"), fits=False) == "b"


def test_spillover_begins_with_the_first_and_waits_for_it_where_all_are_on_their_way_out() -> None:
    assert chosen(SPILLOVER, candidate("a"), candidate("b")) == "a"
    assert chosen(SPILLOVER, candidate("a", Phase.STOPPING, waiting=1), candidate("b", Phase.DRAINING)) == "b"


def test_spillover_counts_a_server_elsewhere_as_in_use_only_while_it_has_calls() -> None:
    far, near = (Replica(name, Model(name, None, is_launched=False), Phase.READY) for name in ("far", "near"))
    assert chosen(SPILLOVER, candidate("a", Phase.READY, running=1), Candidate(far, 0), fits=False) == "far"
    near.running |= {"n1"}
    assert chosen(SPILLOVER, Candidate(far, 0), Candidate(near, 0), spillover=2) == "near"


@pytest.mark.parametrize("strategy", [WARM, SPILLOVER, FAILOVER])
def test_a_model_that_would_not_let_the_call_in_is_passed_over_unless_all_are_such(strategy: Strategy) -> None:
    first = candidate("a", Phase.READY, is_usable=False)
    assert chosen(strategy, first, candidate("b")) == "b"
    assert chosen(strategy, first, candidate("b", is_usable=False)) == "a"


def test_failover_takes_the_first_that_is_left() -> None:
    choice = Choice(FAILOVER, ("a", "b", "c"))
    assert choice.without({"a"}) == Choice(FAILOVER, ("b", "c"))
    assert chosen(FAILOVER, candidate("b"), candidate("c", Phase.READY)) == "b"


def two(*models: Model) -> Scheduler:
    return scheduler(*(models or (model("a", 40), model("b", 40))))


def test_the_choice_is_made_once_and_can_be_asked_for() -> None:
    sched = two()
    sched.command(Load("b"), 0.0)
    ready(sched, "b", 10.0)
    assert sched.arrive(one_of(WARM, "a", "b"), 11.0) == [Admit("t1", "b")]
    assert deeds(sched.arrive(one_of(PIN, "a", "b", ticket_id="t2"), 11.0)) == [Start("a", 1)]
    assert (sched.model_of("t1"), sched.model_of("t2"), sched.model_of("t3")) == ("b", "a", None)
    assert [waiting.model for waiting in sched.waiting()] == ["a"]
    assert sched.arrive(one_of(WARM, "a", "b"), 11.0) == []  # it is here already


def test_calls_spill_over_one_model_after_the_other_and_then_take_turns() -> None:
    sched = two()
    for number in range(6):
        sched.arrive(one_of(SPILLOVER, "a", "b", ticket_id=f"t{number}", spillover=2), 0.0)
    assert [sched.model_of(f"t{number}") for number in range(6)] == ["a", "a", "b", "b", "a", "b"]


def test_a_call_does_not_spill_over_to_a_model_that_would_push_out_the_one_in_use() -> None:
    sched = two(model("a", 60), model("b", 60))
    sched.arrive(one_of(SPILLOVER, "a", "b"), 0.0)
    sched.arrive(one_of(SPILLOVER, "a", "b", ticket_id="t2"), 0.0)
    assert sched.model_of("t2") == "a"


def test_a_failed_a_paused_and_a_too_small_model_are_passed_over_if_there_is_another() -> None:
    sched = scheduler(model("a"), model("b"), model("c", max_prompt_tokens=10), model("d"))
    sched.arrive(ticket("t0", "a"), 0.0)
    sched.replica_failed("a", 1, 1.0, reason="no", is_final=True)
    sched.command(Pause(frozenset("b")), 1.0)
    asked = replace(one_of(FAILOVER, "a", "b", "c", "d"), prompt_tokens=100)
    assert deeds(sched.arrive(asked, 2.0)) == [Start("d", 1)]
    (refusal,) = deeds(sched.arrive(replace(asked, id="t2", choice=Choice(FAILOVER, ("c", "a"))), 3.0))
    assert isinstance(refusal, Refuse)
    assert isinstance(refusal.error, PromptTooLong)  # the first one says why


def test_of_two_models_the_one_is_chosen_that_can_be_there_in_time() -> None:
    sched = two(model("slow", ttl_s=0.0), model("quick", ttl_s=0.0))
    for now_s in (0.0, 100.0):
        sched.command(Load("slow"), now_s)
        ready(sched, "slow", now_s + 50.0)
        gone(sched, "slow", now_s + 50.0)
    asked = replace(one_of(FAILOVER, "slow", "quick"), deadline_s=230.0)
    assert deeds(sched.arrive(asked, 200.0)) == [Start("quick", 1)]
    (refusal,) = deeds(sched.arrive(replace(one_of(PIN, "slow", "quick", ticket_id="t2"), deadline_s=230.0), 200.0))
    assert isinstance(refusal, Refuse)
    assert isinstance(refusal.error, DeadlineMissed)


@pytest.mark.parametrize(
    ("choice", "named"),
    [
        (Choice(PIN, ("nobody", "a")), "nobody"),
        (Choice(WARM, ("nobody",)), "nobody"),
        (Choice(FAILOVER, ()), "either"),
    ],
)
def test_a_choice_that_has_no_model_is_refused(choice: Choice, named: str) -> None:
    (refusal,) = two().arrive(replace(ticket("t1", "either"), choice=choice), 0.0)
    assert isinstance(refusal, Refuse)
    assert isinstance(refusal.error, UnknownModel)
    assert f"`{named}`" in refusal.error.message


def test_names_that_are_no_models_are_passed_over_by_the_other_choices() -> None:
    sched = two()
    sched.arrive(one_of(FAILOVER, "nobody", "b"), 0.0)
    assert sched.model_of("t1") == "b"
