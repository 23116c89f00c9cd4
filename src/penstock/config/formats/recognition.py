"""Reading another system's mappings: the keys that have an effect here, and a warning for each that has none."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from penstock.config.faults import Fault, Findings, did_you_mean
from penstock.config.keys import FREE, spellings
from penstock.config.positions import Node
from penstock.config.sections import Section


def recognised(
    node: Node,
    handled: Collection[str],
    findings: Findings,
    *,
    not_honoured: Collection[str] = (),
    native: type[Section] | None = None,
) -> Node:
    """A mapping less the keys without effect. A key that is empty or false asks for nothing, so none is missed."""
    for key, member in node.members.items():
        if key in handled or key.startswith(FREE) or (key in not_honoured and not member.value):
            continue
        if key in not_honoured:
            found, expected, suggestion = "a key that is not honoured yet", "a file that works without it", None
        else:
            found, expected = "an unknown key, which has no effect", "a key of llama-swap's"
            suggestion = did_you_mean(key, [*handled, *not_honoured])
            if native is not None and key in spellings(native):
                suggestion = "it belongs to the native form, which begins with `penstock: 1`"
        findings.warnings.append(Fault(findings.file, member.key_mark, member.key, found, expected, suggestion))
    known = {key: member for key, member in node.members.items() if key in handled}
    return node.made(known) if isinstance(node.value, dict) else node


def renamed(node: Node, names: Mapping[str, str]) -> Node:
    """A mapping with the native names of its keys, less what says nothing; anything else as it is."""
    if not isinstance(node.value, dict):
        return node
    return node.made(
        {names[key]: each for key, each in node.members.items() if key in names and each.value is not None}
    )


def inside(node: Node, *path: str) -> Node | None:
    """What is written at a path; None = nothing."""
    inner: Node | None = node
    for step in path:
        inner = inner.members.get(step) if inner else None
    return inner
