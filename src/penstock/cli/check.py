"""`penstock check FILE`: everything that is wrong with a configuration file, at once."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from penstock.config.faults import Fault
from penstock.config.load import MAX_FILE_BYTES, ConfigError, Loaded, load
from penstock.drawing.names import shown_name

FINE, BAD_CONFIGURATION = 0, 3
_SHOWN_CHARS = 100
_BEFORE_CARET_CHARS = 60
_SECRET = re.compile("key|token|secret|password|hash", re.IGNORECASE)
"""Lines that are not repeated on a terminal, or in the log of whatever runs this."""


def check(
    path: Path,
    *,
    as_json: bool = False,
    upstream: str | None = None,
    format: str | None = None,  # noqa: A002
    environ: Mapping[str, str] | None = None,
    out: TextIO | None = None,
) -> int:
    """Print all faults and warnings of a file; returns the exit code, 0 if it can be served."""
    out = out or sys.stdout
    try:
        loaded = load(path, environ=os.environ if environ is None else environ, upstream=upstream, format=format)
    except ConfigError as error:
        out.write(_json(error.faults, error.warnings, None) if as_json else told(path, error.faults, error.warnings))
        return BAD_CONFIGURATION
    out.write(_json((), loaded.warnings, loaded) if as_json else told(path, (), loaded.warnings) + _summary(loaded))
    return FINE


def told(path: Path, faults: Sequence[Fault], warnings: Sequence[Fault] = ()) -> str:
    """Faults and warnings for people, each with the line it is about."""
    lines = _lines_of(path)
    text = "".join(f"{each.place}: warning: {each.message}\n{_excerpt(each, lines)}" for each in warnings)
    text += "".join(f"{each.place}: error: {each.message}\n{_excerpt(each, lines)}" for each in faults)
    return text + (f"{path}: {len(faults)} fault{'s' if len(faults) > 1 else ''}\n" if faults else "")


def _lines_of(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES).decode("utf-8", "replace").split("\n")
    except OSError:
        return []


def _excerpt(fault: Fault, lines: list[str]) -> str:
    """The line a fault is about, with a caret; long lines are cut around it."""
    if fault.mark is None or fault.mark.line > len(lines) or _SECRET.search(lines[fault.mark.line - 1]):
        return ""
    start = max(0, fault.mark.column - 1 - _BEFORE_CARET_CHARS)
    shown = lines[fault.mark.line - 1][start : start + _SHOWN_CHARS].expandtabs(1).rstrip()
    shown = shown_name(shown)  # what stands in a file must not act on a terminal
    return f"    {shown}\n    {' ' * (fault.mark.column - 1 - start)}^\n"


def _summary(loaded: Loaded) -> str:
    count = len(loaded.settings.models)
    return f"{loaded.path}: fine ({loaded.format}, {count} model{'' if count == 1 else 's'})\n"


def _json(faults: Sequence[Fault], warnings: Sequence[Fault], loaded: Loaded | None) -> str:
    content = {
        "ok": loaded is not None,
        "format": loaded.format if loaded else None,
        "models": sorted(loaded.settings.models) if loaded else None,
        "faults": [_record(fault) for fault in faults],
        "warnings": [_record(warning) for warning in warnings],
    }
    return json.dumps(content, indent=2) + "\n"


def _record(fault: Fault) -> dict[str, object]:
    return {
        "file": fault.file,
        "line": fault.mark.line if fault.mark else None,
        "column": fault.mark.column if fault.mark else None,
        "key": fault.key,
        "found": fault.found,
        "expected": fault.expected,
        "suggestion": fault.suggestion,
    }
