"""What must be mended before a command that could not be started can be: until then no second try is worth its wait."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

from penstock.launch.base import LaunchSpec

_FIRST_LINE_BYTES = 256
"""As much of a script as the kernel looks at for its interpreter."""


def remedy(spec: LaunchSpec, environ: Mapping[str, str]) -> str | None:
    """Said as what to do; None = it may well work the next time. environ: the engine's. Reads the disk."""
    program, cwd = spec.argv[0], spec.cwd or "."
    if any("\0" in text for text in (*spec.argv, *environ, *environ.values())):
        return "take it out of `cmd` or `env`"
    if not os.path.isdir(cwd):
        return "make that folder, or correct `cwd`"
    if "/" not in program:
        return None if shutil.which(program, path=environ.get("PATH", os.defpath)) else _INSTALL
    path = os.path.join(cwd, program)
    if not os.path.exists(path):
        return "correct the path in `cmd`"
    if os.path.isdir(path):
        return "it is a folder: name the program in it in `cmd`"
    if not os.access(path, os.X_OK):
        return "make it executable (chmod +x), or name another program in `cmd`"
    interpreter = _interpreter(path)
    if interpreter and not os.path.exists(interpreter):
        return f"install {interpreter}, or correct the first line of the script"
    return None


_INSTALL = "install it, write its whole path in `cmd`, or start Penstock with its folder in PATH"


def _interpreter(path: str) -> str:
    """What the first line of a script names; "" = it is no script, or cannot be read."""
    try:
        with open(path, "rb") as file:
            line = file.readline(_FIRST_LINE_BYTES)
    except OSError:
        return ""
    words = line.removeprefix(b"#!").split() if line.startswith(b"#!") else []
    return os.fsdecode(words[0]) if words else ""
