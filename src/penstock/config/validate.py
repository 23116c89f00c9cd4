"""A tree of known keys to typed settings; each value that does not fit becomes a fault at its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from penstock.config.faults import Fault, Findings
from penstock.config.positions import Node
from penstock.config.schema import Settings

_SHOWN_CHARS = 60
_SECRET_KEYS = frozenset({"api_key", "env", "hash"})
_OPEN_OF_A_KEY = frozenset({"role", "priority", "weight", "max_concurrent", "models", "quotas"})
"""What may be shown of the keys; whatever else stands there may be one."""
_MAPPING = frozenset({"model_type", "model_attributes_type", "dict_type", "mapping_type"})

_MAPPINGS: dict[tuple[int | str, int], str] = {
    ("models", 1): "a mapping from names to models, such as `qwen: {upstream: http://127.0.0.1:8000}`",
    ("models", 2): "a mapping with one of `cmd`, `gguf` or `upstream` in it",
    ("keys", 1): "a mapping from names to keys",
    ("keys", 2): "a mapping with a `hash` in it, as `penstock keys` makes them",
}
"""What is expected where most people begin, by the section and how deep below it."""

Location = tuple[int | str, ...]


def understood(root: Node, findings: Findings) -> Settings | None:
    """The settings, less what does not fit, which is reported; None if nothing is left."""
    cut: set[Location] = set()
    while True:
        try:
            return Settings.model_validate(root.plain())
        except ValidationError as error:
            locations = [_report(each, root, cut, findings) for each in error.errors()]
            # The rest is validated again, so that the checks across keys see it too.
            if not all(locations) or cut.issuperset(locations):
                return None
            cut.update(locations)
            for location in locations:
                root = _without(root, location)


def _report(error: Any, root: Node, cut: set[Location], findings: Findings) -> Location:  # pydantic's ErrorDetails
    """Report one error; returns where to cut, () = at the root."""
    location = _written(root, error["loc"])
    if error["type"] == "missing" and tuple(error["loc"]) in cut:
        return location  # it was there, and has its fault
    node = _at(root, location)
    item = error.get("ctx", {}).get("item")
    shown = node if item is None else _step(node, item) or node
    found = described(shown, is_secret=_is_secret(location))
    if error["type"] == "missing":
        found = f"no `{error['loc'][-1]}`"
    mark = node.key_mark if node.value is None else shown.mark
    findings.faults.append(Fault(findings.file, mark, shown.key, found, _expected(error, location)))
    return location


def _is_secret(location: Location) -> bool:
    if location[:1] == ("keys",):
        return len(location) < 3 or location[2] not in _OPEN_OF_A_KEY
    return bool(_SECRET_KEYS & set(map(str, location))) or location == ("store", "url")


def _expected(error: Any, location: Location) -> str:
    if error["type"] == "unexpected":
        return str(error["ctx"]["expected"])
    if error["type"] in _MAPPING:
        return _MAPPINGS.get((location[0], len(location)), "a mapping") if location else "a mapping"
    if error["type"] == "missing":
        return "one, as `penstock keys` makes them" if error["loc"][-1] == "hash" else "one"
    if error["type"] in ("enum", "literal_error"):
        return str(error["ctx"]["expected"]).replace("'", "`")
    return str(error["msg"]).replace("Input should be ", "")


def described(node: Node, *, is_secret: bool = False) -> str:
    """What stands there, in a few words."""
    value = node.value
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing"
    if is_secret:
        return "a value that is not shown"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value[:_SHOWN_CHARS]}{"…" if len(value) > _SHOWN_CHARS else ""}"'
    return str(value)[:_SHOWN_CHARS]


def _written(root: Node, location: Sequence[int | str]) -> Location:
    """The part of a location that the file has: a missing key, or a part of a value, has no place of its own."""
    node: Node | None = root
    for depth, step in enumerate(location):
        node = _step(node, step) if node else None
        if node is None:
            return tuple(location[:depth])
    return tuple(location)


def _at(root: Node, location: Location) -> Node:
    node = root
    for step in location:
        inner = _step(node, step)
        assert inner is not None
        node = inner
    return node


def _step(node: Node, step: int | str) -> Node | None:
    if isinstance(step, int):
        return node.items[step] if step < len(node.items) else None
    return node.members.get(step)


def _without(node: Node, location: Location) -> Node:
    """The tree less the value at `location`; the same tree if it is gone already."""
    inner = _step(node, location[0])
    if inner is None:
        return node
    if isinstance(node.value, list):
        return node.made([each for each in node.value if each is not inner])
    rest = {key: each for key, each in node.members.items() if key != location[0]}
    return node.made(rest if len(location) == 1 else {**node.members, str(location[0]): _without(inner, location[1:])})
