"""A llama-swap file's `filters`, of a model or of a peer."""

from __future__ import annotations

from penstock.config.faults import Fault, Findings
from penstock.config.filters import BY_ID, fault_of
from penstock.config.formats.recognition import recognised
from penstock.config.positions import Node

_FILTERS = {"stripParams": "strip_params", "setParams": "set_params", "setParamsByID": BY_ID}
_LEGACY = "strip_params"


def filters(node: Node, findings: Findings) -> Node:
    """The section in the native form. What it says of `model` has no effect there either, and what cannot be named
    here is left out; both with a warning."""
    known = recognised(node, (*_FILTERS, _LEGACY), findings, not_honoured=("setParamsByMatch",))
    if not isinstance(known.value, dict):
        return known
    made = {_FILTERS[key]: each for key, each in known.members.items() if key in _FILTERS and each.value}
    legacy = known.members.get(_LEGACY)
    if legacy is not None and legacy.value:
        made.setdefault("strip_params", legacy)
    if (strip := made.get("strip_params")) is not None:
        made["strip_params"] = _stripped(strip, findings)
    if (params := made.get("set_params")) is not None:
        made["set_params"] = _named(params, findings)
    if (by_id := made.get(BY_ID)) is not None:
        each = {name: _named(params, findings) for name, params in by_id.members.items()}
        made[BY_ID] = by_id.made(dict(each) or by_id.value)
    return known.made(made)


def _stripped(strip: Node, findings: Findings) -> Node:
    if not isinstance(strip.value, str):
        return strip
    paths = [strip.made(path) for each in strip.value.split(",") if (path := each.strip())]
    return strip.made([path for path in paths if _can_be_named(path, str(path.value), findings)])


def _named(params: Node, findings: Findings) -> Node:
    if params.value is None:
        return params.made({})
    kept = {path: value for path, value in params.members.items() if _can_be_named(value, path, findings)}
    return params.made(kept) if isinstance(params.value, dict) else params


def _can_be_named(at: Node, path: str, findings: Findings) -> bool:
    fault = fault_of(at, path)
    if fault is not None:
        node, found, expected = fault
        findings.warnings.append(Fault(findings.file, node.mark, node.key, f"{found}, which is left out", expected))
    return fault is None
