"""Which keys a file may use, in which spelling: snake_case is written, camelCase accepted, never both at once."""

from __future__ import annotations

import functools
from types import NoneType
from typing import get_args, get_origin

from penstock.config.faults import Fault, Findings, did_you_mean, listed
from penstock.config.positions import Node
from penstock.config.sections import Section

FREE = "x-"
"""Keys that begin so belong to the writer of the file."""


def spelled(node: Node, section: type[Section], findings: Findings) -> Node:
    """The same tree with the keys that `section` knows, in their own spelling; free and empty ones left out."""
    if not isinstance(node.value, dict):
        return node
    known = spellings(section)
    members: dict[str, Node] = {}
    for written, member in node.value.items():
        if written.startswith(FREE):
            continue
        field = known.get(written)
        if field is None:
            _unknown(written, member, section, findings)
        elif field in members:
            expected = f"only one of the two (the other is in line {members[field].key_mark.line})"
            found = f"a second spelling of `{field}`"
            findings.faults.append(Fault(findings.file, member.key_mark, member.key, found, expected))
        else:
            members[field] = _inside(member, section.model_fields[field].annotation, findings)
    # A key with nothing behind it was not said; kept until here so that its spelling is checked too.
    return node.made({field: member for field, member in members.items() if member.value is not None})


@functools.cache
def spellings(section: type[Section]) -> dict[str, str]:
    """From each accepted spelling of a key to its field."""
    known: dict[str, str] = {}
    for field in section.model_fields:
        known |= {field: field, _camel(field): field}
    for written, field in section.ALSO_WRITTEN.items():
        known |= {written: field, _camel(written): field}
    return known


def _inside(node: Node, annotation: object, findings: Findings) -> Node:
    section = _section_in(annotation)
    if section is None:
        return node
    if get_origin(annotation) is not dict:
        return spelled(node, section, findings)
    return node.made({name: spelled(each, section, findings) for name, each in node.members.items()} or node.value)


def _section_in(annotation: object) -> type[Section] | None:
    """The section that a field of this type holds: itself, optionally, or one for each name."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    arms = [arm for arm in get_args(annotation) if arm is not NoneType]
    return next((found for arm in arms if (found := _section_in(arm))), None)


def _unknown(written: str, member: Node, section: type[Section], findings: Findings) -> None:
    suggestion = did_you_mean(written, section.model_fields)
    expected = f"a key of {described(section)}" if suggestion else f"one of {listed(sorted(section.model_fields))}"
    findings.faults.append(Fault(findings.file, member.key_mark, member.key, "an unknown key", expected, suggestion))


def described(section: type[Section]) -> str:
    """The section in a sentence."""
    kind = section.__name__.removesuffix("Settings").lower()
    return f"a {kind}" if kind else "the file"


def _camel(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)
