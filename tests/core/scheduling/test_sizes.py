"""What models were seen to take counts in place of what was guessed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.core.fitting.groups import GroupResidency
from penstock.core.fitting.matrix import Matrix, MatrixResidency
from penstock.core.fitting.memory import MemoryResidency
from penstock.core.model import Device, Model
from penstock.core.scheduling.actions import Start, Stop, WakeAt
from penstock.core.scheduling.commands import Load, Pin
from penstock.core.scheduling.scheduler import Plan, Policy, Scheduler, WaitReason
from tests.core.scheduling.worlds import DEVICE, deeds, model, plan, ready, scheduler, ticket


def resident(*models: Model, policy: Policy | None = None, count: int = 2) -> Scheduler:
    """The first two models are ready and idle."""
    sched = scheduler(*models, policy=policy)
    for each in models[:count]:
        sched.command(Load(each.name), 0.0)
        ready(sched, each.name, 0.0)
    return sched


def test_of_a_model_that_takes_more_than_was_guessed_the_next_load_stops_one_more() -> None:
    sched = resident(model("a", 40), model("b", 40), model("c", 20))
    assert sched.measured("a", 1, (("gpu", 55),), 1.0) == []
    assert sched.sizes() == {"a": (("gpu", 55),)}
    assert deeds(sched.arrive(ticket("t1", "c"), 2.0)) == [Stop("a", 1)]


def test_of_a_model_that_takes_less_than_was_guessed_the_next_is_loaded_beside_it() -> None:
    sched = resident(model("a", 60), model("b", 60), count=1)
    sched.measured("a", 1, (("gpu", 40),), 1.0)
    assert deeds(sched.arrive(ticket("t1", "b"), 2.0)) == [Start("b", 1)]


def test_a_model_of_unknown_size_stays_alone_until_it_was_measured() -> None:
    sched = resident(model("a", footprint=None), model("b", 60), count=1)
    sched.arrive(ticket("t1", "a"), 0.0)
    assert deeds(sched.arrive(ticket("t2", "b"), 1.0)) == []
    assert deeds(sched.measured("a", 1, (("gpu", 40),), 2.0)) == [Start("b", 1)]


def test_of_a_declared_size_and_a_measured_one_the_larger_counts_device_by_device() -> None:
    devices = (Device("gpu", 100), Device("ram", 50))
    models = [Model("a", footprint=(("gpu", 40),), is_size_declared=True), Model("b", footprint=(("gpu", 60),))]
    policy = MemoryResidency(devices, models)
    assert policy.knowing({"a": (("gpu", 10),)}).fits({"a", "b"})
    assert not policy.knowing({"a": (("gpu", 41),)}).fits({"a", "b"})
    beside = replace(policy._models["b"], footprint=(("gpu", 61),))
    assert not MemoryResidency(devices, [models[0], beside]).knowing({"a": (("gpu", 10),)}).fits({"a", "b"})


def test_what_ran_fits_whatever_was_measured_and_devices_that_are_not_ours_do_not_count() -> None:
    policy = MemoryResidency([DEVICE], [model("a", 40)])
    assert policy.knowing({"a": (("gpu", 500), ("elsewhere", 7))}).fits({"a"})
    assert policy.knowing({"nobody": (("gpu", 500),)}).fits({"a"})


def test_a_device_that_turns_out_overfull_keeps_no_model_from_another_device() -> None:
    models = [model("a", 50), model("b", 50), Model("far", footprint=(("other", 5),)), Model("tiny", footprint=())]
    policy = MemoryResidency([DEVICE, Device("other", 10)], models).knowing({"a": (("gpu", 60),)})
    assert not policy.fits({"a", "b"})
    assert policy.admits("far", {"a", "b"})
    assert policy.admits("tiny", {"a", "b"})
    assert not policy.admits("b", {"a", "far"})


def test_what_is_foreign_is_reckoned_anew_when_a_size_becomes_known() -> None:
    sched = resident(model("a", 40), model("b", 50), count=1)
    sched.memory("gpu", 45, 1.0)  # as if others held 15
    sched.arrive(ticket("t0", "a"), 1.0)
    assert deeds(sched.arrive(ticket("t1", "b"), 1.0)) == []
    assert deeds(sched.measured("a", 1, (("gpu", 30),), 2.0)) == []  # it is the others who hold the rest: 25
    assert deeds(sched.memory("gpu", 50, 3.0)) == [Start("b", 1)]


def test_a_word_about_an_earlier_process_is_not_heard() -> None:
    sched = resident(model("a", 40), count=1)
    assert sched.measured("a", 0, (("gpu", 55),), 1.0) == []
    assert sched.measured("nobody", 0, (), 1.0) == []
    assert sched.sizes() == {}


@pytest.mark.parametrize(("new_bytes", "kept"), [(40, True), (45, False)])
def test_another_plan_keeps_a_size_as_long_as_it_says_the_same_about_it(new_bytes: int, kept: bool) -> None:
    sched = resident(model("a", 40), model("b", 40))
    sched.measured("a", 1, (("gpu", 55),), 1.0)
    sched.measured("b", 1, (("gpu", 55),), 1.0)
    sched.configure(plan(model("a", new_bytes, slots=2)), 2.0)
    assert list(sched.sizes()) == (["a"] if kept else [])


def test_another_plan_decides_from_then_on_who_fits_beside_whom() -> None:
    sched = resident(model("a", 40), model("b", 80), count=1)
    sched.configure(plan(model("a", 40), model("b", 60)), 1.0)
    assert deeds(sched.arrive(ticket("t1", "b"), 2.0)) == [Start("b", 1)]


def test_where_a_size_leaves_no_room_at_all_it_is_disbelieved_after_a_while() -> None:
    sched = resident(model("a", 40), model("b", 40), count=1, policy=Policy(memory_wait_s=30.0))
    sched.measured("a", 1, (("gpu", 80),), 1.0)
    sched.command(Pin("a"), 1.0)
    sched.arrive(ticket("t1", "b"), 100.0)
    assert sched.tick(200.0) == [WakeAt(230.0)]
    wait = sched.explain("t1", 200.0)
    assert (wait.reason, wait.wait_until_s) == (WaitReason.MEMORY, 230.0)
    assert deeds(sched.tick(230.0)) == [Start("b", 1)]


def test_a_size_that_was_disbelieved_is_believed_anew_when_the_start_fails() -> None:
    policy = Policy(memory_wait_s=30.0, backoff_s=())
    sched = resident(model("a", 40), model("b", 40), count=1, policy=policy)
    sched.measured("a", 1, (("gpu", 80),), 1.0)
    sched.command(Pin("a"), 1.0)
    sched.arrive(ticket("t1", "b"), 100.0)
    sched.tick(200.0)
    assert deeds(sched.tick(230.0)) == [Start("b", 1)]
    assert sched.replica_failed("b", 1, 231.0, reason="out of memory") == [WakeAt(261.0)]
    assert deeds(sched.tick(261.0)) == [Start("b", 2)]


def test_a_matrix_takes_sizes_into_account_where_it_counts_memory() -> None:
    models = (model("a", footprint=None), model("b", 60), model("c", 60))
    matrix = Matrix({"all": "a & b & c"}, {name: name for name in "abc"})
    policy = MatrixResidency(matrix, models, MemoryResidency([DEVICE], models))
    assert policy.fits({"a", "b"})  # nobody knows what `a` takes
    assert not policy.knowing({"a": (("gpu", 50),)}).fits({"a", "b"})
    assert policy.knowing({"b": (("gpu", 40),)}).fits({"b", "c"})
    bare = MatrixResidency(matrix, models)
    assert bare.knowing({"a": (("gpu", 500),)}) is bare


def test_policies_that_count_no_memory_do_not_care() -> None:
    groups = GroupResidency()
    assert groups.knowing({"a": (("gpu", 500),)}) is groups
    assert Plan((Model("a"),), groups).faults() == []
