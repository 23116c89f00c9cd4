"""Sets of models that may be loaded together: what a text means, and what the scheduler is told of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, run_state_machine_as_test

from penstock.core.fitting.matrix import MAX_CHOICES, Matrix, MatrixResidency
from penstock.core.fitting.memory import MemoryResidency
from penstock.core.fitting.setdsl import AllOf, BadSet, Expression, Name, OneOf, Reference, parse
from penstock.core.model import Device, Model
from penstock.core.scheduling.actions import Start, Stop
from penstock.core.scheduling.scheduler import Scheduler
from tests.core.scheduling.test_scheduler_properties import DEVICES, MEMORY, MODELS, NAMES, QUICK, World
from tests.core.scheduling.worlds import deeds, gone, model, ready, scheduler, ticket

LETTERS = "abcdefgh"


def matrix(*, letters: str = LETTERS, **sets: str) -> Matrix:
    return Matrix(sets, {letter: letter for letter in letters})


def residency(costs: Mapping[str, int] | None = None, /, **sets: str) -> MatrixResidency:
    models = [Model(name, evict_cost=cost) for name, cost in (costs or {}).items()]
    return MatrixResidency(matrix(**sets), models)


def evicted(policy: MatrixResidency, target: str, residents: Iterable[str], staying: Iterable[str] = ()) -> str | None:
    victims = policy.evict_for(target, frozenset(residents), frozenset(staying))
    return None if victims is None else "".join(sorted(victims))


# The language.


def test_and_binds_closer_than_or_and_parentheses_closest() -> None:
    a, b, c = Name("a", 0), Name("b", 4), Name("c", 8)
    assert parse("a | b & c") == OneOf((a, AllOf((b, c))))
    assert parse("(a | b)&c") == AllOf((OneOf((Name("a", 1), Name("b", 5))), Name("c", 8)))
    assert parse("((a))") == Name("a", 2)


def test_a_name_is_made_of_letters_digits_dots_dashes_and_underscores() -> None:
    assert parse(" qwen3-8b.q4_k \n&\tß | +big-ones ") == OneOf(
        (AllOf((Name("qwen3-8b.q4_k", 1), Name("ß", 18))), Reference("big-ones", 22))
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found an empty set at character 1, expected names of models, with `&`, `|` and parentheses"),
        (" \n ", "found an empty set at character 1, expected names of models, with `&`, `|` and parentheses"),
        ("a $ b", "found the character `$` at character 3, expected names, `&`, `|`, `+` and parentheses"),
        ("a & + b", "found `+` alone at character 5, expected the name of a set directly behind it"),
        ("a b", "found `b` at character 3, expected `&`, `|` or the end"),
        ("a)", "found `)` at character 2, expected `&`, `|` or the end"),
        ("(a & b ", "found the end at character 7, expected `)` for the `(` at character 1"),
        ("(a b)", "found `b` at character 4, expected `)` for the `(` at character 1"),
        ("a &", "found the end at character 4, expected the name of a model, `+` and the name of a set, or `(`"),
        ("| a", "found `|` at character 1, expected the name of a model, `+` and the name of a set, or `(`"),
        ("()", "found `)` at character 2, expected the name of a model, `+` and the name of a set, or `(`"),
        ("(" * 60 + "a", "found `(` within 50 others at character 52, expected fewer of them"),
    ],
)
def test_what_is_no_expression_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(BadSet) as caught:
        parse(text)
    assert str(caught.value) == told


@given(st.text(alphabet="ab+&|() .-_$\n", max_size=30))
def test_whatever_the_text_it_is_read_or_refused(text: str) -> None:
    with suppress(BadSet):
        parse(text)


# What sets mean.


def test_models_of_one_set_and_any_part_of_it_stay_together() -> None:
    policy = residency(s="(a|b) & c")
    assert policy.fits("ac")
    assert policy.fits("bc")
    assert policy.fits("a")
    assert policy.fits("")
    assert not policy.fits("ab")
    assert not policy.fits("abc")
    assert policy.admits("c", {"b"})


def test_a_set_may_use_others_wherever_they_are_written() -> None:
    policy = residency(all="+llms & c", llms="a | b")
    assert policy.fits("bc")
    assert not policy.fits("ab")


def test_a_model_may_be_named_in_several_parts() -> None:
    policy = residency(pool="a|b|c|d", two="+pool & +pool")
    assert policy.fits("ad")
    assert not policy.fits("abd")


def test_alternatives_that_lead_to_the_same_question_are_asked_once_and_answered_alike() -> None:
    policy = residency(s="(b | (b | a | b)) & ((b & c) | a)")
    assert policy.fits("abc")
    assert not policy.fits("abcd")


def test_a_model_that_no_set_names_runs_alone() -> None:
    policy = residency(s="a & b")
    assert policy.fits("h")
    assert not policy.fits("ah")
    assert evicted(policy, "h", "ab") == "ab"
    assert evicted(policy, "a", "bh") == "h"
    assert evicted(policy, "h", "ab", staying="a") is None


def test_a_var_wins_over_a_model_of_the_same_name() -> None:
    found = Matrix({"s": "a & x"}, {"a": "a", "b": "b"} | {"a": "b", "x": "org/model:7b"})
    assert list(found.bits) == ["b", "org/model:7b"]


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        (
            {"s": "a & z"},
            [("s", "found the unknown model `z` at character 5, expected a name under `vars` or `models`")],
        ),
        ({"s": "a & +t"}, [("s", "found the unknown set `t` at character 5, expected a name under `sets`")]),
        (
            {"s": "a|+t", "t": "b & +s"},
            [("t", "found a set that uses itself: s > t > s at character 5, expected sets that do not")],
        ),
        ({"s": "+s"}, [("s", "found a set that uses itself: s > s at character 1, expected sets that do not")]),
        ({"s": "+t & a", "t": "(", "u": "a z"}, None),
    ],
)
def test_what_sets_cannot_mean_is_told_with_its_place(sets: dict[str, str], told: list[tuple[str, str]] | None) -> None:
    faults = [(name, str(fault)) for name, fault in matrix(**sets).faults]
    if told is None:
        assert [name for name, _ in faults] == ["t", "u"]  # every set's own fault, once
    else:
        assert faults == told


def test_sets_that_leave_too_much_open_or_lie_too_deep_are_refused() -> None:
    sets = {"s0": "a|b", **{f"s{i}": f"+s{i - 1} & +s{i - 1}" for i in range(1, 40)}}
    assert matrix(**sets).faults[0][1].found == f"{2**8} choices at once"
    assert 2**8 > MAX_CHOICES >= 2**7
    chain = {"s0": "a", **{f"s{i}": f"+s{i - 1}" for i in range(1, 100)}}
    assert matrix(**chain).faults == []
    assert matrix(**dict(reversed(chain.items()))).faults[0][1].found == "a set within 50 others"


# Who leaves.


def test_who_runs_already_needs_nobody_to_leave() -> None:
    assert evicted(residency(s="a"), "a", "ab") == ""


def test_the_set_that_costs_least_to_reach_is_chosen() -> None:
    assert evicted(residency({"b": 5}, s="a & (b|c)", t="b & c"), "a", "bc") == "c"
    assert evicted(residency({"c": 5}, s="a & (b|c)", t="b & c"), "a", "bc") == "b"
    assert evicted(residency({"d": 2}, s="a & b & c", t="a & d"), "a", "bcd") == "d"
    assert evicted(residency({"d": 3}, s="a & b & c", t="a & d"), "a", "bcd") == "bc"


def test_of_equals_the_earlier_alternative_wins_and_the_leftmost_choice_counts_most() -> None:
    assert evicted(residency(s="a & (b|c)"), "a", "bc") == "c"
    assert evicted(residency(s="a & (c|b)"), "a", "bc") == "b"
    assert evicted(residency(pool="a|b|c|d", three="+pool & +pool & +pool"), "a", "bcd") == "d"


def test_of_equals_the_earlier_set_wins_and_a_set_that_is_used_comes_before_its_users() -> None:
    assert evicted(residency(s="a & b", t="a & c"), "a", "bc") == "c"
    assert evicted(residency(t="a & c", s="a & b"), "a", "bc") == "b"
    assert evicted(residency(s="a & b", u="+t | d", t="a & c"), "a", "bc") == "c"
    assert evicted(residency(u="+t | (a & b)", s="a & b", t="a & c"), "a", "bc") == "b"


def test_nobody_who_must_stay_leaves() -> None:
    policy = residency(s="a & b", t="a & c", u="a")
    assert evicted(policy, "a", "bc", staying="c") == "b"
    assert evicted(policy, "a", "bc", staying="bc") is None


# Against every concrete set, written out.


def written_out(expression: Expression, sets: Mapping[str, str]) -> list[frozenset[str]]:
    """Every concrete set, in order."""
    match expression:
        case Name(text, _):
            return [frozenset(text)]
        case Reference(name, _):
            return written_out(parse(sets[name]), sets)
        case OneOf(parts):
            return [each for part in parts for each in written_out(part, sets)]
        case AllOf(parts):
            return [frozenset().union(*each) for each in product(*(written_out(part, sets) for part in parts))]


def used_first(sets: Mapping[str, str]) -> list[str]:
    """The names of the sets: each after those that it uses, else as written."""
    order: list[str] = []

    def place(name: str) -> None:
        for used in [each.strip("()&| ") for each in sets[name].split("+")[1:]]:
            place(used[0])
        if name not in order:
            order.append(name)

    for name in sets:
        place(name)
    return order


expressions = st.recursive(
    st.sampled_from(LETTERS[:6]),
    lambda inner: st.builds(
        lambda sign, parts: f"({sign.join(parts)})", st.sampled_from("&|"), st.lists(inner, min_size=2, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def some_sets(draw: st.DrawFn) -> dict[str, str]:
    """Up to three sets in any order; a later letter of the alphabet may use an earlier one."""
    sets: dict[str, str] = {}
    for name in "xyz"[: draw(st.integers(1, 3))]:
        others = list(sets)
        sets[name] = draw(expressions)
        if draw(st.booleans()) and others:
            sets[name] += draw(st.sampled_from("&|")) + "+" + draw(st.sampled_from(others))
    order = draw(st.permutations(list(sets)))
    return {name: sets[name] for name in order}


some_models = st.frozensets(st.sampled_from(LETTERS[:7]))


def price(names: Iterable[str], costs: Mapping[str, int]) -> int:
    return sum(costs.get(name, 1) for name in names)


@settings(max_examples=400, deadline=None)
@given(some_sets(), some_models)
def test_what_fits_is_what_some_concrete_set_holds(sets: dict[str, str], names: frozenset[str]) -> None:
    concrete = [each for text in sets.values() for each in written_out(parse(text), sets)]
    expected = len(names) < 2 or any(names <= each for each in concrete)
    assert residency(**sets).fits(names) is expected


@settings(max_examples=400, deadline=None)
@given(
    some_sets(),
    st.sampled_from(LETTERS[:7]),
    some_models,
    some_models,
    st.dictionaries(st.sampled_from(LETTERS[:7]), st.integers(1, 4)),
)
def test_who_leaves_is_what_the_first_of_the_cheapest_concrete_sets_leaves_out(
    sets: dict[str, str], target: str, residents: frozenset[str], some: frozenset[str], costs: dict[str, int]
) -> None:
    staying = residents & some
    policy = residency(costs, **sets)
    concrete = [each for name in used_first(sets) for each in written_out(parse(sets[name]), sets)]
    possible = [each for each in concrete if target in each and staying <= each]
    if target in residents:
        expected: frozenset[str] | None = frozenset()
    elif possible:
        expected = min((residents - each for each in possible), key=lambda gone: price(gone, costs))
    else:
        expected = None if staying else residents
    victims = policy.evict_for(target, residents, staying)
    assert victims == expected
    if victims is not None and target not in residents:
        assert policy.fits((residents - victims) | {target})


# Without writing the products out.


def alternatives(first: int, count: int) -> str:
    return "(" + " | ".join(f"m{i}" for i in range(first, first + count)) + ")"


HUGE = {
    "ten of a hundred, one of each ten": " & ".join(alternatives(10 * i, 10) for i in range(10)),
    "any ten of ten": " & ".join([alternatives(0, 10)] * 10),
    "any ten of a hundred": " & ".join([alternatives(0, 100)] * 10),
    "any ten of some, any four of others": " & ".join([alternatives(0, 12)] * 10 + [alternatives(50, 12)] * 4),
}


@pytest.mark.parametrize("kind", HUGE)
def test_ten_factors_of_ten_alternatives_are_answered_at_once(kind: str) -> None:
    names = {f"m{i}": f"m{i}" for i in range(100)}
    sets = Matrix({"s": HUGE[kind]}, names)
    ten = {f"m{10 * i + 9}" for i in range(10)} if "each" in kind else {f"m{i}" for i in range(10)}
    began_s = time.perf_counter()
    for _ in range(20):
        policy = MatrixResidency(sets)  # which remembers nothing yet
        assert policy.fits(ten)
        assert not policy.fits({*ten, "m13", "m12", "m11"})
        assert len(policy.evict_for("m9", ten - {"m9"}, ()) or ()) == 0
        assert len(policy.evict_for("m13", {"m0", "m1"}, ()) or ()) <= 2
    assert time.perf_counter() - began_s < 4.0  # measured: 0.02 s; written out these are up to 10 ** 20 sets


# With memory, and in the scheduler.


GPU = Device("gpu", 100)


def test_where_devices_are_declared_both_must_allow_it() -> None:
    models = [model("a", 60), model("b", 60), model("c", 10), replace(model("d"), footprint=None), model("e", 101)]
    sets = matrix(s="a & c & d", t="a & b & d")
    policy = MatrixResidency(sets, models, MemoryResidency([GPU], models))
    assert policy.fits("ac")
    assert not policy.fits("ab")  # the sets allow it, memory does not
    assert not policy.fits("bc")  # memory allows it, the sets do not
    assert policy.fits("acd")  # whose footprint nobody knows: the operator vouches for it
    assert policy.shortfall("a") == ""
    assert policy.shortfall("e").startswith("it needs")
    assert MatrixResidency(sets).shortfall("e") == ""


def test_a_reading_of_free_memory_counts_where_devices_are_declared() -> None:
    models = [model("a", 60), model("c", 10)]
    sets = matrix(s="a & c")
    policy = MatrixResidency(sets, models, MemoryResidency([GPU], models))
    assert policy.fits("ac")
    seen = policy.seeing("gpu", 5, {"a"})  # 35 are somebody else's
    assert not seen.fits("ac")
    assert policy.fits("ac")
    assert MatrixResidency(sets).seeing("gpu", 5, ()).fits("ac")


def test_models_of_one_set_are_loaded_side_by_side_and_another_sets_swap() -> None:
    models = [model(name, load_s=1.0) for name in "abc"]
    sched = scheduler(*models, residency=residency(s="a & b", t="c"))
    assert deeds(sched.arrive(ticket("t1", "a"), 0.0)) == [Start("a", 1)]
    assert deeds(sched.arrive(ticket("t2", "b"), 0.0)) == [Start("b", 1)]
    ready(sched, "a", 1.0)
    ready(sched, "b", 1.0)
    sched.leave("t1", 2.0)
    sched.leave("t2", 2.0)
    stops = deeds(sched.arrive(ticket("t3", "c"), 60.0))
    assert set(stops) == {Stop("a", 1), Stop("b", 1)}
    assert gone(sched, "a", 61.0) == []
    assert gone(sched, "b", 61.0) == [Start("c", 1)]


class MatrixWorld(World):
    """The world of the scheduler's own invariants, with sets deciding who may be resident."""

    @initialize(has_devices=st.booleans(), max_resident=st.sampled_from((None, 2)))
    def begin(self, has_devices: bool, max_resident: int | None) -> None:
        sets = Matrix({"pair": "a & (c | d)", "many": "+pair & e | b & c & d"}, {name: name for name in NAMES})
        memory = MemoryResidency(DEVICES, MODELS) if has_devices else None
        made = replace(MEMORY, residency=MatrixResidency(sets, MODELS, memory), max_resident=max_resident)
        assert made.faults() == []
        self.plan = made
        self.sched = Scheduler(made)


def test_the_scheduler_never_makes_a_set_resident_that_the_matrix_does_not_allow() -> None:
    run_state_machine_as_test(MatrixWorld, settings=QUICK)
