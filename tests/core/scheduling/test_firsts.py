"""The firsts of lines: who of them is looked at, and whose arrival is worth a decision."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from penstock.core.model import Priority
from penstock.core.scheduling.actions import WakeAt
from penstock.core.scheduling.firsts import Firsts
from tests.core.scheduling.worlds import deeds, model, ready, scheduler, ticket


@dataclass(slots=True, eq=False)
class Someone:
    due_s: float
    seq: int
    share: float
    is_waiting: bool = True
    is_shut: bool = False

    def __lt__(self, other: Someone) -> bool:
        return False


DEEDS = st.lists(st.tuples(st.sampled_from(["file", "go", "shut", "open"]), st.integers(0, 9), st.integers(0, 2)))


@given(DEEDS)
def test_the_heads_are_the_earliest_of_every_share_who_wait_and_are_not_shut(
    deeds_done: list[tuple[str, int, int]],
) -> None:
    firsts, everyone = Firsts[Someone](), list[Someone]()
    for deed, number, share in deeds_done:
        those = [one for one in everyone if one.is_waiting]
        if deed == "file":
            everyone.append(Someone(float(number), len(everyone), float(share)))
            firsts.file(everyone[-1], len(those) + 1)
        elif those:
            one = those[number % len(those)]
            one.is_waiting, one.is_shut = deed != "go", deed == "shut" or (one.is_shut and deed == "go")
            if deed == "open":
                firsts.file(one, len(those))
            firsts.look_again()
        able = sorted((one.due_s, one.seq, one) for one in everyone if one.is_waiting and not one.is_shut)
        shares = {one.share for _, _, one in able}
        expected = {next(one.seq for _, _, one in able if one.share == each) for each in shares}
        heads = firsts.heads()
        assert {one.seq for one in heads} == expected
        assert [one.due_s for one in heads] == sorted(one.due_s for one in heads)


def test_none_is_looked_at_once_they_are_cleared() -> None:
    firsts = Firsts[Someone]()
    firsts.file(Someone(1.0, 1, 1.0), 1)
    assert len(firsts.heads()) == 1
    firsts.clear()
    assert firsts.heads() == []
    late = Someone(2.0, 2, 1.0)
    firsts.file(late, 1)
    assert firsts.heads() == [late]


def test_those_who_are_gone_do_not_pile_up_beneath_one_who_stays() -> None:
    firsts = Firsts[Someone]()
    firsts.file(Someone(0.0, 0, 1.0), 1)
    for number in range(1, 1000):
        one = Someone(1.0, number, 1.0)
        firsts.file(one, 2)
        one.is_waiting = False
    assert len(firsts.heaps[1.0]) <= 2 * 2 + 64 + 1


def test_they_stay_in_order_when_those_who_are_gone_are_swept_out() -> None:
    firsts, everyone = Firsts[Someone](), list[Someone]()
    for number in range(500):
        everyone.append(Someone(float(number * 7919 % 500), number, 1.0))
        everyone[-1].is_waiting = number % 5 == 0
        firsts.file(everyone[-1], 1 + number // 5)
    for one in sorted((one for one in everyone if one.is_waiting), key=lambda one: one.due_s):
        assert firsts.heads() == [one]
        one.is_waiting = False
        firsts.look_again()


def test_a_better_call_that_comes_behind_an_overdue_one_shortens_the_hold_at_once() -> None:
    sched = scheduler(model("a"), model("b"))
    sched.arrive(ticket("a1", "a"), 0.0)
    ready(sched, "a", 10.0)
    sched.arrive(ticket("a2", "a"), 10.0)
    sched.arrive(ticket("b1", "b"), 10.0)  # due at 100, held off until 10 + 4 x 20 = 90
    assert sched.tick(60.0) == []
    actions = sched.arrive(ticket("b2", "b", "bob", Priority.HIGH), 60.0)
    assert [replica.phase.value for replica in sched.replicas.values()] == ["draining", "stopped"]
    assert not deeds(actions)


def test_a_call_that_only_adds_weight_is_not_decided_about() -> None:
    sched = scheduler(model("a"), model("b"))
    sched.arrive(ticket("a1", "a"), 0.0)
    ready(sched, "a", 10.0)
    sched.arrive(ticket("a2", "a"), 10.0)
    assert any(isinstance(action, WakeAt) for action in sched.arrive(ticket("b1", "b"), 10.0))
    assert sched.arrive(ticket("b2", "b", "bob"), 101.0) == []  # the tick is late
    assert sched.replicas["a"].phase.value == "ready"
    sched.tick(101.0)
    assert sched.replicas["a"].phase.value == "draining"
