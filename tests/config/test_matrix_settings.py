"""The matrix in a file: the native form, llama-swap's two places for it, and what is wrong with either."""

from __future__ import annotations

from textwrap import indent

import pytest

from penstock.config.plan import plan
from penstock.config.values import Residency
from penstock.core.fitting.residency import Residency as ResidencyPolicy
from tests.config.worlds import faults, messages, native, read

MODELS = "models: {big: {cmd: 'x ${PORT}'}, 'org/small:7b': {cmd: 'x ${PORT}'}, embed: {cmd: 'x ${PORT}'}}\n"
MATRIX = """\
matrix:
  vars: {s: "org/small:7b"}
  evict_costs: {s: 5, embed: 2}
  sets:
    chat: (big | s) & embed
    alone: big
"""


def policy(text: str) -> ResidencyPolicy:
    return plan(native(text), host_memory_bytes=0).residency


def test_sets_decide_which_models_stay_together() -> None:
    made = plan(native(f"residency: matrix\n{MODELS}{MATRIX}"), host_memory_bytes=0)
    assert made.residency.fits({"org/small:7b", "embed"})
    assert not made.residency.fits({"org/small:7b", "big"})
    assert {model.name: model.evict_cost for model in made.models} == {"big": 1, "org/small:7b": 5, "embed": 2}
    assert made.residency.evict_for("big", {"org/small:7b", "embed"}, ()) == frozenset({"org/small:7b"})
    assert made.faults() == []


def test_what_models_take_matters_only_beside_declared_devices() -> None:
    models = "models: {a: {gguf: x, memory: 6GiB}, b: {gguf: x, memory: 6GiB}, c: {gguf: x}}\n"
    sets = "residency: matrix\nmatrix: {sets: {s: a & b & c}}\n"
    assert policy(models + sets).fits("abc")
    roomy = policy(f"{models}{sets}devices: {{gpu0: {{memory: 8GiB}}}}")
    assert not roomy.fits("ab")
    assert roomy.fits("ac")


def test_a_matrix_needs_sets_and_decides_only_when_it_is_asked() -> None:
    assert messages("residency: matrix") == ["c.yaml:1:1: found no sets, expected at least one under `matrix.sets`"]
    loaded = read(f"penstock: 1\n{MODELS}{MATRIX}")
    assert [str(warning) for warning in loaded.warnings] == [
        "c.yaml:4:3: matrix: found a matrix that decides nothing, expected `residency: matrix`, or no matrix at all"
    ]
    grouped = read(f"penstock: 1\nresidency: matrix\ngroups: {{g: {{members: [big]}}}}\n{MODELS}{MATRIX}")
    assert [warning.found for warning in grouped.warnings] == ["groups that decide nothing"]


WRONG = """\
penstock: 1
residency: matrix
models: {big: {gguf: x}, small: {gguf: x, aliases: [tiny]}}
matrix:
  vars: {a_b: big, v: tiny}
  evict_costs: {bg: 2, v: 3}
  sets:
    one: big & smal
    two: (big | small
    three: big & +four
    four: v | +three
    five: big ; small
    six: +on
    seven: ""
    eight: +two & big
"""


def test_everything_wrong_with_a_matrix_is_told_at_once_with_its_place() -> None:
    told = {str(fault.key).removeprefix("matrix."): (fault.place, fault.found) for fault in faults(WRONG)}
    assert told == {
        "vars.a_b": ("c.yaml:5:15", "the name `a_b`"),
        "vars.v": ("c.yaml:5:23", "the unknown model `tiny`"),
        "evict_costs.bg": ("c.yaml:6:21", "the unknown model `bg`"),
        "sets.one": ("c.yaml:8:10", "the unknown model `smal` at character 7"),
        "sets.two": ("c.yaml:9:10", "the end at character 13"),
        "sets.four": ("c.yaml:11:11", "a set that uses itself: three > four > three at character 5"),
        "sets.five": ("c.yaml:12:11", "the character `;` at character 5"),
        "sets.six": ("c.yaml:13:10", "the unknown set `on` at character 1"),
        "sets.seven": ("c.yaml:14:12", "an empty set at character 1"),
    }
    suggestions = {fault.key: fault.suggestion for fault in faults(WRONG) if fault.suggestion}
    assert suggestions == {
        "matrix.evict_costs.bg": "did you mean `big`?",
        "matrix.sets.one": "did you mean `small`?",
        "matrix.sets.six": "did you mean `one`?",
    }


@pytest.mark.parametrize("cost", ["0", "-1", "1.5", "much"])
def test_a_cost_is_a_whole_number_of_at_least_one(cost: str) -> None:
    told = messages(f"residency: matrix\n{MODELS}matrix: {{evict_costs: {{big: {cost}}}, sets: {{s: big & nobody}}}}")
    assert len(told) == 1  # what stands beside it may only be a consequence, and is told next time
    assert "matrix.evict_costs.big" in told[0]
    assert told[0].endswith("expected a whole number of at least 1")


def test_a_model_that_never_fits_beside_a_pinned_one_is_a_fault() -> None:
    told = messages("""\
        residency: matrix
        models: {a: {gguf: x, pin: true}, b: {gguf: x}}
        matrix: {sets: {s: a, t: b}}
    """)
    assert told == [
        (
            "c.yaml:3:38: models.b: found that it can never be loaded: it does not fit beside the pinned a, "
            "expected a model for which there is room"
        )
    ]


def test_both_places_of_llama_swaps_matrix_are_known() -> None:
    router = "routing:\n  router:\n    use: matrix\n    settings:\n      groups: {g: {members: [embed]}}\n"
    for text in (MODELS + MATRIX, MODELS + router + indent(MATRIX, " " * 6)):
        loaded = read(text)
        assert (loaded.format, loaded.settings.residency, loaded.warnings) == ("llama-swap", Residency.MATRIX, ())
        made = plan(loaded.settings, host_memory_bytes=0)
        assert made.residency.fits({"big", "embed"})
        assert not made.residency.fits({"big", "org/small:7b"})
        assert {model.name: model.evict_cost for model in made.models}["org/small:7b"] == 5


def test_an_empty_part_of_llama_swaps_matrix_says_nothing() -> None:
    assert read(f"{MODELS}matrix: {{vars: , evict_costs: null, sets: {{s: big}}}}").settings.matrix.sets == {"s": "big"}
    assert read(f"{MODELS}matrix:\n").settings.residency is Residency.GROUPS


@pytest.mark.parametrize(
    ("text", "key", "found"),
    [
        ("routing: {router: {use: matrix}}", "routing.router.use", "no sets"),
        ("routing: {router: {use: matrix, settings: {matrix: {}}}}", "routing.router.settings.matrix", "no sets"),
        ("routing: {router: {use: random}}", "routing.router.use", "`random`"),
        ("matrix: {sets: {s: big}}\nrouting: {router: {}}", "matrix", "`matrix` beside `routing.router`"),
        ("matrix: {sets: {s: big}}\ngroups: {g: {members: [big]}}", "matrix", "a matrix beside `groups`"),
        ("matrix: 5", "matrix", "5"),
        ("matrix: {sets: {s: big & nobody}}", "matrix.sets.s", "the unknown model `nobody` at character 7"),
    ],
)  # fmt: skip
def test_what_llama_swap_refuses_in_a_matrix_is_refused(text: str, key: str, found: str) -> None:
    assert [(fault.key, fault.found) for fault in faults(MODELS + text)] == [(key, found)]


def test_a_matrix_that_llama_swap_would_not_use_is_named() -> None:
    loaded = read(f"{MODELS}routing: {{router: {{settings: {{matrix: {{sets: {{s: big}}, set: 1}}}}}}}}")
    assert loaded.settings.residency is Residency.GROUPS
    assert [warning.found for warning in loaded.warnings] == ["a matrix that decides nothing"]
    unknown = read(f"{MODELS}matrix: {{sets: {{s: big}}, set: 1}}")
    assert [warning.suggestion for warning in unknown.warnings] == ["did you mean `sets`?"]
