"""Who may be resident together, and who has to leave."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.fitting.groups import Group, GroupResidency
from penstock.core.fitting.memory import MemoryResidency
from penstock.core.fitting.residency import Residency, cheapest_victims
from penstock.core.model import Device, Model, Pool
from penstock.core.scheduling.scheduler import Plan
from tests.core.scheduling.worlds import model, plan

GIB = 2**30


class AtMostTwo(Residency):
    """One's own policy needs one method."""

    def fits(self, names: Collection[str]) -> bool:
        return len(names) <= 2


def test_a_policy_of_ones_own_needs_one_method() -> None:
    policy = AtMostTwo()
    assert policy.admits("c", {"a"})
    assert not policy.admits("c", {"a", "b"})
    assert policy.shortfall("a") == ""
    assert policy.seeing("gpu", 0, ()) is policy
    assert Plan((Model("a"), Model("b")), policy).faults() == []


def group(name: str, *members: str, swap: bool = True, exclusive: bool = True, persistent: bool = False) -> Group:
    return Group(name, frozenset(members), swap, exclusive, persistent)


@pytest.mark.parametrize(
    ("groups", "resident", "is_kept"),
    [
        ([group("g", "target", "other")], "other", False),
        ([group("g", "target", "other", swap=False)], "other", True),
        ([group("g", "target"), group("h", "other")], "other", False),
        ([group("g", "target"), group("h", "other", persistent=True)], "other", True),
        ([group("g", "target", exclusive=False), group("h", "other")], "other", True),  # one way
        ([group("h", "other", exclusive=False)], "other", False),  # the target is in the default group: exclusive
        ([], "other", False),  # both are in the default group: it swaps
        ([group("g", "target", exclusive=False)], "other", True),
    ],
)
def test_loading_a_model_asks_the_rules_of_its_own_group(groups: list[Group], resident: str, is_kept: bool) -> None:
    assert GroupResidency(groups).admits("target", {resident}) is is_kept


def test_groups_allow_what_some_order_of_loading_leaves_resident() -> None:
    policy = GroupResidency([group("g", "a", "b", swap=False), group("h", "c", exclusive=False)])
    assert policy.fits({"a", "b", "c"})  # c came last
    assert policy.fits(set())
    assert not policy.fits({"a", "d"})
    assert not policy.admits("a", {"c"})


DEVICES = [Device("gpu0", 24 * GIB), Device("gpu1", 12 * GIB)]
SPLIT = Model("split", footprint=(("gpu0", 10 * GIB), ("gpu1", 10 * GIB)))
SMALL = Model("small", footprint=(("gpu1", 4 * GIB),))
BIG = Model("big", footprint=(("gpu0", 30 * GIB),))
UNKNOWN = Model("unknown", footprint=None)
NONE = Model("cpu", footprint=())
ODD = Model("odd", footprint=(("gpu9", 1),))
MEMORY = MemoryResidency(DEVICES, [SPLIT, SMALL, BIG, UNKNOWN, NONE, ODD])


def test_models_share_devices_as_long_as_their_footprints_fit() -> None:
    assert MEMORY.fits({"split"})
    assert not MEMORY.fits({"split", "small"})
    assert MEMORY.fits({"small", "cpu"})


def test_a_model_of_unknown_footprint_stays_alone() -> None:
    assert MEMORY.fits({"unknown"})
    assert MEMORY.fits({"unknown", "cpu"})
    assert not MEMORY.fits({"unknown", "small"})
    assert MEMORY.shortfall("unknown") == ""


def test_what_never_fits_is_said_with_the_arithmetic() -> None:
    assert MEMORY.shortfall("big") == "it needs 30.0 GiB on gpu0, where 24.0 GiB are usable"
    assert MEMORY.shortfall("odd") == "it needs 0.0 GiB on gpu9, where 0.0 GiB are usable"


def test_memory_that_others_hold_is_not_usable_until_a_reading_shows_it_free() -> None:
    seen = MEMORY.seeing("gpu1", 1 * GIB, {"small"})  # of 12: 4 ours, 1 free, 7 of somebody
    assert seen.fits({"small"})
    assert not seen.fits({"split"})
    assert seen.seeing("gpu1", 12 * GIB, set()).fits({"split"})
    assert MEMORY.seeing("gpu1", 0, {"unknown"}) is MEMORY  # whose memory that is, nobody can tell
    assert MEMORY.seeing("gpu7", 0, set()) is MEMORY


@given(st.integers(1, 6), st.data())
def test_victims_are_the_cheapest_set_that_is_enough(count: int, data: st.DataObject) -> None:
    costs = sorted(data.draw(st.lists(st.integers(0, 9), min_size=count, max_size=count)))
    sizes = data.draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))
    need = data.draw(st.integers(1, 30))
    names = [f"m{i}" for i in range(count)]

    def frees(chosen: Collection[str]) -> bool:
        return sum(sizes[int(name[1:])] for name in chosen) >= need

    def price(chosen: Collection[str]) -> int:
        return sum(costs[int(name[1:])] for name in chosen)

    best = cheapest_victims(names, [float(cost) for cost in costs], frees)
    possible = [chosen for size in range(1, count + 1) for chosen in combinations(names, size) if frees(chosen)]
    assert (best is None) == (not possible)
    if best is not None:
        assert frees(best)
        assert price(best) == min(map(price, possible))


def test_of_very_many_candidates_the_dearest_are_spared_first() -> None:
    names = [f"m{i:02}" for i in range(20)]
    costs = [float(i) for i in range(20)]
    assert cheapest_victims(names, costs, lambda gone: len(gone) >= 3) == frozenset({"m00", "m01", "m02"})
    assert cheapest_victims(names, costs, lambda gone: "m19" in gone) == frozenset({"m19"})
    assert cheapest_victims(names, costs, lambda gone: len(gone) > 20) is None


def test_a_plan_says_what_it_could_never_serve() -> None:
    fine = model("a", 10, pool="p", cost=0.5)
    assert plan(fine, pools=(Pool("p"),)).faults() == []
    wrong = {
        "its pool `p` does not exist": plan(fine),
        "one call costs 0.5 of pool `p`, whose budget is 0.25": plan(fine, pools=(Pool("p", 0.25),)),
        "it has no slots": plan(replace(fine, slots=0, pool=None)),
        "max_resident is 0": plan(replace(fine, pool=None), max_resident=0),
    }
    for reason, made in wrong.items():
        assert made.faults() == [f"`a` can never be served: {reason}"]
    both = plan(model("a", is_pinned=True), model("b", is_pinned=True))
    assert both.faults()[0] == "`a` can never be served: it does not fit beside the pinned b"
