"""Compiles the C half of the rig when it is missing or older than its sources."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
BUILD = SOURCES.parent / "build"
FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror")
PARTS = {"upstream": ("upstream.c", "reply.c", "due.c"), "load": ("load.c",)}


@dataclass(frozen=True, slots=True)
class Programs:
    """The compiled programs."""

    upstream: Path
    load: Path


def build() -> Programs:
    """Exits with a sentence when this machine cannot do it."""
    if not sys.platform.startswith("linux"):
        sys.exit("bench: measuring needs Linux (epoll, /proc/PID/task/*/schedstat)")
    if (compiler := shutil.which("cc")) is None:
        sys.exit("bench: a C compiler is needed (cc); on Debian: apt-get install gcc libc6-dev")
    BUILD.mkdir(exist_ok=True)
    newest = max(path.stat().st_mtime for path in SOURCES.iterdir() if path.suffix in (".c", ".h"))
    for name, sources in PARTS.items():
        program = BUILD / name
        if not program.exists() or program.stat().st_mtime < newest:
            paths = [str(SOURCES / source) for source in sources]
            subprocess.run([compiler, *FLAGS, *paths, "-o", str(program)], check=True)
    return Programs(BUILD / "upstream", BUILD / "load")
