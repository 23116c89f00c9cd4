"""Which model a name means, now and after another profile was activated; and where a path's model name ends."""

from __future__ import annotations

import sys
from dataclasses import replace
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.faults import ConfigError
from penstock.config.load import loads
from penstock.config.routing import PeerSettings, ProfileSettings, SelectorSettings
from penstock.config.schema import ModelSettings, Settings
from penstock.core.calls.message import Edits
from penstock.core.model import Choice, Strategy
from penstock.errors import UnknownModel, UnknownProfile
from penstock.runtime.calls.catalog import Catalog, Target

CONFIG = """
penstock: 1
models:
  a: {upstream: "http://a", aliases: [fast, org/a], use_model_name: inner}
  b: {upstream: "http://b", api_key: sk-b, aliases: [slow]}
  org/a/long: {upstream: "http://c", client_key: forward}
selectors:
  any: {strategy: spillover, targets: [slow, a, big], spillover: 3}
  one: {strategy: pin, targets: [b, a]}
  rest: {strategy: failover, targets: [b]}
peers:
  hub: {upstream: "http://hub", models: [big, org/x], api_key: sk-hub}
profiles:
  day: {pins: {a: slow, gpt: any, b: "", slow: ~, x: hub/big, fast: fast}}
  night: {pins: {fast: b}}
"""


def catalog(text: str = CONFIG) -> Catalog:
    return Catalog(loads(text, name="c.yaml", environ={}).settings)


def sent(target: Target, asked: str) -> str:
    """The model name that the engine reads."""
    return asked if target.edits is None or target.edits.model is None else target.edits.model


def test_a_model_goes_by_its_name_and_its_aliases() -> None:
    names = catalog()
    assert [names.resolve(name).model for name in ("a", "fast", "org/a", "slow", "org/a/long")] == [
        "a", "a", "a", "b", "org/a/long",
    ]  # fmt: skip
    assert names.resolve("a").edits == names.resolve("fast").edits == Edits(model="inner")
    assert names.resolve("slow").edits is None, "an alias is forwarded as it was written"
    assert names.resolve("org/a/long").forwards_client_key


def test_filters_go_with_the_name_that_was_meant() -> None:
    names = catalog("""
        penstock: 1
        models:
          a:
            upstream: "http://a"
            filters: {strip_params: [x], set_params: {y: 1}, set_params_by_id: {high: {y: 2}}}
          b: {upstream: "http://b"}
        peers: {hub: {upstream: "http://hub", models: [c], filters: {set_params: {z: 1}}}}
        selectors: {any: {strategy: spillover, targets: [high, b]}}
        profiles: {day: {pins: {b: high}}}
    """)
    high = Edits(None, {"y": b"2"}, ("x",))
    assert names.resolve("a").edits == Edits(None, {"y": b"1"}, ("x",))
    assert names.resolve("high").edits == high
    assert names.resolve("b").edits is None
    assert names.resolve("hub/c").edits == Edits("c", {"z": b"1"})
    assert names.resolve("any").of("a").edits == replace(high, model="high")
    names.activate("day")
    assert names.resolve("b").edits == replace(high, model="high")


def test_a_peers_model_is_asked_for_by_the_name_it_has_there_and_with_the_peers_key() -> None:
    names = catalog()
    for name in ("hub/big", "big"):
        target = names.resolve(name)
        assert (target.model, sent(target, name), target.forwards_client_key) == ("hub/big", "big", False)
        assert target.credentials == ((b"authorization", b"Bearer sk-hub"), (b"x-api-key", b"sk-hub"))
    assert names.resolve("big").edits is None, "it says so already"
    assert names.resolve("a").credentials == ()


def test_a_selector_gives_the_scheduler_its_models_and_each_of_them_its_own_target() -> None:
    target = catalog().resolve("any")
    assert target.choice == Choice(Strategy.SPILLOVER, ("b", "a", "hub/big"), 3)
    assert (target.model, target.selector) == ("b", "any")
    chosen = {model: target.of(model) for model in target.choice.models}
    assert {model: (each.model, sent(each, "any"), each.selector) for model, each in chosen.items()} == {
        "b": ("b", "slow", "any"),
        "a": ("a", "inner", "any"),
        "hub/big": ("hub/big", "big", "any"),
    }
    assert chosen["b"].credentials[1] == (b"x-api-key", b"sk-b")


@pytest.mark.parametrize("name", ["one", "rest"])
def test_a_selector_with_nothing_to_choose_from_is_its_model(name: str) -> None:
    target = catalog().resolve(name)
    assert (target.model, target.choice, target.selector, sent(target, name)) == ("b", None, name, "b")
    assert target.of("b") is target


def test_the_active_profile_decides_before_everything_else() -> None:
    names = catalog()
    assert not names.active
    names.activate("day")
    assert (names.active, names.resolve("a").model, sent(names.resolve("a"), "a")) == ("day", "b", "slow")
    assert names.resolve("gpt").choice == names.resolve("any").choice
    assert sent(names.resolve("x"), "x") == "big"
    assert sent(names.resolve("fast"), "fast") == "inner", "a pin to itself changes nothing"
    assert names.resolve("org/a").model == "a", "an alias that is not pinned"
    names.activate("night")
    assert (names.resolve("fast").model, names.resolve("a").model) == ("b", "a")
    names.activate(None)
    assert names.resolve("fast").model == "a"
    with pytest.raises(UnknownModel):
        names.resolve("gpt")


def test_a_name_that_is_switched_off_is_unknown_and_says_why() -> None:
    names = catalog()
    names.activate("day")
    for name in ("b", "slow"):
        with pytest.raises(UnknownModel, match="The active profile `day` has switched it off"):
            names.resolve(name)
    assert names.resolve("any").of("b").model == "b", "selectors lead to models, whatever is pinned"


def test_an_operator_means_the_model_itself_whatever_is_pinned() -> None:
    names = catalog()
    names.activate("day")
    assert [names.model(name) for name in ("a", "b", "slow", "big", "hub/big")] == ["a", "b", "b", "hub/big", "hub/big"]
    for name in ("gpt", "x", "any", "one", "nobody"):
        with pytest.raises(UnknownModel):
            names.model(name)


def test_a_profile_that_does_not_exist_changes_nothing() -> None:
    names = catalog()
    names.activate("day")
    with pytest.raises(UnknownProfile):
        names.activate("noon")
    assert (names.active, names.resolve("a").model) == ("day", "b")


def test_an_unknown_name_gets_the_nearest_one_as_a_hint() -> None:
    with pytest.raises(UnknownModel, match="Did you mean `fast`"):
        catalog().resolve("fasst")
    with pytest.raises(UnknownModel, match="Did you mean `fast`"):
        catalog().resolve("FAST")
    with pytest.raises(UnknownModel, match=r"names that do\.$"):
        catalog().resolve("\ud800\0" * 1000)


def test_looking_a_name_up_makes_nothing() -> None:
    names = catalog()
    names.resolve("a")
    before = sys.getallocatedblocks()
    targets = [names.resolve("a") for _ in range(1000)]
    assert sys.getallocatedblocks() - before < 100
    assert len(set(map(id, targets))) == 1


# The names in paths.


@pytest.mark.parametrize(
    ("path", "model", "rest"),
    [
        (b"a/v1/models", "a", b"/v1/models"),
        (b"a", "a", b""),
        (b"a/", "a", b"/"),
        (b"a//x", "a", b"//x"),
        (b"org/a/v1/x%2Fy", "a", b"/v1/x%2Fy"),
        (b"org%2Fa/v1", "a", b"/v1"),
        (b"org%2fa%2Flong/v1", "org/a/long", b"/v1"),
        (b"org/a/long", "org/a/long", b""),
        (b"org/a/longer", "a", b"/longer"),
        (b"org%2Fa/long/x", "org/a/long", b"/x"),
        (b"hub/big/v1", "hub/big", b"/v1"),
        (b"hub/org/x/v1", "hub/org/x", b"/v1"),
        (b"%61/v1", "a", b"/v1"),
    ],
)
def test_the_longest_name_that_a_path_begins_with_counts(path: bytes, model: str, rest: bytes) -> None:
    found = catalog().longest_prefix(path)
    assert found is not None
    assert (found[0].model, found[1]) == (model, rest)


@pytest.mark.parametrize(
    "path", [b"", b"/", b"/a", b"any/v1", b"one/v1", b"org", b"ab/x", b"a%2Fv1", b"%ff%00/x", b"%"]
)
def test_a_path_that_begins_with_no_models_name_leads_nowhere(path: bytes) -> None:
    assert catalog().longest_prefix(path) is None


def test_pins_hold_in_paths_too() -> None:
    names = catalog(f"{CONFIG}  dusk: {{pins: {{org/a: b, org/a/long: '', new/name: hub/big}}}}")
    names.activate("dusk")
    found = names.longest_prefix(b"org/a/v1")
    assert found is not None
    assert found[0].model == "b"
    assert names.longest_prefix(b"org/a/long/v1") is None, "switched off, and no part of a shorter name"
    found = names.longest_prefix(b"new%2Fname/v1")
    assert found is not None
    assert (found[0].model, found[1]) == ("hub/big", b"/v1")


# Against the rules, written down plainly.

NAMES = ["a", "b", "c", "p", "q", "a/b", "p/a", "q/a", "a/b/c", "p/a/b"]


@st.composite
def configurations(draw: st.DrawFn) -> Settings:
    """Most of them can be served. Every name is dealt out once; peers' names and targets may be anything."""
    free = draw(st.permutations(NAMES))

    def dealt(most: int, least: int = 0) -> list[str]:
        return [free.pop() for _ in range(draw(st.integers(least, most)))]

    models = {
        name: ModelSettings(
            upstream="http://h", aliases=tuple(dealt(2)), use_model_name=draw(st.none() | st.just("inner"))
        )
        for name in dealt(2, least=1)
    }
    peers = {
        name: PeerSettings(upstream="http://p", models=tuple(draw(peer_names)))
        for name in draw(st.lists(st.sampled_from("pq"), max_size=2, unique=True))
    }
    known = sorted(_known(Settings(models=models, peers=peers)))
    strategies = st.sampled_from([Strategy.PIN, Strategy.FAILOVER])
    selectors = {
        name: SelectorSettings(
            strategy=draw(strategies),
            targets=tuple(draw(st.lists(st.sampled_from(known), min_size=1, max_size=2))),
        )
        for name in [*dealt(1), *draw(st.lists(st.just("s"), max_size=1))]
    }
    leads_to = st.sampled_from([*known, *selectors, "", None])
    pins = st.dictionaries(st.sampled_from([*known, *selectors, "x"]), leads_to, min_size=1, max_size=3)
    profiles = {name: ProfileSettings(pins=draw(pins)) for name in draw(st.lists(st.sampled_from("dn"), unique=True))}
    return Settings(models=models, peers=peers, selectors=selectors, profiles=profiles)


peer_names = st.lists(st.sampled_from(["a", "b", "p/a", "a/b", "z"]), min_size=1, max_size=2, unique=True)


def accepted(written: Settings) -> Settings | None:
    """As it is served; None = refused."""
    text = written.model_dump_json(exclude_unset=True).replace("{", '{"penstock": 1,', 1).replace("1,}", "1}", 1)
    try:
        return loads(text, name="c.json", environ={}).settings
    except ConfigError:
        return None


def meant(written: Settings, profile: str | None, name: str) -> list[tuple[str, str]] | None:
    """Step by step: which models may serve the name, and what each is told; None = nobody knows the name."""
    told = name
    if profile is not None and name in written.profiles[profile].pins:
        told = written.profiles[profile].pins[name] or ""
        if not told:
            return None
    if told in written.selectors:
        selector = written.selectors[told]
        found = [_of_model(written, target) for target in selector.targets]
        return found[:1] if selector.strategy is Strategy.PIN else found
    if told not in _known(written):
        return None
    return [_of_model(written, told)]


def _known(written: Settings) -> set[str]:
    names = set()
    for name, model in written.models.items():
        names |= {name, *model.aliases}
    for peer, its in written.peers.items():
        for model_name in its.models:
            names.add(f"{peer}/{model_name}")
            if len([each for each in written.peers.values() if model_name in each.models]) == 1:
                names.add(model_name)
    return names


def _of_model(written: Settings, told: str) -> tuple[str, str]:
    for name, model in written.models.items():
        if told == name or told in model.aliases:
            return name, model.use_model_name or told
    for is_short in (False, True):
        for peer, its in written.peers.items():
            for name in its.models:
                if told == (name if is_short else f"{peer}/{name}"):
                    return f"{peer}/{name}", name
    raise AssertionError(told)


@given(configurations(), st.data())
def test_every_name_means_what_the_rules_say(written: Settings, data: st.DataObject) -> None:
    served = accepted(written)
    if served is None:
        return
    names = Catalog(served)
    for _ in range(3):
        profile = data.draw(st.none() | st.sampled_from([*written.profiles, None]))
        names.activate(profile)
        for name in ("a", "b", "c", "p", "a/b", "p/a", "p/b", "q/a", "a/b/c", "p/a/b", "q/p/a", "z", "s", "x"):
            expected = meant(written, profile, name)
            try:
                target = names.resolve(name)
            except UnknownModel:
                assert expected is None
                continue
            candidates = target.candidates or (target,)
            assert [(each.model, sent(each, name)) for each in candidates] == expected
            if target.choice is not None:
                assert [each.model for each in candidates] == list(target.choice.models)


@given(configurations(), st.lists(st.sampled_from(["a", "b", "c", "p", "q", "s", "v1", ""]), max_size=5), st.data())
def test_a_path_is_cut_where_the_rules_say(written: Settings, steps: list[str], data: st.DataObject) -> None:
    served = accepted(written)
    if served is None:
        return
    path = "".join(step + data.draw(st.sampled_from(["/", "%2F"])) for step in steps) + data.draw(st.sampled_from("ab"))
    names = Catalog(served)
    names.activate(data.draw(st.sampled_from([None, *written.profiles])))
    expected: tuple[str, str] | None = None
    for end in [at for at, sign in enumerate(path) if sign == "/"] + [len(path)]:
        name = unquote(path[:end])
        pins = {} if names.active is None else written.profiles[names.active].pins
        if name in _known(written) or name in written.selectors or name in pins:
            models = meant(written, names.active, name)
            leads_to = pins.get(name, name)
            is_model = models is not None and leads_to not in written.selectors
            expected = (models[0][0], path[end:]) if models is not None and is_model else None
    found = names.longest_prefix(path.encode())
    assert (found and (found[0].model, found[1].decode())) == expected


def test_a_quoted_name_is_found_whatever_stands_in_it() -> None:
    name = "org/a b:7b@ü%"
    names = catalog(f"penstock: 1\nmodels: {{'{name}': {{upstream: 'http://h'}}}}")
    found = names.longest_prefix(quote(name, safe="").encode() + b"/v1")
    assert found is not None
    assert (found[0].model, found[1]) == (name, b"/v1")
