"""Scenario files: what they say comes true, and what they say wrongly is told with its place."""

from __future__ import annotations

import json
import math

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.config.faults import ConfigError
from penstock.core.model import Priority
from penstock.simulate.scenario import SHIPPED, find, json_schema, read, shipped_names, world_of
from penstock.simulate.world import Call
from tests.simulate.worlds import SMALL, scenario, world_from

NINE = ("abc", "agents", "burst", "costly", "diurnal", "drip", "fair", "giant", "zipf")


def calls(*arrivals: object, seed: int = 1) -> list[Call]:
    return list(world_from(arrivals=list(arrivals)).traffic(seed))


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        world_of(read(text.encode(), "FILE"), "x", "FILE")
    return str(caught.value)


def test_the_nine_scenarios_come_with_penstock() -> None:
    assert shipped_names() == NINE


def test_a_shipped_scenario_is_found_by_its_name_and_a_file_by_its_path() -> None:
    assert find("abc").name == find(str(SHIPPED / "abc.json")).name == "abc"


def test_the_shipped_scenarios_have_the_calls_they_always_had() -> None:
    def told(name: str) -> tuple[int, float]:
        made = list(find(name).traffic(1))
        return len(made), round(sum(one.work_s for one in made), 2)

    assert {name: told(name) for name in NINE} == {
        "abc": (300, 596.19),
        "agents": (6, 14.51),
        "burst": (5243, 5947.54),
        "costly": (3299, 16551.66),
        "diurnal": (2164, 5062.47),
        "drip": (1221, 8458.17),
        "fair": (3278, 17096.99),
        "giant": (5206, 8603.66),
        "zipf": (749, 2539.49),
    }


def test_the_published_schema_is_what_the_code_makes() -> None:
    assert json.loads((SHIPPED.parent / "scenario.schema.json").read_text()) == json_schema()


@pytest.mark.parametrize("name", NINE)
def test_the_shipped_scenarios_keep_to_the_schema(name: str) -> None:
    shipped = json.loads((SHIPPED / f"{name}.json").read_text())
    assert not list(jsonschema.Draft202012Validator(json_schema()).iter_errors(shipped))


def test_a_listed_call_comes_as_it_is_written() -> None:
    (one,) = calls({"at_s": 3, "model": "a", "key": "ann", "priority": "low", "work_s": 7})
    assert (one.arrived_s, one.model, one.key, one.priority, one.work_s) == (3, "a", "ann", Priority.LOW, 7)


def test_work_in_tokens_takes_as_long_as_the_model_is_slow() -> None:
    models = {"a": {"prefill_tokens_per_s": 100, "decode_tokens_per_s": 10}}
    arrivals = [{"at_s": 0, "model": "a", "prompt_tokens": 200, "output_tokens": 30}]
    (one,) = world_from(models=models, arrivals=arrivals).traffic(1)
    assert (one.work_s, one.prompt_tokens) == (5.0, 200)


def test_a_key_gets_no_better_class_than_its_ceiling() -> None:
    arrivals = [{"at_s": 0, "model": "a", "key": "batch", "priority": "high", "work_s": 1}]
    (one,) = world_from(keys={"batch": {"ceiling": "low"}}, arrivals=arrivals).traffic(1)
    assert one.priority is Priority.LOW


def test_a_cycle_goes_round() -> None:
    steady = {"generator": "steady", "every_s": 2, "count": 5, "model": {"cycle": ["a", "b"]}, "work_s": 1}
    assert [(one.arrived_s, one.model) for one in calls(steady)] == [(0, "a"), (2, "b"), (4, "a"), (6, "b"), (8, "a")]


def test_people_who_do_not_know_each_other_come_at_their_rate() -> None:
    poisson = {"generator": "poisson", "rate_per_s": 2, "to_s": 1000, "model": "a", "work_s": {"uniform": [1, 3]}}
    made = calls(poisson)
    assert 1850 < len(made) < 2150
    assert sum(one.work_s for one in made) / len(made) == pytest.approx(2.0, abs=0.1)


def test_a_tide_is_low_at_first_and_high_in_the_middle() -> None:
    tide = {"period_s": 1000, "least_per_s": 0.1}
    made = calls({"generator": "poisson", "rate_per_s": 2, "to_s": 1000, "tide": tide, "model": "a", "work_s": 1})
    middle = sum(250 < one.arrived_s < 750 for one in made)
    assert middle > 3 * (len(made) - middle)


def test_a_batch_of_one_model_draws_it_once() -> None:
    batch = {"at_s": 1, "count": 30, "same_model": True, "model": {"one_of": ["a", "b"]}, "work_s": 1}
    assert {len({one.model for one in calls(batch, seed=seed)}) for seed in range(5)} == {1}


def test_a_session_asks_again_when_it_has_its_answer() -> None:
    loop = {"generator": "closed_loop", "sessions": 1, "model": {"cycle": ["a", "b"]}, "think_s": 4, "until_s": 100}
    (first,) = calls({**loop, "work_s": 1})
    assert first.then is not None
    second = first.then(50.0)
    assert second is not None
    assert (second.arrived_s, second.model) == (54.0, "b")
    assert second.then is not None
    assert second.then(100.5) is None


def test_lengths_have_the_mean_that_is_written() -> None:
    lengths = {"lognormal": {"mean": 400, "sigma": 0.8}}
    made = calls({"at_s": 0, "count": 4000, "model": "a", "prompt_tokens": lengths})
    assert sum(one.prompt_tokens for one in made) / len(made) == pytest.approx(400, rel=0.06)


def test_one_seed_gives_one_traffic() -> None:
    def told(seed: int) -> list[tuple[float, float]]:
        return [(one.arrived_s, one.work_s) for one in find("zipf").traffic(seed)]

    assert told(1) == told(1) != told(2)


def test_the_scheduler_allows_as_many_loads_at_once_as_the_machine_unless_it_is_told_otherwise() -> None:
    assert world_from(machine={"loads_at_once": 3}).plan.policy.parallel_loads == 3
    assert world_from(policy={"parallel_loads": 2}).plan.policy.parallel_loads == 2


def changed(**members: object) -> str:
    return json.dumps(SMALL | members, indent=1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "FILE:1:2: found broken JSON (expecting property name enclosed in double quotes), expected valid JSON"),
        ('{"a": 1, "a": 2}', 'FILE: found broken JSON (the key "a" a second time), expected valid JSON'),
        ("[NaN]", "FILE: found broken JSON (NaN is no number in JSON), expected valid JSON"),
        ("[" * 100_000, "FILE: found broken JSON"),
        (changed(penstock_scenario=2), "FILE:2:23: penstock_scenario: found 2, expected 1"),
        (changed(device={}), "device: found an unknown key, expected a key of this form"),
        (changed(models={"a": {"slots": 0}}), "models.a.slots: found 0, expected greater than or equal to 1"),
        (changed(models={"a": {"memory": "much"}}), 'models.a.memory: found "much", expected a size'),
        (changed(models={"a": {"memory": {"tpu": 1}}}), "models.a.memory.tpu: found the unknown device `tpu`"),
        (changed(models={"a": {"memory": "80GB"}, "b": {}}), "`a` can never be served: it needs 74.5 GiB on gpu"),
        (changed(arrivals=[]), "FILE:16:14: arrivals: found nothing in it, expected at least one"),
        (changed(arrivals=[{"model": "a", "work_s": 1}]), "FILE:17:3: arrivals[0]: found nothing, expected `at_s`"),
        (changed(arrivals=[{"at_s": 0, "model": "z", "work_s": 1}]), "found the unknown model `z`, expected `a` or"),
        (changed(arrivals=[{"at_s": 0, "model": "a"}]), "expected `work_s`, or `prompt_tokens` and `output_tokens`"),
        (changed(arrivals=[{"generator": "magic"}]), "expected a generator: `at`, `steady`, `poisson`, `closed_loop`"),
        (
            changed(arrivals=[{"at_s": 0, "model": "a", "work_s": {"uniform": [3, 1]}}]),
            'arrivals[0].work_s: found a mapping, expected a number, {"uniform": [low, high]}',
        ),
        (
            changed(arrivals=[{"at_s": 0, "model": "a", "work_s": 1, "priority": {"one_of": ["high", "soon"]}}]),
            "expected `high`, `normal` or `low` as a priority, not `soon`",
        ),
        (
            changed(arrivals=[{"generator": "poisson", "rate_per_s": 900, "to_s": 5000, "model": "a", "work_s": 1}]),
            "found 4500000 calls up to here, expected at most 1000000",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(text: str, told: str) -> None:
    assert told in refusal(text)


def test_a_file_that_is_not_there_is_told_with_the_names_that_are() -> None:
    with pytest.raises(ConfigError, match=r"no-such\.json: found nothing to read .* or one of `abc`, `agents`"):
        find("no-such.json")


numbers = st.one_of(st.integers(-2, 5), st.floats(-1, 5), st.just(math.inf), st.text(max_size=3), st.none())
draws = st.one_of(
    numbers,
    st.fixed_dictionaries({"uniform": st.lists(numbers, max_size=3)}),
    st.fixed_dictionaries({"lognormal": st.fixed_dictionaries({"mean": numbers, "sigma": numbers})}),
    st.fixed_dictionaries({"by_model": st.dictionaries(st.sampled_from("ab"), numbers), "others": numbers}),
)
names = st.one_of(
    st.sampled_from(["a", "b", "low", ""]),
    st.fixed_dictionaries(
        {"one_of": st.lists(st.sampled_from("ab"), max_size=2)}, optional={"weights": st.lists(numbers, max_size=2)}
    ),
    st.fixed_dictionaries({"cycle": st.lists(st.sampled_from("ab"), max_size=2)}),
)
sources = st.fixed_dictionaries(
    {"model": names},
    optional={
        "generator": st.sampled_from(["at", "steady", "poisson", "closed_loop", "magic"]),
        "work_s": draws, "prompt_tokens": draws, "key": names, "priority": names, "at_s": draws, "count": numbers,
        "every_s": numbers, "late_s": draws, "rate_per_s": numbers, "to_s": numbers, "sessions": numbers,
        "until_s": numbers, "think_s": draws, "same_model": st.one_of(st.booleans(), numbers),
    },
)  # fmt: skip
junk = st.recursive(numbers, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner))
documents = st.fixed_dictionaries(
    {"arrivals": st.one_of(junk, st.lists(sources, max_size=2))},
    optional={"models": junk, "devices": junk, "budget": numbers, "machine": junk, "policy": junk, "extra": junk},
)


@settings(max_examples=150, deadline=None)
@given(documents)
def test_every_text_is_read_or_refused_and_whatever_is_read_keeps_to_the_schema(document: dict[str, object]) -> None:
    content = SMALL | document
    try:
        made = read(json.dumps(content).encode(), "FILE")
    except ConfigError:
        return
    jsonschema.validate(content, json_schema())
    assert all(one.arrived_s >= 0 and one.work_s >= 0 for one in world_of(made, "x").traffic(1))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60))
def test_rubbish_is_refused(text: bytes) -> None:
    with pytest.raises(ConfigError):
        read(text, "FILE")


def test_what_is_not_written_is_as_the_schema_says() -> None:
    assert scenario().model_dump()["models"]["a"]["slots"] == 1
