"""Macros: declared order, types, scope, and the two that stay until a launch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.config.worlds import messages, model, native


def cmd_of(macros: str, cmd: str, own: str = "{}") -> str | None:
    text = f"macros: {macros}\nmodels: {{m: {{macros: {own}, cmd: '{cmd}', proxy: 'http://h:1'}}}}"
    return native(text).models["m"].cmd


def test_a_macro_may_use_those_declared_before_it() -> None:
    assert cmd_of('{a: x, b: "${a}y", c: "${b}${a}"}', "run ${c}") == "run xyx"


def test_a_macro_may_not_use_those_declared_after_it() -> None:
    assert messages('macros: {a: "${b}", b: x}\nmodels: {m: {cmd: "run ${a}", proxy: "http://h:1"}}') == [
        (
            "c.yaml:3:19: models.m.cmd: found `${b}` by way of `${a}`, which is declared above it, "
            "expected macros that use only those declared before them; move `b` above `a`"
        )
    ]


def test_a_broken_macro_that_nobody_uses_does_no_harm() -> None:
    assert cmd_of('{a: "${nope}", b: x}', "run ${b}") == "run x"


def test_a_models_macro_takes_the_place_of_the_files() -> None:
    assert cmd_of('{a: file, b: "<${a}>"}', "run ${b}", "{a: model}") == "run <model>"


def test_a_models_macro_is_unknown_to_its_neighbours() -> None:
    text = 'models: {m: {macros: {a: x}, upstream: "http://${a}"}, n: {upstream: "http://${a}"}}'
    assert [line.split(" found ")[0] for line in messages(text)] == ["c.yaml:2:70: models.n.upstream:"]


def test_the_models_name_is_a_macro_in_models_only() -> None:
    assert cmd_of('{a: "--alias ${MODEL_ID}"}', "run ${a}") == "run --alias m"
    assert messages("state_dir: /x/${MODEL_ID}") == [
        (
            "c.yaml:2:12: state_dir: found the unknown macro `${MODEL_ID}`, "
            "expected a macro of the file or of the model; an environment variable is written `${env.MODEL_ID}`"
        )
    ]


def test_a_value_that_is_one_macro_takes_its_type() -> None:
    m = model(
        'macros: {n: 7, t: "7", yes: true}\ncmd: x ${PORT} ${yes}\nparallel: ${n}\nmetadata: {n: "${n}", t: "${t}"}'
    )
    assert (m.parallel, m.metadata, m.cmd) == (7, {"n": 7, "t": "7"}, "x ${PORT} true")


def test_the_port_and_the_process_stay_until_a_launch() -> None:
    m = model('cmd: x ${PORT}\nenv: ["P=${PORT}"]\nproxy: http://h:${PORT}/v1\ncmd_stop: kill ${PID} ${PORT}')
    assert (m.cmd, m.env, m.proxy, m.cmd_stop) == (
        "x ${PORT}",
        (("P", "${PORT}"),),
        "http://h:${PORT}/v1",
        "kill ${PID} ${PORT}",
    )


def test_the_environment_is_filled_in_inside_values() -> None:
    tricky = 'a: {b}\n# "c" ${x-y'
    assert model("upstream: http://h\napi_key: ${env.KEY}", {"KEY": tricky}).api_key == tricky
    assert model("upstream: http://h\nname: <${env.EMPTY}>", {"EMPTY": ""}).name == "<>"


def test_a_variable_that_is_not_set_is_a_fault() -> None:
    assert messages("models: {m: {upstream: http://h, api_key: '${env.KEY}'}}", {"KEYS": "x"}) == [
        (
            "c.yaml:2:43: models.m.api_key: found `${env.KEY}`, which is not set, "
            "expected the name of an environment variable; did you mean `KEYS`?"
        )
    ]


def test_macros_in_the_comments_of_a_command_are_none() -> None:
    assert model("cmd: |\n  # was: ${old} ${env.OLD}\n  x ${PORT}").cmd == "x ${PORT}"


@pytest.mark.parametrize(
    ("macros", "found"),
    [
        ("{PORT: 1}", "a reserved name"),
        ('{"a b": 1}', "the name `a b`"),
        (f"{{{'a' * 64}: 1}}", f"the name `{'a' * 64}`"),
        ("{a: [1]}", "no single value"),
        ("{a: }", "no single value"),
        ('{a: "x${a}"}', "a macro that uses itself"),
        ("[a]", "something else"),
    ],
)
def test_what_cannot_be_a_macro_is_refused(macros: str, found: str) -> None:
    assert f"found {found}, expected" in messages(f"macros: {macros}")[0]


def test_macros_cannot_be_made_to_explode() -> None:
    bomb = "a0: xxxxxxxxxx\n" + "".join(f"a{n}: {f'${{a{n - 1}}}' * 10}\n" for n in range(1, 12))
    text = "macros:\n" + "".join(f"  {line}\n" for line in bomb.splitlines()) + 'models: {m: {cmd: "x ${PORT} ${a11}"}}'
    assert ["a value that macros make too long" in line for line in messages(text)] == [True]


names = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8, unique=True)


@given(names, st.data())
def test_any_order_of_macros_expands_like_substitution_by_hand(order: list[str], data: st.DataObject) -> None:
    values: dict[str, str] = {}
    by_hand: dict[str, str] = {}
    for name in order:  # each uses some of those before it
        used = data.draw(st.lists(st.sampled_from(list(values)), max_size=3) if values else st.just([]))
        values[name] = name.upper() + "".join(f"${{{each}}}" for each in used)
        by_hand[name] = name.upper() + "".join(by_hand[each] for each in used)
    macros = "{" + ", ".join(f'{name}: "{value}"' for name, value in values.items()) + "}"
    assert cmd_of(macros, f"run ${{{order[-1]}}}") == f"run {by_hand[order[-1]]}"
