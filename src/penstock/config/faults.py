"""What is wrong in a configuration file, and where: one Fault each, all of a file's faults at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from penstock.drawing.names import shown_name
from penstock.errors import PenstockError


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file; both counted from 1, columns in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong (or, as a warning, not as its writer may think).

    key: the path to it as written, "models.qwen.ttl"; "" = the file as a whole.
    found, expected: phrases that complete "found ..., expected ...".
    suggestion: what to write instead, as a sentence of its own without the final stop; None = nobody knows.
    """

    file: str
    mark: Mark | None
    key: str
    found: str
    expected: str
    suggestion: str | None = None

    @property
    def message(self) -> str:
        """Everything but the place, on one line."""
        subject = f"{self.key}: " if self.key else ""
        hint = f"; {self.suggestion}" if self.suggestion else ""
        return shown_name(f"{subject}found {self.found}, expected {self.expected}{hint}")

    @property
    def place(self) -> str:
        """file:line:column, as editors and terminals understand it."""
        return f"{self.file}:{self.mark.line}:{self.mark.column}" if self.mark else self.file

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class ConfigError(PenstockError):
    """The configuration cannot be used; `faults` says why, in the order of the file. `warnings` are no reason."""

    def __init__(self, faults: Iterable[Fault], warnings: Iterable[Fault] = ()) -> None:
        self.faults = in_file_order(faults)
        self.warnings = in_file_order(warnings)
        super().__init__("\n".join(map(str, self.faults)))


@dataclass(slots=True)
class Findings:
    """What was noticed so far while one file is read; every step adds to it, none gives up at the first."""

    file: str
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)

    def refuse(self) -> None:
        """Raise ConfigError if there is any fault."""
        if self.faults:
            raise ConfigError(self.faults, self.warnings)


def in_file_order(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Sorted by place, those without one last; the same fault once."""
    return tuple(sorted(dict.fromkeys(faults), key=_place))


def _place(fault: Fault) -> tuple[bool, int, int]:
    return (fault.mark is None, fault.mark.line if fault.mark else 0, fault.mark.column if fault.mark else 0)


def did_you_mean(name: str, names: Iterable[str]) -> str | None:
    """A suggestion naming the nearest of `names`; None if none is near."""
    folded = {_folded(each): each for each in names}
    near = difflib.get_close_matches(_folded(name), folded, n=1, cutoff=0.65)
    return f"did you mean `{folded[near[0]]}`?" if near else None


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def listed(names: Iterable[str]) -> str:
    """`a`, `b` or `c`."""
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}" if quoted else "nothing"
