"""The rows of /v1/models: what each kind of name is, in OpenAI's shape with what other gateways tell beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NotRequired, TypedDict

from pydantic import JsonValue

from penstock.config.capabilities import CapabilitiesSettings
from penstock.config.names import known_names, peer_names
from penstock.config.schema import Settings
from penstock.core.model import Phase
from penstock.runtime.calls.catalog import Target

NOT_LOADED = (Phase.STOPPED, Phase.BACKOFF, Phase.FAILED)
SAID_BY_CAPABILITIES = frozenset({"architecture", "capabilities", "supported_parameters", "context_length"})
"""Free metadata of these names is left out where `capabilities` say it."""
CAMEL = {"model": "modelID", "peer": "peerID"}
"""How the members of `meta.llamaswap` are spelled."""


class Row(TypedDict):
    """`created` is when the gateway started: nobody knows when a model was made."""

    id: str
    object: str
    created: int
    owned_by: str
    name: str
    description: str
    aliases: list[str]
    status: dict[str, str]
    meta: dict[str, object]
    architecture: NotRequired[dict[str, object]]
    capabilities: NotRequired[dict[str, bool]]
    supported_parameters: NotRequired[list[str]]
    context_length: NotRequired[int]


class Rows:
    """phase_of: of a model's replica, now."""

    def __init__(self, settings: Settings, created: int, phase_of: Callable[[str], Phase]) -> None:
        self._settings = settings
        self._created = created
        self._phase_of = phase_of
        self._peers = peer_names(settings)
        self._models_by_name = known_names(settings.models)

    def listed(self, pins: Iterable[str]) -> list[str]:
        """The names that have a row, in their order. pins: names that the active profile speaks of."""
        settings = self._settings
        names = {name for name, model in settings.models.items() if not model.unlisted}
        if settings.include_aliases_in_list:
            names |= {alias for name in names - self._peers.keys() for alias in settings.models[name].aliases}
        names |= {name for name, selector in settings.selectors.items() if not selector.unlisted}
        names |= {pin for pin in pins if pin not in self._models_by_name and pin not in settings.selectors}
        return sorted(names)

    def row(self, name: str, target: Target) -> Row:
        """Of any name. target: what it leads to now."""
        if name in self._settings.selectors:
            return self._selector(name, target)
        if name in self._peers:
            peer, model = self._peers[name]
            return self._of_model(name, name, {"type": "peer", "peer": peer, "model": model})
        if name in self._settings.models:
            return self._of_model(name, name, {"type": "model"})
        if name in self._models_by_name:
            model = self._models_by_name[name]
            return self._of_model(name, model, {"type": "alias", "model": model})
        about = {"type": "profile", "model": target.selector or target.model}
        return self._made(name, about, {}, self._status([target.model]))

    def _of_model(self, name: str, model: str, about: Mapping[str, object]) -> Row:
        settings = self._settings.models[model]
        capabilities, metadata = settings.capabilities, settings.metadata
        if capabilities is not None:
            metadata = {key: value for key, value in metadata.items() if key not in SAID_BY_CAPABILITIES}
        aliases = list(settings.aliases) if name == model else []
        row = self._made(name, {**about, "aliases": aliases}, metadata, self._status([model]))
        row["name"] = ": ".join(self._peers[model]) if model in self._peers else settings.name
        row["description"], row["aliases"] = settings.description, aliases
        if capabilities is not None:
            _tell_capabilities(row, capabilities)
        return row

    def _selector(self, name: str, target: Target) -> Row:
        selector = self._settings.selectors[name]
        about = {
            "type": "selector",
            "strategy": selector.strategy.value,
            "targets": list(selector.targets),
            "spillover": selector.spillover,
        }
        status = self._status([each.model for each in target.candidates or (target,)])
        row = self._made(name, about, selector.metadata, status)
        row["name"], row["description"] = selector.name, selector.description
        return row

    def _made(
        self, name: str, about: Mapping[str, object], free: Mapping[str, JsonValue], status: dict[str, str]
    ) -> Row:
        key = self._settings.meta_key
        spelled = about if key == "penstock" else {CAMEL.get(member, member): value for member, value in about.items()}
        return Row(
            id=name,
            object="model",
            created=self._created,
            owned_by="penstock",
            name="",
            description="",
            aliases=[],
            status=status,
            meta={key: {**free, **spelled}},
        )

    def _status(self, models: list[str]) -> dict[str, str]:
        """Of one model, or of the most alive of several. What is loaded at a peer, nobody here knows."""
        phases = [self._phase_of(model) for model in models if model not in self._peers]
        loaded = [phase for phase in phases if phase not in NOT_LOADED]
        if not phases:
            return {"value": "unloaded"}
        return {"value": "loaded" if loaded else "unloaded", "phase": (loaded or phases)[0].value}


def _tell_capabilities(row: Row, told: CapabilitiesSettings) -> None:
    architecture: dict[str, object] = {}
    if told.input:
        architecture["input_modalities"] = list(told.input)
    if told.output:
        architecture["output_modalities"] = list(told.output)
    if told.input and told.output:  # half of it would read as if the model made nothing, or out of nothing
        architecture["modality"] = f"{'+'.join(told.input)}->{'+'.join(told.output)}"
    if architecture:
        row["architecture"] = architecture
    row["capabilities"] = dict.fromkeys(told.abilities, True)
    if told.tools:
        row["supported_parameters"] = ["tools", "tool_choice"]
    if told.context is not None:
        row["context_length"] = told.context
        row["meta"]["n_ctx"] = told.context
