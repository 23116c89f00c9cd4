"""A file under examination: what it says, what was understood, and where to report what does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from penstock.config.faults import Fault, Findings
from penstock.config.positions import Node
from penstock.config.schema import ModelSettings, Settings
from penstock.core.calls.names import oddity


@dataclass(slots=True)
class Check:
    """One file under examination: what it says (`root`, with places) and what was understood (`settings`).

    Where a value could not be understood it is missing from `settings` but not from `root`; so what is
    said about presence is read from `root`, and no fault causes a second one.
    """

    settings: Settings
    root: Node
    findings: Findings

    def fault(self, at: Node, found: str, expected: str, suggestion: str | None = None) -> None:
        self.findings.faults.append(Fault(self.findings.file, at.mark, at.key, found, expected, suggestion))

    def warn(self, at: Node, found: str, expected: str, suggestion: str | None = None) -> None:
        self.findings.warnings.append(Fault(self.findings.file, at.mark, at.key, found, expected, suggestion))

    def named(self, at: Node, name: str, expected: str) -> None:
        """Whatever is called so can be asked for, and be shown."""
        if not name:
            self.fault(at, "an empty name", expected)
        elif (odd := oddity(name)) and not self._is_at_fault(at):
            self.fault(at, f"a name that {odd}", f"{expected}, in characters that people can read")

    def _is_at_fault(self, at: Node) -> bool:
        """Has something been said of its line already, as of a variable in it that is not set?"""
        lines = {fault.mark.line for fault in self.findings.faults if fault.mark is not None}
        return at.key_mark.line in lines

    def section(self, *path: str) -> Node:
        """What is written at `path`; something empty where nothing is."""
        node = self.root
        for step in path:
            node = node.members.get(step) or node.made({})
        return node

    def models(self) -> Iterator[tuple[Node, ModelSettings]]:
        for name, node in self.section("models").members.items():
            if name in self.settings.models:
                yield node, self.settings.models[name]
