"""Whatever the text, reading it ends in settings or in ConfigError."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.config.commands import argv
from penstock.config.faults import ConfigError, Findings
from penstock.config.load import FORMATS, load, loads
from penstock.config.positions import parse
from penstock.config.reference import EXAMPLE
from penstock.config.schema import ModelSettings, Settings
from penstock.config.sections import LimitsSettings

ENVIRON = {"A": "x: {", "B": "1", "FAR_KEY": "k"}

words = st.sampled_from([
    "", "x", "x ${PORT}", "${PORT}", "${PID}", "${m}", "${env.A}", "${env.B}", "${env.NOPE}", "*", "'", "#",
    "unlimited", "http://h", "http://h:${PORT}", "memory", "groups", "matrix", "none", "/", "8GiB", "10m", "-1",
    "a & (b | +a)", "+b", "\ud83d", "\ue000A\ue001",
])  # fmt: skip
keys = st.one_of(
    st.sampled_from([
        *Settings.model_fields, *ModelSettings.model_fields, *LimitsSettings.model_fields,
        "members", "vars", "evict_costs", "sets", "path", "a", "b", "m", "apiKeys", "routing", "router", "settings",
        "use", "hooks", "on_startup", "model_list", "model_name",
        "litellm_params", "model_info", "overlaat", "overlaat_slot", "api", "system", "params", "model_path", "n_ctx",
        "preload_models", "cpu_threads", "parallel_requests", "max_parallel_requests", "router_settings",
        "model_group_alias", "healthCheckTimeout", "logLevel", "concurrencyLimit", "x-y", "${env.A}", "",
    ]),
    st.text(max_size=3),
)  # fmt: skip
scalars = st.one_of(
    words,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
)
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=5)),
    max_leaves=25,
)


def ends_well(text: str, kind: str | None) -> bool:
    """It is read, or every fault says something."""
    try:
        loads(text, name="c.yaml", environ=ENVIRON, upstream="http://h", format=kind)
    except ConfigError as error:
        told = [str(fault) for fault in error.faults]
    else:
        told = ["fine"]
    return bool(told) and all(told)


@given(trees, st.sampled_from(FORMATS))
def test_any_tree_is_read_or_refused(tree: object, kind: str) -> None:
    assert ends_well(json.dumps(tree), kind)


@given(
    st.dictionaries(st.sampled_from([*Settings.model_fields]), trees),
    st.dictionaries(
        st.sampled_from(["m", "a"]), st.dictionaries(st.sampled_from([*ModelSettings.model_fields]), trees)
    ),
)
def test_any_value_of_any_known_key_is_read_or_refused(tree: dict[str, object], models: dict[str, object]) -> None:
    assert ends_well(json.dumps({**tree, "penstock": 1, "models": models}), None)


@given(st.text(max_size=200), st.sampled_from([None, *FORMATS]))
@example("%YAML 1.1\n---\na: 1:30", None)
@example("a: !!int x\nb: !!float y\nc: !!bool z\nd: !!binary '#'", None)
@example("? [a]\n: b\n<<: 3\n", None)
@example("!!set {a, b}", None)
@example("- a\n- b", None)
@example("just text", None)
@example("a: 1__\nb: 0x\nc: 0o9\nd: " + "9" * 5000, None)
def test_any_text_is_read_or_refused(text: str, kind: str | None) -> None:
    assert ends_well(text, kind)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = Path(tmp_path_factory.getbasetemp()) / "any.yaml"
    file.write_bytes(content)
    try:
        load(file, environ=ENVIRON)
    except ConfigError as error:
        told = [str(fault) for fault in error.faults]
    else:
        told = ["fine"]
    assert told


@settings(max_examples=200)
@given(st.data())
def test_a_good_file_with_one_edit_is_read_or_refused(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(EXAMPLE)))
    length = data.draw(st.integers(0, 5))
    edit = data.draw(st.text(st.sampled_from("{}[]:#,&*!|>'\"%@`-? \n\tx$"), max_size=3))
    assert ends_well(EXAMPLE[:at] + edit + EXAMPLE[at + length :], None)


@given(trees)
def test_a_tree_is_read_as_it_was_written(tree: object) -> None:
    findings = Findings("c.yaml")
    node = parse(json.dumps({"root": tree}), findings)
    if not findings.faults:
        assert repr(node.plain()) == repr({"root": _normal(tree)})


def _normal(tree: object) -> object:
    if isinstance(tree, dict):
        return {str(key): _normal(each) for key, each in tree.items()}
    return [_normal(each) for each in tree] if isinstance(tree, list) else tree


@given(st.text(max_size=100))
def test_any_command_is_split_or_refused(text: str) -> None:
    try:
        assert all(isinstance(word, str) for word in argv(text))
    except ValueError:
        pass
