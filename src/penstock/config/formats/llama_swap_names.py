"""What a llama-swap file says about names beside the models' own, and about how calls are relayed."""

from __future__ import annotations

from penstock.config.faults import Fault, Findings
from penstock.config.formats.llama_swap_filters import filters
from penstock.config.formats.recognition import inside, recognised, renamed
from penstock.config.positions import Node

CONNECT_TIMEOUT_S = 30
PEER_RESPONSE_TIMEOUT_S = 60
IGNORED_PATHS = r".*\.(js|json|css|png|gif|jpg|jpeg|ico|txt)$"
COMFYUI = "comfyui_auto"
COMFYUI_SLOTS = 50

_PROFILE = {"description": "description", "pins": "pins"}
_SELECTOR = {key: key for key in ("strategy", "targets", "name", "description", "unlisted", "metadata")}
_PEER = {"proxy": "upstream", "models": "models", "apiKey": "api_key"}
_CAPABILITIES = {"in": "input", "out": "output", "tools": "tools", "reranker": "reranker", "context": "context"}
_TIMEOUTS = {"connect": "connect", "responseHeader": "first_byte"}
_OTHER_TIMEOUTS = ("keepalive", "tlsHandshake", "expectContinue", "idleConn")


def names(root: Node, findings: Findings) -> dict[str, Node]:
    """The sections `profiles`, `selectors` and `peers`."""
    read = {"profiles": _profile, "selectors": _selector, "peers": _peer}
    return {
        key: section.made({name: read[key](each, findings) for name, each in section.members.items()} or section.value)
        for key, section in root.members.items()
        if key in read and section.value is not None
    }


def relaying(root: Node, findings: Findings) -> dict[str, Node]:
    """What holds for the calls of all models."""
    written = inside(recognised(root.members.get("upstream", root.made({})), ("ignorePaths",), findings), "ignorePaths")
    is_said = written is not None and written.value not in (None, [])
    flags = {"sendLoadingState": "send_loading_state", "includeAliasesInList": "include_aliases_in_list"}
    said = {flags[key]: each for key, each in root.members.items() if key in flags and each.value is not None}
    return {
        "limits": root.made({"connect": root.made(CONNECT_TIMEOUT_S), "first_byte": root.made("off")}),
        "meta_key": root.made("llamaswap"),
        "upstream_ignore_paths": written if written and is_said else root.made([root.made(IGNORED_PATHS)]),
        **said,
    }


def model_relaying(name: str, model: Node, findings: Findings) -> dict[str, Node]:
    """What holds for the calls of one model; `model` is as llama-swap has it."""
    made: dict[str, Node] = {}
    members = {key: each for key, each in model.members.items() if each.value is not None}
    if (timeouts := members.get("timeouts")) is not None:
        made["limits"] = _limits(timeouts, findings)
    if (compat := members.get("compat")) is not None:
        flags = recognised(compat, ("ignoreWebsockets",), findings)
        made |= renamed(flags, {"ignoreWebsockets": "ignore_websockets"}).members
    if (capabilities := members.get("capabilities")) is not None:
        made["capabilities"] = _capabilities(capabilities, findings)
    if (written := members.get("filters")) is not None:
        made["filters"] = filters(written, findings)
    if (told := members.get("sendLoadingState")) is not None:
        made["send_loading_state"] = told
    return made | (_comfyui(model) if name == COMFYUI else {})


def _comfyui(model: Node) -> dict[str, Node]:
    """A page that asks for dozens of things at once, and keeps a websocket open."""
    limit = model.members.get("concurrencyLimit")
    slots = limit.value if limit and isinstance(limit.value, int) else 0
    return {
        "ignore_websockets": model.made(True),
        "parallel": (limit or model).made(max(COMFYUI_SLOTS, slots)),
    }


def _profile(node: Node, findings: Findings) -> Node:
    if isinstance(node.value, list):
        found, expected = "a list of models, as older versions had it", "`pins`: a mapping from names to models"
        findings.faults.append(Fault(findings.file, node.mark, node.key, found, expected))
        return node.made({"pins": node.made({str(index): each for index, each in enumerate(node.items)})})
    return renamed(recognised(node, _PROFILE, findings), _PROFILE)


def _selector(node: Node, findings: Findings) -> Node:
    selector = renamed(recognised(node, (*_SELECTOR, "settings"), findings), _SELECTOR)
    settings = node.members.get("settings", node.made({}))
    spillover = recognised(settings, ("spillover",), findings).members.get("spillover")
    strategy = selector.members.get("strategy")
    if spillover is None or spillover.value is None or (strategy and strategy.value != "spillover"):
        return selector  # there it is allowed, and means nothing
    return selector.made({**selector.members, "spillover": spillover})


def _peer(node: Node, findings: Findings) -> Node:
    peer = renamed(recognised(node, (*_PEER, "timeouts", "filters"), findings), _PEER)
    if not isinstance(peer.value, dict):
        return peer
    said = {key: each for key, each in peer.members.items() if key != "api_key" or each.value != ""}
    if (written := node.members.get("filters")) is not None and written.value is not None:
        said["filters"] = filters(written, findings)
    own = _limits(node.members.get("timeouts", node.made({})), findings)
    if not isinstance(own.value, dict):
        return peer.made({**said, "limits": own})
    limits = {"first_byte": node.made(PEER_RESPONSE_TIMEOUT_S), **own.members}
    return peer.made({**said, "limits": own.made(limits)})


def _limits(timeouts: Node, findings: Findings) -> Node:
    """There 0 means none."""
    for key in _OTHER_TIMEOUTS:
        if (other := timeouts.members.get(key)) is not None:
            found, expected = "a timeout of a step that is not timed here", "`connect` or `responseHeader`"
            findings.warnings.append(Fault(findings.file, other.key_mark, other.key, found, expected))
    limits = renamed(recognised(timeouts, (*_TIMEOUTS, *_OTHER_TIMEOUTS), findings), _TIMEOUTS)
    off = {key: each.made("off") for key, each in limits.members.items() if each.value == 0}
    return limits.made({**limits.members, **off}) if isinstance(limits.value, dict) else limits


def _capabilities(node: Node, findings: Findings) -> Node:
    told = renamed(recognised(node, _CAPABILITIES, findings), _CAPABILITIES)
    said = {key: each for key, each in told.members.items() if key != "context" or each.value != 0}
    return told.made(said) if isinstance(told.value, dict) else told
