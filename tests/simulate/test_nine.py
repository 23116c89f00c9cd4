"""What the scheduler promises on the nine scenarios, measured."""

from __future__ import annotations

import json
from itertools import chain

import pytest

from penstock.core.model import Priority
from penstock.simulate.comparison import Comparison, compare
from penstock.simulate.figures import Times, times
from penstock.simulate.replay import POLICIES, replay
from penstock.simulate.scenario import SHIPPED, find, read, shipped_names, world_of

SEEDS = range(1, 6)


def ratios(comparison: Comparison) -> tuple[float, float]:
    """Penstock's mean and weighted total, each as a multiple of the best other policy's."""
    ours, *others = (result.figures for result in comparison.results)
    best_mean_s = min(each.overall.mean_s for each in others)
    return ours.overall.mean_s / best_mean_s, ours.weighted_s / min(each.weighted_s for each in others)


def high_calls(*, with_batch: bool) -> Times:
    """Of the scenario in which a batch of 5 000 meets people."""
    content = json.loads((SHIPPED / "burst.json").read_text())
    content["arrivals"] = content["arrivals"] if with_batch else content["arrivals"][:-1]
    given = world_of(read(json.dumps(content).encode(), "burst"), "burst")
    runs = chain.from_iterable(replay(given, "penstock", seed).calls for seed in SEEDS)
    return times([call for call in runs if call.priority is Priority.HIGH])


@pytest.mark.parametrize("name", ["abc", "agents", "costly"])
def test_on_a_small_scenario_nobody_is_much_better(name: str) -> None:
    (comparison,) = compare([find(name)], tuple(POLICIES), [1])
    assert max(ratios(comparison)) <= 1.03
    ours = comparison.results[0].figures
    assert (ours.unserved, ours.bound_exceeded) == (0, 0)


def test_two_floods_of_one_class_get_the_same_time() -> None:
    (comparison,) = compare([find("fair")], ("penstock",), [1])
    fairness = comparison.results[0].figures.fairness
    assert fairness is not None
    assert fairness >= 0.99


@pytest.mark.long
@pytest.mark.parametrize("name", shipped_names())
def test_on_every_scenario_it_is_within_two_hundredths_of_the_best_other(name: str) -> None:
    (comparison,) = compare([find(name)], tuple(POLICIES), SEEDS)
    assert max(ratios(comparison)) <= 1.02
    ours = comparison.results[0].figures
    assert (ours.unserved, ours.bound_exceeded) == (0, 0)


@pytest.mark.long
def test_people_wait_little_beside_a_batch_of_five_thousand() -> None:
    beside, alone = high_calls(with_batch=True), high_calls(with_batch=False)
    assert beside.wait_p50_s < 0.1
    assert beside.wait_p99_s < 20.0
    assert beside.p99_s <= 1.25 * alone.p99_s  # the engines' own slow-down alone makes it 1.1
