"""Profiles, selectors and peers in a file: what they come to, and everything that is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.config.load import load
from penstock.core.model import Strategy
from tests.config.worlds import messages, native, read

MODELS = """\
models:
  a: {cmd: 'x ${PORT}', aliases: [fast, org/a]}
  b: {cmd: 'x ${PORT}'}
  far: {upstream: "http://far"}
residency: groups
groups: {all: {members: [a, b], swap: false}}
"""
PEERS = """\
peers:
  hub: {upstream: "http://hub:8000/", models: [a, big, shared], api_key: sk-hub, parallel: 3, limits: {connect: 1s}}
  lab: {proxy: "http://lab", models: [shared, org/m]}
"""


def test_a_peers_models_become_models_with_the_peers_name_in_front() -> None:
    settings = native(f"{MODELS}{PEERS}limits: {{connect: 4s, idle: 9s}}\nbreaker: off\n")
    assert list(settings.models) == ["a", "b", "far", "hub/a", "hub/big", "hub/shared", "lab/shared", "lab/org/m"]
    big = settings.models["hub/big"]
    assert (big.upstream, big.api_key, big.parallel, big.use_model_name) == ("http://hub:8000", "sk-hub", 3, "big")
    assert (big.limits.connect, big.limits.idle, big.breaker) == (1, 9, None)
    assert settings.models["lab/org/m"].limits.connect == 4


def test_a_peers_model_has_its_short_name_only_if_that_is_free() -> None:
    settings = native(f"{MODELS}{PEERS}selectors: {{org/m: {{strategy: pin, targets: [a]}}}}\n")
    aliases = {name: model.aliases for name, model in settings.models.items() if "/" in name}
    assert aliases == {
        "hub/a": (),  # a model of our own
        "hub/big": ("big",),
        "hub/shared": (),  # two peers have it
        "lab/shared": (),
        "lab/org/m": (),  # a selector
    }


def test_a_short_name_never_hides_another_peers_full_name() -> None:
    settings = native("""
        peers:
          p: {upstream: "http://p", models: [m]}
          q: {upstream: "http://q", models: [p/m]}
    """)
    assert {name: model.aliases for name, model in settings.models.items()} == {"p/m": ("m",), "q/p/m": ()}


def test_selectors_and_profiles_are_what_is_written() -> None:
    settings = native(f"""\
{MODELS}{PEERS}
selectors:
  any: {{strategy: spillover, targets: [fast, b, big], spillover: 4, metadata: {{x: 1}}}}
profiles:
  day: {{pins: {{gpt: any, a: b, b: "", old: ~, tiny: lab/shared}}}}
""")
    chosen = settings.selectors["any"]
    assert (chosen.strategy, chosen.targets, chosen.spillover) == (Strategy.SPILLOVER, ("fast", "b", "big"), 4)
    assert settings.profiles["day"].pins == {"gpt": "any", "a": "b", "b": "", "old": None, "tiny": "lab/shared"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("peers: {p: {models: [x]}}", "peers.p: found no `upstream`, expected one"),
        ("peers: {p: {upstream: 'http://p'}}", "peers.p: found no `models`, expected one"),
        (
            "peers: {p: {upstream: 'http://p', models: []}}",
            "peers.p.models: found an empty list, expected at least one model",
        ),
        (
            "peers: {'': {upstream: 'http://p', models: [x]}}",
            'peers."": found an empty name, expected a name for the peer',
        ),
        (
            "peers: {org: {upstream: 'http://p', models: [a]}}",
            "peers.org.models[0]: found `org/a`, which is an alias already, expected a full name that is nothing else",
        ),
        (
            "peers: {p: {upstream: 'http://p', models: [x, x]}}",
            (
                "peers.p.models[1]: found `p/x`, which is a peer's model already, "
                "expected a full name that is nothing else"
            ),
        ),
        (
            (
                "peers: {p: {upstream: 'http://p', models: [x]}, p/x: {upstream: 'http://p', models: [y]}, "
                "q: {upstream: 'http://q', models: [z]}}\nselectors: {q/z: {strategy: pin, targets: [a]}}"
            ),
            "peers.q.models[0]: found `q/z`, which is a selector already, expected a full name that is nothing else",
        ),
        (
            "peers: {p: {upstream: 'http://p', models: [x]}}\nprofiles: {d: {pins: {p/x: a}}}",
            "peers.p.models[0]: found `p/x`, which is a pin already, expected a full name that is nothing else",
        ),
        ("selectors: {s: {targets: [a]}}", "selectors.s: found no `strategy`, expected one"),
        ("selectors: {s: {strategy: pin}}", "selectors.s: found no `targets`, expected one"),
        (
            "selectors: {s: {strategy: round, targets: [a]}}",
            'selectors.s.strategy: found "round", expected `pin`, `warm`, `spillover` or `failover`',
        ),
        (
            "selectors: {s: {strategy: pin, targets: []}}",
            "selectors.s.targets: found an empty list, expected at least one model",
        ),
        (
            "selectors: {s: {strategy: spillover, targets: [a], spillover: 0}}",
            "selectors.s.spillover: found 0, expected a whole number of at least 1",
        ),
        (
            "selectors: {s: {strategy: warm, targets: [a], spillover: 2}}",
            "selectors.s.spillover: found a key that has no effect beside `strategy: warm`, expected it to be left out",
        ),
        (
            "selectors: {s: {strategy: pin, targets: [nope]}}",
            "selectors.s.targets[0]: found the unknown model `nope`, expected a model, an alias or `peer/model`",
        ),
        (
            "selectors: {s: {strategy: pin, targets: [a]}, t: {strategy: pin, targets: [s]}}",
            (
                "selectors.t.targets[0]: found `s`, which is a selector, expected a model: "
                "one selector does not lead to another"
            ),
        ),
        (
            "selectors: {fast: {strategy: pin, targets: [a]}}",
            "selectors.fast: found the name `fast`, which is an alias already, expected a name that nothing else has",
        ),
        (
            "selectors: {b: {strategy: pin, targets: [a]}}",
            "selectors.b: found the name `b`, which is a model already, expected a name that nothing else has",
        ),
        (
            "selectors: {s: {strategy: pin, targets: [shared]}}",
            (
                "selectors.s.targets[0]: found `shared`, which peers `hub` and `lab` have, "
                "expected `hub/shared` or `lab/shared`"
            ),
        ),
        (
            "selectors: {s: {strategy: warm, targets: [a, big]}}",
            (
                "selectors.s.targets[1]: found `big`, of which nobody here knows whether it is loaded, "
                "expected models that run here beside `strategy: warm`"
            ),
        ),
        (
            "selectors: {s: {strategy: spillover, targets: [a, org/a]}}",
            "selectors.s.targets[1]: found the model `a` a second time (first in line 11), expected each model once",
        ),
        (
            (
                "models: {c: {cmd: 'x ${PORT}'}, d: {cmd: 'x ${PORT}'}, far: {upstream: 'http://f'}}\n"
                "selectors: {s: {strategy: spillover, targets: [c, d, far]}}\nresidency: groups"
            ),
            (
                "selectors.s.targets: found `c` and `d`, which are never loaded together, "
                "expected targets that `residency: groups` lets stay side by side"
            ),
        ),
        (
            (
                "models: {c: {gguf: x, memory: 5GiB}, d: {gguf: x, memory: 5GiB}}\ndevices: {gpu: {memory: 8GiB}}\n"
                "selectors: {s: {strategy: spillover, targets: [c, d]}}"
            ),
            (
                "selectors.s.targets: found `c` and `d`, which are never loaded together, "
                "expected targets that `residency: memory` lets stay side by side"
            ),
        ),
        ("profiles: {d: {pins: {}}}", "profiles.d.pins: found no pins, expected at least one"),
        ("profiles: {d: {description: x}}", "profiles.d: found no pins, expected at least one"),
        ("profiles: {'': {pins: {x: a}}}", 'profiles."": found an empty name, expected a name for the profile'),
        (
            "profiles: {d: {pins: {'': a}}}",
            'profiles.d.pins."": found an empty name, expected the name that is asked for',
        ),
        (
            "profiles: {d: {pins: {x: y, y: a}}}",
            "profiles.d.pins.x: found the unknown model `y`, expected a model, an alias or `peer/model`",
        ),
        (
            "profiles: {d: {pins: {x: fas}}}",
            (
                "profiles.d.pins.x: found the unknown model `fas`, expected a model, an alias or `peer/model`; "
                "did you mean `fast`?"
            ),
        ),
        (
            "models: {m: {upstream: 'http://h', capabilities: {in: [text, video]}}}",
            "models.m.capabilities.in: found a list, expected a list of `text`, `audio` and `image`",
        ),
    ],
)
def test_what_leads_nowhere_is_told_with_its_key(text: str, told: str) -> None:
    world = "" if text.startswith("models:") else MODELS + ("" if "peers:" in text else PEERS)
    assert [message.partition(": ")[2] for message in messages(world + text)] == [told]


def test_models_whose_size_nobody_knows_yet_may_spill_over() -> None:
    settings = native("""
        models: {c: {gguf: x}, d: {gguf: x, memory: 5GiB}}
        devices: {gpu: {memory: 8GiB}}
        selectors: {s: {strategy: spillover, targets: [c, d]}}
    """)
    assert settings.selectors["s"].targets == ("c", "d")


def test_a_target_may_stand_twice_where_that_changes_nothing() -> None:
    assert native(f"{MODELS}selectors: {{s: {{strategy: warm, targets: [a, fast]}}}}").selectors["s"].targets


def test_a_fault_elsewhere_is_not_told_of_a_selector() -> None:
    told = messages(f"{PEERS}models: {{a: {{cmd: ''}}}}\nselectors: {{s: {{strategy: warm, targets: [big]}}}}")
    assert [message.partition(": ")[2].partition(":")[0] for message in told] == ["models.a.cmd"] * len(told)


def test_what_a_model_can_do_is_said_in_clients_words() -> None:
    model = native("""
        models:
          m: {upstream: "http://h", capabilities: {in: [text, image], output: [text, audio, image], tools: true}}
    """).models["m"]
    assert model.capabilities is not None
    assert model.capabilities.abilities == (
        "vision",
        "audio_speech",
        "image_generation",
        "image_to_image",
        "function_calling",
    )


def test_secrets_of_peers_are_not_shown() -> None:
    assert "sk-hub" not in repr(read(f"penstock: 1\n{PEERS}").settings)


@pytest.mark.parametrize(
    "form",
    ["penstock: 1\npeers: {p: {upstream: 'http://p', models: [m]}}", "peers: {p: {proxy: 'http://p', models: [m]}}"],
)
def test_a_file_may_have_nothing_but_peers(tmp_path: Path, form: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(form)
    loaded = load(file, environ={})
    assert (list(loaded.settings.models), loaded.warnings) == (["p/m"], ())


def test_the_example_on_the_page_about_names_can_be_served() -> None:
    example = Path("docs/names.md").read_text("utf-8").partition("```yaml\n")[2].partition("```")[0]
    loaded = read(example, {"OFFICE_KEY": "sk"})
    assert (list(loaded.settings.models), loaded.warnings) == (["qwen", "gemma", "office/big"], ())


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('models: {"a\\0b": {upstream: "http://p"}}', "models.a\ufffdb"),
        ('models: {"a\\e[2Jb": {upstream: "http://p"}}', "models.a\ufffd[2Jb"),
        ('models: {"a\\u202eb": {upstream: "http://p"}}', "models.a\ufffdb"),
        (
            'models: {a: {upstream: "http://p"}}\nselectors: {"s\\t": {strategy: warm, targets: [a]}}',
            "selectors.s\ufffd",
        ),
        ('models: {a: {upstream: "http://p"}}\nprofiles: {p: {pins: {"q\\a": a}}}', "profiles.p.pins.q\ufffd"),
    ],
)
def test_a_name_that_no_request_can_ask_for_is_refused_and_shown_harmlessly(text: str, key: str) -> None:
    [told] = messages(text)
    assert told.split(": ")[1].replace('"', "") == key
    assert "a name that has a line break, or another character that cannot be shown" in told
    assert told.isprintable()


def test_a_name_that_is_longer_than_any_that_can_be_asked_for_is_refused() -> None:
    [told] = messages(f"models: {{{'n' * 513}: {{upstream: 'http://p'}}}}")
    assert "a name that has more than 512 characters" in told
