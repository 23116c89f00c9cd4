"""Profiles, selectors, peers and what concerns the relaying of calls, as llama-swap files have them."""

from __future__ import annotations

import re

import pytest

from penstock.core.model import Strategy
from tests.config.worlds import faults, read

FULL = """\
includeAliasesInList: true
sendLoadingState: true
macros: {secret: sk-or}
models:
  a:
    cmd: x ${PORT}
    aliases: [fast]
    timeouts: {connect: 5, responseHeader: 90}
    compat: {ignoreWebsockets: true}
    capabilities: {in: [text, image], out: [text], tools: true, reranker: false, context: 32000}
    sendLoadingState: false
  b: {cmd: "x ${PORT}", capabilities: {context: 0}, timeouts: {connect: 0}}
  comfyui_auto: {cmd: "x ${PORT}", concurrencyLimit: 7}
groups: {g: {members: [a, b], swap: false}}
peers:
  router:
    proxy: https://router.example/api/
    models: [z-ai/glm, b]
    apiKey: ${secret}
    timeouts: {connect: 3}
  lan: {proxy: "http://lan:9", models: [glm], timeouts: {responseHeader: 0}, apiKey: ""}
selectors:
  any: {strategy: spillover, targets: [fast, b, glm], settings: {spillover: 4}, name: Any, unlisted: true}
  first: {strategy: pin, targets: [a, a], settings: {spillover: 2}, metadata: {x: 1}}
profiles:
  day: {description: By day, pins: {gpt: any, b: "", fast: ~, router/b/c: lan/glm}}
upstream: {ignorePaths: ['\\.map$']}
"""


def test_names_mean_there_what_they_mean_here() -> None:
    loaded = read(FULL)
    settings = loaded.settings
    assert loaded.warnings == ()
    assert list(settings.models) == ["a", "b", "comfyui_auto", "router/z-ai/glm", "router/b", "lan/glm"]
    assert {
        name: settings.models[name].aliases for name in settings.peers["router"].models if name in settings.models
    } == {"b": ()}
    assert settings.models["router/z-ai/glm"].aliases == ("z-ai/glm",)
    assert settings.models["lan/glm"].aliases == ("glm",)
    router = settings.models["router/b"]
    assert (router.upstream, router.api_key, router.use_model_name) == ("https://router.example/api", "sk-or", "b")
    chosen, first = settings.selectors["any"], settings.selectors["first"]
    assert (chosen.strategy, chosen.targets, chosen.spillover) == (Strategy.SPILLOVER, ("fast", "b", "glm"), 4)
    assert (chosen.name, chosen.unlisted, first.metadata) == ("Any", True, {"x": 1})
    assert settings.profiles["day"].description == "By day"
    assert settings.profiles["day"].pins == {"gpt": "any", "b": "", "fast": None, "router/b/c": "lan/glm"}
    assert (settings.include_aliases_in_list, settings.meta_key) == (True, "llamaswap")


def test_an_empty_key_of_a_peer_is_none() -> None:
    assert read(FULL).settings.models["lan/glm"].api_key is None


def test_timeouts_are_those_that_are_written_or_llama_swaps_own() -> None:
    models = read(FULL).settings.models
    limits = {name: (model.limits.connect, model.limits.first_byte) for name, model in models.items()}
    assert limits == {
        "a": (5, 90),
        "b": (None, None),
        "comfyui_auto": (30, None),
        "router/z-ai/glm": (3, 60),
        "router/b": (3, 60),
        "lan/glm": (30, None),
    }


def test_how_calls_are_relayed_is_carried_over() -> None:
    settings = read(FULL).settings
    a, b, comfyui = (settings.models[name] for name in ("a", "b", "comfyui_auto"))
    assert (a.ignore_websockets, b.ignore_websockets, comfyui.ignore_websockets) == (True, False, True)
    assert (a.send_loading_state, b.send_loading_state) == (False, True)
    assert comfyui.parallel == 50
    assert a.capabilities is not None
    assert (a.capabilities.abilities, a.capabilities.context) == (("vision", "function_calling"), 32000)
    assert b.capabilities is not None
    assert b.capabilities.context is None
    assert settings.upstream_ignore_paths == (r"\.map$",)


@pytest.mark.parametrize("text", ["", "upstream: {}", "upstream: {ignorePaths: []}", "upstream: ~"])
def test_files_of_pages_never_load_a_model_unless_it_is_said_otherwise(text: str) -> None:
    (pattern,) = read(text).settings.upstream_ignore_paths
    assert [path for path in ("/app.js", "/a.b/x.ico", "/v1/chat", "/js", "/x.jsx") if re.search(pattern, path)] == [
        "/app.js",
        "/a.b/x.ico",
    ]


@pytest.mark.parametrize(
    ("text", "key", "found"),
    [
        ("profiles: {p: [a, b]}", "profiles.p", "a list of models, as older versions had it"),
        ("profiles: {p: {pins: {}}}", "profiles.p.pins", "no pins"),
        ("profiles: {p: {description: x}}", "profiles.p", "no pins"),
        ("profiles: {p: {pins: {x: nope}}}", "profiles.p.pins.x", "the unknown model `nope`"),
        ("profiles: {p: {pins: {x: y, y: a}}}", "profiles.p.pins.x", "the unknown model `y`"),
        ("selectors: {s: {targets: [a]}}", "selectors.s", "no `strategy`"),
        ("selectors: {s: {strategy: loud, targets: [a]}}", "selectors.s.strategy", '"loud"'),
        ("selectors: {s: {strategy: pin}}", "selectors.s", "no `targets`"),
        ("selectors: {s: {strategy: pin, targets: []}}", "selectors.s.targets", "an empty list"),
        ("selectors: {s: {strategy: pin, targets: [nope]}}", "selectors.s.targets[0]", "the unknown model `nope`"),
        ("selectors: {a: {strategy: pin, targets: [b]}}", "selectors.a", "the name `a`, which is a model already"),
        (
            "selectors: {fast: {strategy: pin, targets: [b]}}",
            "selectors.fast",
            "the name `fast`, which is an alias already",
        ),
        (
            "selectors: {s: {strategy: spillover, targets: [a], settings: {spillover: 0}}}",
            "selectors.s.settings.spillover",
            "0",
        ),
        (
            "selectors: {s: {strategy: spillover, targets: [a, fast]}}",
            "selectors.s.targets[1]",
            "the model `a` a second time (first in line 2)",
        ),
        (
            "selectors: {s: {strategy: spillover, targets: [a, b]}}",
            "selectors.s.targets",
            "`a` and `b`, which are never loaded together",
        ),
        (
            "selectors: {s: {strategy: warm, targets: [a, p/x]}}\npeers: {p: {proxy: 'http://p', models: [x]}}",
            "selectors.s.targets[1]",
            "`p/x`, of which nobody here knows whether it is loaded",
        ),
        (
            "selectors: {s: {strategy: pin, targets: [a]}, t: {strategy: pin, targets: [s]}}",
            "selectors.t.targets[0]",
            "`s`, which is a selector",
        ),
        (
            "selectors: {p/x: {strategy: pin, targets: [a]}}\npeers: {p: {proxy: 'http://p', models: [x]}}",
            "peers.p.models[0]",
            "`p/x`, which is a selector already",
        ),
        ("peers: {p: {models: [x]}}", "peers.p", "no `upstream`"),
        ("peers: {p: {proxy: 'no address', models: [x]}}", "peers.p.proxy", '"no address"'),
        ("peers: {p: {proxy: 'http://p'}}", "peers.p", "no `models`"),
        ("peers: {p: {proxy: 'http://p', models: []}}", "peers.p.models", "an empty list"),
        ("peers: {p: {proxy: 'http://p', models: [x], apiKey: '${x}'}}", "peers.p.apiKey", "the unknown macro `${x}`"),
        ("peers: {p: {proxy: 'http://p', models: [x], timeouts: {connect: -1}}}", "peers.p.timeouts.connect", "-1"),
        ("peers: {p: {proxy: 'http://p', models: [x], timeouts: 3}}", "peers.p.timeouts", "3"),
        ("upstream: {ignorePaths: ['(']}", "upstream.ignorePaths[0]", '"("'),
        ("sendLoadingState: often", "sendLoadingState", '"often"'),
    ],
)
def test_what_llama_swap_refuses_about_names_is_refused_with_its_key(text: str, key: str, found: str) -> None:
    models = "models: {a: {cmd: 'x ${PORT}', aliases: [fast]}, b: {cmd: 'x ${PORT}'}}\n"
    assert [(fault.key, fault.found) for fault in faults(models + text)] == [(key, found)]


def test_what_is_unknown_there_is_warned_of() -> None:
    loaded = read("""
        models: {a: {cmd: "x ${PORT}", compat: {ignoreWebsocket: true}, capabilities: {input: [text]}}}
        peers: {p: {proxy: "http://p", models: [x], model: y, timeouts: {idleConn: 3, total: 4}}}
        selectors: {s: {strategy: pin, targets: [a], spillover: 3}}
        upstream: {ignorePath: [x]}
    """)
    assert [warning.key for warning in loaded.warnings] == [
        "models.a.compat.ignoreWebsocket",
        "models.a.capabilities.input",
        "peers.p.model",
        "peers.p.timeouts.idleConn",
        "peers.p.timeouts.total",
        "selectors.s.spillover",
        "upstream.ignorePath",
    ]
