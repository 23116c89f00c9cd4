"""docs/scheduling.md tells the truth: its picture, its scenario and its code."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from penstock.core.scheduling.plan import Policy
from penstock.simulate.replay import replay
from penstock.simulate.scenario import read, world_of
from tests.simulate.worlds import in_order, world_from

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGE = (DOCS / "scheduling.md").read_text()


def block(language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    return str(text)


def test_the_page_s_own_policy_passes_its_own_test() -> None:
    namespace: dict[str, Callable[[], None]] = {}
    exec(compile(block("python"), "docs/scheduling.md", "exec"), namespace)
    (test,) = (thing for name, thing in namespace.items() if name.startswith("test_"))
    test()
    assert "assert " in block("python"), "it would pass whatever the policy does"


def test_the_page_s_scenario_can_be_run() -> None:
    given = world_of(read(block("json").encode(), "docs/scheduling.md"), "mine")
    assert all(one.ended_s < 10_000 for one in replay(given, "penstock", 1).calls)


def test_the_picture_shows_what_happens() -> None:
    model = {"memory": "20GB", "load_s": 10, "slots": 1}
    steady = {"generator": "steady", "every_s": 8, "count": 9, "model": "A", "work_s": 7}
    high = {"at_s": 25, "model": "B", "key": "bob", "priority": "high", "work_s": 6}
    given = world_from(devices={"gpu": "24GB"}, models={"A": model, "B": model}, arrivals=[steady, high])
    run = replay(given, "penstock", 1)
    assert [(at_s, name) for at_s, name, phase in run.box.history if phase.value == "starting"] == [
        (0.0, "A"), (31.0, "B"), (47.0, "A"),
    ]  # fmt: skip
    assert [(one.started_s, one.ended_s) for one in in_order(run) if one.model == "B"] == [(41.0, 47.0)]
    assert [one.started_s for one in in_order(run) if one.model == "A"][:4] == [10.0, 17.0, 24.0, 57.0]
    ElementTree.parse(DOCS / "scheduling.svg")


def test_the_numbers_of_the_page_are_those_of_the_policy() -> None:
    rows = re.findall(r"^\| `\w+` \| (\d+) s \| (\d+) \|", PAGE, flags=re.MULTILINE)
    assert [tuple(map(float, row)) for row in rows] == list(zip(Policy().patience_s, Policy().weight, strict=True))
    assert (Policy().hold, Policy().hold_high, Policy().hold_stretch, Policy().grace_s) == (4.0, 1.0, 3.0, 5.0)


def test_a_scenario_of_the_page_says_all_that_it_must() -> None:
    assert {"penstock_scenario", "devices", "models", "arrivals"} <= json.loads(block("json")).keys()
