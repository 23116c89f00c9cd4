"""YAML text to a tree whose every node knows where it stands. Only this file knows the YAML library.

JSON is read by the same way: it is YAML, and its faults deserve a line and a column too.
Nothing in a file can make this run code, or for long: the text, the tree and its depth are bounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ruamel.yaml import YAML
from ruamel.yaml import error as yaml_error
from ruamel.yaml import nodes as yaml

from penstock.config.faults import Fault, Findings, Mark

MAX_TEXT_CHARS = 4 * 2**20
MAX_NODES = 200_000
"""Counted after anchors are unfolded: ten lines of YAML can otherwise unfold to more than the memory holds."""
MAX_DEPTH = 64

Scalar = str | int | float | bool | None
Plain = Scalar | list["Plain"] | dict[str, "Plain"]

_TAG = "tag:yaml.org,2002:"
_START = Mark(1, 1)


@dataclass(slots=True)
class Node:
    """One value of a file. It keeps its place when it is moved, so a translated tree still points at what was written.

    mark: where the value begins; key_mark: where its key (or, in a list, itself) begins. key: path as written.
    """

    value: Scalar | list[Node] | dict[str, Node]
    mark: Mark
    key: str = ""
    key_mark: Mark = _START

    def made(self, value: Scalar | list[Node] | dict[str, Node]) -> Node:
        """Another value at the same place."""
        return Node(value, self.mark, self.key, self.key_mark)

    @property
    def members(self) -> dict[str, Node]:
        """The members of a mapping; none of anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """The elements of a list; none of anything else."""
        return self.value if isinstance(self.value, list) else []

    def plain(self) -> Plain:
        """The same without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def parse(text: str, findings: Findings) -> Node:
    """The tree of `text`; what cannot be read is reported and left out. An empty text is an empty mapping."""
    if len(text) > MAX_TEXT_CHARS:
        findings.faults.append(Fault(findings.file, None, "", f"{len(text)} characters", f"at most {MAX_TEXT_CHARS}"))
        return Node({}, _START)
    root = _composed(_spaced(text), findings)
    return Node({}, _START) if root is None else _Unfolding(findings).node(root, "", _mark(root), 0)


def _composed(text: str, findings: Findings) -> yaml.Node | None:
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except yaml_error.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        context = f", {error.context}" if error.context else ""
        place = Mark(mark.line + 1, mark.column + 1) if mark else None
        findings.faults.append(
            Fault(
                findings.file,
                place,
                "",
                f"broken YAML ({error.problem}{context})",
                "valid YAML",
                _syntax_hint(text, place),
            )
        )
        return None
    except RecursionError:
        findings.faults.append(Fault(findings.file, None, "", "very deep nesting", f"at most {MAX_DEPTH} levels"))
        return None
    except (yaml_error.YAMLError, ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        # The library lets some texts escape its own error classes; to the reader they are all unreadable YAML.
        reason = " ".join(str(error).split())[:200]
        findings.faults.append(Fault(findings.file, None, "", f"broken YAML ({reason})", "valid YAML"))
        return None
    assert root is None or isinstance(root, yaml.Node)
    return root


def _syntax_hint(text: str, place: Mark | None) -> str | None:
    lines = text.splitlines()
    if place is None or place.line > len(lines):
        return None
    if "${" in lines[place.line - 1]:
        return "a value with `${...}` inside `{...}` or `[...]` needs quotes around it"
    if "\t" in lines[place.line - 1][: place.column]:
        return "YAML is indented with spaces, not tabs"
    return None


def _spaced(text: str) -> str:
    """JSON may be indented with tabs, YAML may not; a tab becomes one space, so columns stay true."""
    text = text.removeprefix("\ufeff")
    if not text.lstrip().startswith("{"):
        return text
    return re.sub(r"^[\t ]+", lambda indent: " " * len(indent[0]), text, flags=re.MULTILINE)


class _Unfolding:
    """Turns the library's nodes into ours: anchors and merge keys unfolded, scalars read, duplicates reported."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.count = 0

    def node(self, source: yaml.Node, key: str, key_mark: Mark, depth: int) -> Node:
        self.count += 1
        made = Node(None, _mark(source), key, key_mark)
        if depth > MAX_DEPTH or self.count > MAX_NODES:
            too_much = f"more than {MAX_DEPTH} levels" if depth > MAX_DEPTH else f"more than {MAX_NODES} values"
            if self.count <= MAX_NODES + 1:
                self._fault(made, too_much, "a smaller file", "an anchor may contain itself")
        elif isinstance(source, yaml.MappingNode):
            made.value = self._mapping(source, made, depth)
        elif isinstance(source, yaml.SequenceNode):
            made.value = [
                self.node(item, f"{key}[{index}]", _mark(item), depth + 1) for index, item in enumerate(source.value)
            ]
        elif isinstance(source, yaml.ScalarNode):
            made.value = self._scalar(source, made)
        return made

    def _mapping(self, source: yaml.MappingNode, made: Node, depth: int) -> dict[str, Node]:
        members: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key_node, value_node in source.value:
            mark = _mark(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self._fault(made, "a key that is a list or a mapping", "a key that is a text")
            elif key_node.tag == _TAG + "merge":
                merged = self._merged(value_node, made, depth) | merged
            elif (name := _rejoined(str(key_node.value), "replace")) in members:
                place = Node(None, mark, _joined(made.key, name))
                first = members[name].key_mark.line
                self._fault(place, f"the key a second time (first in line {first})", "each key once")
            else:
                members[name] = self.node(value_node, _joined(made.key, name), mark, depth + 1)
        return merged | members

    def _merged(self, source: yaml.Node, made: Node, depth: int) -> dict[str, Node]:
        """What `<<` brings in; of several sources an earlier one wins."""
        sources = source.value if isinstance(source, yaml.SequenceNode) else [source]
        merged: dict[str, Node] = {}
        for each in sources:
            node = self.node(each, made.key, _mark(each), depth + 1)
            if not isinstance(node.value, dict):
                self._fault(node, "`<<` with something else", "`<<` with a mapping, or a list of mappings")
            merged = node.members | merged
        return merged

    def _scalar(self, source: yaml.ScalarNode, made: Node) -> Scalar:
        text = str(source.value)
        try:
            return _read(text, str(source.tag).removeprefix(_TAG))
        except ValueError:
            self._fault(made, f"`{text[:60]}`", "a value that can be read")
            return None

    def _fault(self, at: Node, found: str, expected: str, suggestion: str | None = None) -> None:
        self.findings.faults.append(Fault(self.findings.file, at.mark, at.key, found, expected, suggestion))


def _read(text: str, tag: str) -> Scalar:
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() in {"true", "yes", "on"}
    if tag == "int":
        return _whole(text.replace("_", "").lower())
    if tag == "float":
        return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
    return _rejoined(text, "strict")


def _rejoined(text: str, errors: str) -> str:
    """JSON writes a character beyond U+FFFF as two escapes, which YAML reads as two halves; a half alone is none."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", errors)


def _whole(text: str) -> int:
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2], 10)
    return sign * int(digits, base)


def _joined(path: str, key: str) -> str:
    shown = key if key and re.fullmatch(r"[^\s.\[\]'\"]+", key) else f'"{key}"'
    return f"{path}.{shown}" if path else shown


def _mark(node: yaml.Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)
