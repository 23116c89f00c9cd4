"""What is wrong with profiles, selectors and peers: names that collide, or lead nowhere, or nowhere useful."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from penstock.config.examination import Check
from penstock.config.faults import did_you_mean, listed
from penstock.config.names import full_name, known_names, peer_models
from penstock.config.plan import plan
from penstock.config.positions import Node
from penstock.config.schema import ModelSettings
from penstock.config.values import Residency
from penstock.core.model import Strategy

NO_REPEATS = (Strategy.SPILLOVER, Strategy.FAILOVER)
"""With these a target that stands there twice has no meaning."""


@dataclass(frozen=True, slots=True)
class _Written:
    """All names as they are written. short: from a peer's own name for a model to the peers that have it."""

    owners: dict[str, str]  # "a model", "an alias", "a selector" or "a peer's model"
    short: dict[str, list[str]]

    def __contains__(self, name: str) -> bool:
        return name in self.owners or name in self.short


def peers(check: Check) -> None:
    """Every peer has models, whose full names are nobody else's."""
    taken = _own_names(check) | {pin: "a pin" for _, pin, _ in _pins(check)}
    for peer, node in check.section("peers").members.items():
        check.named(node, peer, "a name for the peer")
        _filled(check, node, "models")
        for item in _list(node, "models"):
            name = full_name(peer, str(item.value))
            if name in taken:
                check.fault(item, f"`{name}`, which is {taken[name]} already", "a full name that is nothing else")
            taken[name] = "a peer's model"


def selectors(check: Check) -> None:
    """A selector has a name of its own, and leads to models that its strategy can choose from."""
    written = _written(check)
    for name, node in check.section("selectors").members.items():
        check.named(node, name, "a name for the selector")
        owner = written.owners[name]
        if owner != "a selector":
            check.fault(node, f"the name `{name}`, which is {owner} already", "a name that nothing else has")
        _filled(check, node, "targets")
        for item in _list(node, "targets"):
            _target(check, item, written)
        strategy = check.settings.selectors[name].strategy if name in check.settings.selectors else Strategy.SPILLOVER
        if "spillover" in node.members and strategy is not Strategy.SPILLOVER:
            found, expected = f"a key that has no effect beside `strategy: {strategy.value}`", "it to be left out"
            check.fault(node.members["spillover"], found, expected)
    if not check.findings.faults:
        for name, node in check.section("selectors").members.items():
            _choosable(check, name, node)


def profiles(check: Check) -> None:
    """A profile pins something, to something that exists."""
    written = _written(check)
    for profile, node in check.section("profiles").members.items():
        check.named(node, profile, "a name for the profile")
        if isinstance(node.value, dict) and not node.members.get("pins", node.made({})).members:
            check.fault(node.members.get("pins", node), "no pins", "at least one")
    for _, pin, target in _pins(check):
        check.named(target, pin, "the name that is asked for")
        if target.value not in (None, ""):
            _target(check, target, written, is_selector_allowed=True)


def _target(check: Check, at: Node, written: _Written, *, is_selector_allowed: bool = False) -> None:
    name = str(at.value)
    owner, having = written.owners.get(name), written.short.get(name, [])
    if owner == "a selector" and not is_selector_allowed:
        check.fault(at, f"`{name}`, which is a selector", "a model: one selector does not lead to another")
    elif owner is None and len(having) > 1:
        full = listed(full_name(peer, name) for peer in having)
        check.fault(at, f"`{name}`, which peers {' and '.join(f'`{peer}`' for peer in having)} have", full)
    elif name not in written:
        suggestion = did_you_mean(name, [*written.owners, *written.short])
        check.fault(at, f"the unknown model `{name}`", "a model, an alias or `peer/model`", suggestion)


def _choosable(check: Check, name: str, node: Node) -> None:
    """Its strategy makes sense for its targets. Of sound settings only."""
    settings, selector = check.settings, check.settings.selectors[name]
    of_peers = peer_models(settings)
    models = settings.models | of_peers
    owners = known_names(models)
    first: dict[str, Node] = {}
    for item, target in zip(_list(node, "targets"), selector.targets, strict=True):
        model = owners[target]
        if selector.strategy is Strategy.WARM and model in of_peers:
            found, expected = f"`{target}`, of which nobody here knows whether it is loaded", "models that run here"
            check.fault(item, found, f"{expected} beside `strategy: warm`")
        if first.setdefault(model, item) is not item and selector.strategy in NO_REPEATS:
            again = f"the model `{model}` a second time (first in line {first[model].mark.line})"
            check.fault(item, again, "each model once")
    here = {model: models[model] for model in first if models[model].upstream is None}
    if selector.strategy is Strategy.SPILLOVER and not _may_be_together(check, here):
        found = f"{' and '.join(f'`{model}`' for model in here)}, which are never loaded together"
        expected = f"targets that `residency: {settings.residency.value}` lets stay side by side"
        check.fault(node.members["targets"], found, expected)


def _may_be_together(check: Check, models: dict[str, ModelSettings]) -> bool:
    """True also where only the running gateway will know what they take."""
    settings = check.settings
    is_by_size = settings.residency is Residency.MEMORY or settings.devices
    if is_by_size and (not settings.devices or any(model.memory is None for model in models.values())):
        return True
    return plan(settings, host_memory_bytes=0).residency.fits(models)


def _written(check: Check) -> _Written:
    short: dict[str, list[str]] = {}
    owners = dict.fromkeys(check.section("selectors").members, "a selector")
    for peer, node in check.section("peers").members.items():
        for item in _list(node, "models"):
            short.setdefault(str(item.value), []).append(peer)
            owners[full_name(peer, str(item.value))] = "a peer's model"
    return _Written(owners | _own_names(check), short)


def _own_names(check: Check) -> dict[str, str]:
    """Of the file's own models and selectors; a model's name is a model's, whoever else wants it."""
    models = check.section("models").members
    aliases = [str(alias.value) for model in models.values() for alias in _list(model, "aliases")]
    return (
        dict.fromkeys(check.section("selectors").members, "a selector")
        | dict.fromkeys(aliases, "an alias")
        | dict.fromkeys(models, "a model")
    )


def _pins(check: Check) -> Iterator[tuple[str, str, Node]]:
    """Profile, name that is asked for, and where it leads."""
    for profile, node in check.section("profiles").members.items():
        for pin, target in node.members.get("pins", node.made({})).members.items():
            yield profile, pin, target


def _list(node: Node, key: str) -> list[Node]:
    return node.members.get(key, node.made([])).items


def _filled(check: Check, node: Node, key: str) -> None:
    if key in node.members and node.members[key].value == []:
        check.fault(node.members[key], "an empty list", "at least one model")
