"""The rows of /v1/models: which names have one, and what each says."""

from __future__ import annotations

from typing import cast

import pytest

from penstock.config.load import loads
from penstock.core.model import Phase
from penstock.runtime.calls.catalog import Catalog
from penstock.web.rows import Row, Rows

CONFIG = """
penstock: 1
models:
  eye:
    cmd: x ${PORT}
    name: Eye
    description: It sees.
    aliases: [look, see]
    capabilities: {in: [text, image], out: [text], tools: true, context: 32000}
    metadata: {family: eyes, context_length: 5, architecture: x}
  plain: {cmd: 'x ${PORT}', metadata: {context_length: 5}}
  secret: {cmd: 'x ${PORT}', unlisted: true, aliases: [hush], capabilities: {in: [text, image]}}
selectors:
  any: {strategy: failover, targets: [plain, big], name: Any, metadata: {x: 1}}
  hidden: {strategy: pin, targets: [plain], unlisted: true}
peers:
  hub: {upstream: "http://hub", models: [big]}
profiles:
  day: {pins: {gpt: any, plain: eye, tiny: big, see: plain}}
"""


def rows(
    text: str = "", phases: dict[str, Phase] | None = None, profile: str | None = None
) -> tuple[list[str], Rows, Catalog]:
    settings = loads(CONFIG + text, name="c.yaml", environ={}).settings
    catalog = Catalog(settings)
    catalog.activate(profile)
    made = Rows(settings, 1234, lambda model: (phases or {}).get(model, Phase.STOPPED))
    return made.listed(catalog.pins()), made, catalog


def row(name: str, text: str = "", phases: dict[str, Phase] | None = None, profile: str | None = None) -> Row:
    _, made, catalog = rows(text, phases, profile)
    return made.row(name, catalog.resolve(name))


def about(row: Row, key: str = "penstock") -> dict[str, object]:
    return cast("dict[str, object]", row["meta"][key])


def test_models_selectors_and_peers_are_listed_in_order_unless_they_are_unlisted() -> None:
    assert rows()[0] == ["any", "eye", "hub/big", "plain"]


def test_aliases_have_rows_only_if_that_is_asked_for() -> None:
    assert rows("include_aliases_in_list: true\n")[0] == ["any", "eye", "hub/big", "look", "plain", "see"]


def test_a_profile_adds_the_names_that_it_brings() -> None:
    assert rows(profile="day")[0] == ["any", "eye", "gpt", "hub/big", "plain", "tiny"]
    told = {name: about(row(name, profile="day")) for name in ("gpt", "tiny")}
    assert told == {"gpt": {"type": "profile", "model": "any"}, "tiny": {"type": "profile", "model": "hub/big"}}


def test_a_row_says_what_the_model_is_and_can_do() -> None:
    assert row("eye") == {
        "id": "eye",
        "object": "model",
        "created": 1234,
        "owned_by": "penstock",
        "name": "Eye",
        "description": "It sees.",
        "aliases": ["look", "see"],
        "status": {"value": "unloaded", "phase": "stopped"},
        "architecture": {
            "input_modalities": ["text", "image"],
            "output_modalities": ["text"],
            "modality": "text+image->text",
        },
        "capabilities": {"vision": True, "function_calling": True},
        "supported_parameters": ["tools", "tool_choice"],
        "context_length": 32000,
        "meta": {"penstock": {"family": "eyes", "type": "model", "aliases": ["look", "see"]}, "n_ctx": 32000},
    }  # fmt: skip


def test_of_capabilities_that_are_half_written_the_other_half_is_unknown() -> None:
    half = row("secret")
    assert half["architecture"] == {"input_modalities": ["text", "image"]}
    assert half["capabilities"] == {"vision": True}


def test_without_capabilities_nothing_is_claimed_and_metadata_stays() -> None:
    plain = row("plain")
    assert about(plain) == {"context_length": 5, "type": "model", "aliases": []}
    assert "capabilities" not in plain
    assert "n_ctx" not in plain["meta"]


def test_an_alias_is_the_model_under_another_name() -> None:
    look = row("look")
    assert (look["id"], look["name"], look["aliases"], look["context_length"]) == ("look", "Eye", [], 32000)
    assert about(look) == {"family": "eyes", "type": "alias", "model": "eye", "aliases": []}
    assert about(row("big"))["model"] == "hub/big", "also a peer's short name"
    assert about(row("hush"))["type"] == "alias", "also of what is unlisted"


def test_a_selector_says_how_it_chooses() -> None:
    assert about(row("any")) == {
        "x": 1,
        "type": "selector",
        "strategy": "failover",
        "targets": ["plain", "big"],
        "spillover": 1,
    }
    assert row("any")["name"] == "Any"


def test_a_peers_model_is_listed_with_its_peer_and_never_as_loaded() -> None:
    peers = row("hub/big", phases={"hub/big": Phase.READY})
    assert (peers["name"], peers["status"]) == ("hub: big", {"value": "unloaded"})
    assert about(peers) == {"type": "peer", "peer": "hub", "model": "big", "aliases": ["big"]}


def test_where_clients_of_llama_swap_look_it_is_said_in_its_words() -> None:
    told = about(row("hub/big", "meta_key: llamaswap\n"), "llamaswap")
    assert told == {"type": "peer", "peerID": "hub", "modelID": "big", "aliases": ["big"]}


@pytest.mark.parametrize("phase", list(Phase))
def test_everything_but_stopped_counts_as_loaded(phase: Phase) -> None:
    value = "unloaded" if phase in (Phase.STOPPED, Phase.BACKOFF, Phase.FAILED) else "loaded"
    assert row("plain", phases={"plain": phase})["status"] == {"value": value, "phase": phase.value}
    assert row("any", phases={"plain": phase})["status"]["value"] == value


def test_a_selector_is_loaded_if_any_of_its_models_is() -> None:
    assert row("any", phases={"plain": Phase.STARTING})["status"] == {"value": "loaded", "phase": "starting"}
