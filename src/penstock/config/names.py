"""What the names of a configuration stand for, before a profile changes any of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from penstock.config.schema import ModelSettings, Settings

_PASSED_ON = ("upstream", "api_key", "parallel", "filters", "limits", "breaker", "forward_priority")


def full_name(peer: str, model: str) -> str:
    """What a peer's model is called here."""
    return f"{peer}/{model}"


def peer_names(settings: Settings) -> dict[str, tuple[str, str]]:
    """From the full name of every peer's model to the peer, and what the peer calls it."""
    return {full_name(name, model): (name, model) for name, peer in settings.peers.items() for model in peer.models}


def peer_models(settings: Settings) -> dict[str, ModelSettings]:
    """The models of all peers by their full names; where the short name is free, it is an alias."""
    made: dict[str, ModelSettings] = {}
    having = Counter(model for peer in settings.peers.values() for model in set(peer.models))
    names = peer_names(settings)
    taken = {*known_names(settings.models), *settings.selectors, *names}
    for name, (peer_name, model) in names.items():
        peer = settings.peers[peer_name]
        said = {key: getattr(peer, key) for key in _PASSED_ON if key in peer.model_fields_set}
        aliases = (model,) if having[model] == 1 and model not in taken else ()
        made[name] = ModelSettings.model_validate({**said, "aliases": aliases, "use_model_name": model})
    return made


def known_names(models: Mapping[str, ModelSettings]) -> dict[str, str]:
    """From every name, aliases included, to its model."""
    names = {name: name for name in models}
    return {alias: name for name, model in models.items() for alias in model.aliases} | names
