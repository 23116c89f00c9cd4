"""The simulated machine: it takes its time, and refuses what no machine can do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.core.model import Phase
from penstock.simulate.box import Box, BrokenRule, Ended, Gone, Ready
from tests.simulate.worlds import call, shared, world


def loaded(box: Box, name: str = "a") -> Box:
    box.load(name)
    box.advance(box.next_event_s())
    assert list(box.happened()) == [Ready(name)]
    return box


def test_a_load_takes_its_time_and_is_counted() -> None:
    box = loaded(Box(world()))
    assert (box.now_s, box.phase["a"], box.loads["a"], box.loading_s["a"]) == (10.0, Phase.READY, 1, 10.0)


def test_calls_at_once_slow_each_other_down() -> None:
    box = loaded(Box(world(slots=2, slowdown=0.5)))
    first, second = call(1, 0, "a", 6.0), call(2, 0, "a", 9.0)
    box.admit(first)
    box.admit(second)
    box.advance(box.next_event_s())
    assert list(box.happened()) == [Ended(first)]
    box.advance(box.next_event_s())
    assert list(box.happened()) == [Ended(second)]
    assert (first.ended_s, second.ended_s) == (19.0, 22.0)  # 6 s of work at 2/3, then 3 s alone


def test_a_machine_asked_for_twice_its_budget_is_more_than_twice_as_slow() -> None:
    box = Box(replace(shared(slots=1), thrash=1.0))
    for name in "ab":
        loaded(box, name)
        box.admit(call(1, 0, name, 5.0))
    assert box.peak_used == 2.0
    assert box.next_event_s() == 20.0


def test_who_keeps_the_budget_may_not_exceed_it() -> None:
    box = Box(shared(slots=1), keeps_budget=True)
    loaded(box, "a").admit(call(1, 0, "a"))
    loaded(box, "b")
    with pytest.raises(BrokenRule, match="pool box is asked for 2"):
        box.admit(call(2, 0, "b"))


def test_no_call_beyond_the_slots() -> None:
    box = loaded(Box(world()))
    box.admit(call(1, 0, "a"))
    with pytest.raises(BrokenRule, match="no free slot in a"):
        box.admit(call(2, 0, "a"))


def test_no_call_before_its_model_is_ready() -> None:
    box = Box(world())
    box.load("a")
    with pytest.raises(BrokenRule, match="no free slot in a"):
        box.admit(call(1, 0, "a"))


def test_no_call_twice() -> None:
    box, one = loaded(Box(world(slots=2))), call(1, 0, "a")
    box.admit(one)
    with pytest.raises(BrokenRule, match="has begun already"):
        box.admit(one)


def test_no_load_without_room() -> None:
    box = loaded(Box(world()))
    with pytest.raises(BrokenRule, match="no room for b"):
        box.load("b")


def test_no_load_of_what_is_there() -> None:
    box = loaded(Box(world()))
    with pytest.raises(BrokenRule, match="a is ready"):
        box.load("a")


def test_what_works_is_not_stopped() -> None:
    box = loaded(Box(world()))
    box.admit(call(1, 0, "a"))
    with pytest.raises(BrokenRule, match="while it works"):
        box.stop("a")


def test_what_is_loading_is_not_stopped_but_cancelled() -> None:
    box = Box(world(stop_s=2.0))
    box.load("a")
    with pytest.raises(BrokenRule, match="not there to be stopped"):
        box.stop("a")
    box.advance(4.0)
    box.cancel("a")
    box.advance(box.next_event_s())
    assert list(box.happened()) == [Gone("a")]
    assert (box.now_s, box.loading_s["a"]) == (6.0, 4.0)
    with pytest.raises(BrokenRule, match="not being loaded"):
        box.cancel("a")


def test_a_load_waits_until_the_memory_of_the_stopped_is_back() -> None:
    box = loaded(Box(world(stop_s=3.0)))
    box.stop("a")
    assert not box.has_room_now("b")
    box.load("b")
    box.advance(13.0)
    assert list(box.happened()) == [Gone("a")]
    assert box.next_event_s() == 23.0


def test_loads_queue_for_the_machine_to_load_them() -> None:
    box = Box(shared())
    slow = {name: replace(engine, load_s=10.0) for name, engine in box.world.engines.items()}
    box = Box(replace(box.world, engines=slow))
    box.load("a")
    box.load("b")
    box.advance(10.0)
    assert list(box.happened()) == [Ready("a")]
    box.advance(20.0)
    assert list(box.happened()) == [Ready("b")]
    assert box.loading_s == {"a": 10.0, "b": 10.0}
