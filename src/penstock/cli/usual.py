"""What commands have in common: their exit codes, and the configuration they mean when none is named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FAILED, USAGE, BAD_CONFIGURATION = 1, 2, 3


def usual_place(environ: Mapping[str, str]) -> Path | None:
    """The configuration that is served when none is named; None = there is none."""
    base = environ.get("XDG_CONFIG_HOME", "")
    home = Path(base) if base.startswith("/") else Path(environ.get("HOME", "/")) / ".config"
    for path in (Path("penstock.yaml"), home / "penstock" / "config.yaml"):
        if path.is_file():
            return path
    return None
