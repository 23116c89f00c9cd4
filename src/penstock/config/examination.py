"""A file under examination: what it says, what was understood, and where to report what does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from penstock.config.faults import Fault, Findings
from penstock.config.positions import Node
from penstock.config.schema import ModelSettings, Settings


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
