"""The figures of a run, its curves, and how they are told."""

from __future__ import annotations

import json
import math
from xml.etree import ElementTree

import pytest

from penstock.core.model import Priority
from penstock.simulate.chart import page
from penstock.simulate.comparison import compare
from penstock.simulate.curves import MOST_POINTS, curves
from penstock.simulate.figures import figures, jain, percentile, times
from penstock.simulate.replay import POLICIES, replay
from penstock.simulate.report import as_json, as_text, seconds
from tests.simulate.worlds import call, shared, world, world_from


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert [percentile([1.0, 2.0, 3.0, 4.0], part) for part in (0.0, 0.5, 0.51, 0.99)] == [1.0, 2.0, 3.0, 4.0]
    assert math.isnan(percentile([], 0.5))


def test_jain_is_one_if_all_are_alike_and_one_half_if_one_of_two_has_all() -> None:
    assert (jain([3.0, 3.0]), jain([3.0, 0.0]), jain([0.0, 0.0])) == (1.0, 0.5, 1.0)


def test_times_and_loads_are_those_of_the_run() -> None:
    numbers = figures(replay(world(call(1, 0.0, "a"), call(2, 20.0, "b", 7.0)), "fifo", 1), 0)
    assert (numbers.overall.mean_s, numbers.overall.longest_wait_s) == (16.0, 10.0)  # 15 and 17
    assert (numbers.loads.count, numbers.loads.seconds, numbers.span_s) == (2, 20.0, 37.0)
    assert (numbers.by_model["b"].mean_s, numbers.loads_by_model["c"].count) == (17.0, 0)


def test_a_class_counts_by_its_weight() -> None:
    calls = [call(1, 0.0, "a", priority=Priority.HIGH), call(2, 0.0, "a", priority=Priority.LOW)]
    numbers = figures(replay(world(*calls), "fifo", 1), 0)
    assert numbers.weighted_s == pytest.approx((16 * 15 + 20) / 17)
    assert list(numbers.by_class) == ["high", "low"]


def test_two_backlogged_keys_of_a_class_are_served_alike() -> None:
    flood = [call(number, 0.0, "a", 12.0, key="long") for number in range(1, 60)]
    flood += [call(number, 0.0, "a", 3.0, key="short") for number in range(100, 340)]
    fair = {policy: figures(replay(shared(*flood, slots=1), policy, 1), 0).fairness for policy in ("penstock", "fifo")}
    assert fair["penstock"] is not None
    assert fair["fifo"] is not None
    assert fair["penstock"] > 0.99 > 0.6 > fair["fifo"]


def test_without_a_backlog_nobody_can_be_treated_unfairly() -> None:
    assert figures(replay(world(call(1, 0.0, "a")), "penstock", 1), 0).fairness is None


def test_who_is_never_served_is_counted_apart() -> None:
    numbers = figures(replay(world(call(1, 0, "a"), call(2, 0, "a"), max_queue=1, slots=1), "penstock", 1), 0)
    assert (numbers.unserved, numbers.overall.calls) == (1, 1)
    assert math.isnan(times([]).mean_s)


def test_the_curves_add_up_to_the_time_that_calls_were_there() -> None:
    run = replay(world(call(1, 0.0, "a"), call(2, 1.0, "a"), call(3, 20.0, "b")), "fifo", 1)
    drawn = curves(run, 35.0)
    assert len(drawn.offered) == MOST_POINTS
    assert sum(drawn.offered) * drawn.step_s == pytest.approx(15 + 19 + 15)
    assert sum(drawn.active) * drawn.step_s == pytest.approx(15)
    assert sum(drawn.queued) * drawn.step_s == pytest.approx(34)
    assert [(stay.model, stay.start_s, stay.ready_s, stay.end_s) for stay in drawn.stays] == [
        ("a", 0.0, 10.0, 20.0), ("b", 20.0, 30.0, 35.0),
    ]  # fmt: skip


def test_a_load_that_was_given_up_is_drawn_too() -> None:
    run = replay(world(call(1, 0.0, "a")), "penstock", 1)
    run.box.history[:] = [(1.0, "a", phase) for phase in run.box.history[0][2:3]]
    assert [(stay.start_s, stay.ready_s) for stay in curves(run, 5.0).stays] == [(1.0, 5.0)]


def test_the_text_has_every_policy_class_key_and_model() -> None:
    (comparison,) = compare([world_from()], ("penstock", "fifo"), (1, 2))
    text = as_text(comparison)
    assert "small (seeds 1, 2)" in text
    assert [text.count(word) for word in ("penstock", "normal", "default")] == [1 + 1 + 1 + 2, 2, 2]


def test_the_json_knows_no_nan() -> None:
    (told,) = as_json(compare([world(call(1, 0, "a", 1.0), call(2, 0, "a"), max_queue=1)], ("penstock",), (1,)))
    policies = json.loads(json.dumps(told, allow_nan=False))["policies"]
    assert policies["penstock"]["overall"]["mean_s"] == 11.0


def test_a_world_without_chance_is_run_once() -> None:
    from dataclasses import replace

    (comparison,) = compare([replace(world(call(1, 0, "a")), is_random=False)], ("fifo",), (1, 2, 3))
    assert comparison.results[0].seeds == (0,)


def test_other_processes_give_the_same_figures() -> None:
    (alone,) = compare([world_from()], ("fifo",), (1,))
    (among_others,) = compare([world_from()], tuple(POLICIES), (1,))
    assert among_others.results[1].figures == alone.results[0].figures


def test_the_page_is_well_formed_and_needs_nothing_else() -> None:
    (comparison,) = compare([world_from(about="<b> & co")], tuple(POLICIES), (1,))
    text = page([comparison])
    assert text.startswith("<!DOCTYPE html>\n")
    tree = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    assert len(list(tree.iter("svg"))) == len(POLICIES)
    assert not [node.tag for node in tree.iter() if node.tag in ("script", "link", "img") or "src" in node.attrib]
    assert "://" not in text
    assert "url(" not in text


def test_spans_are_told_with_three_digits() -> None:
    assert [seconds(value) for value in (0.12345, 12.34, 99.96, 12345.6, math.nan, None)] == [
        "0.123", "12.3", "100", "12 346", "-", "-",
    ]  # fmt: skip
