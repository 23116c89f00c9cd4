"""What this machine can serve with: the engine for GGUF models, and how much memory there is."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

SERVER = "llama-server"


@dataclass(frozen=True, slots=True)
class Engine:
    """A llama.cpp engine. program: the path of a `llama-server`; None = the embedded one."""

    program: str | None

    def __str__(self) -> str:
        return self.program or "the embedded llama.cpp engine"


def find_engine(environ: Mapping[str, str], server: str | None = None) -> Engine | None:
    """The engine that `gguf:` models run on; None = there is none.

    server: the program that the operator named, a path or a name on PATH. Otherwise a `llama-server` on PATH wins:
    whoever installed one has chosen its build, most often for the GPU, which the embedded engine's wheel cannot use
    everywhere. The embedded one is only looked for, not imported.
    """
    program = shutil.which(server or SERVER, path=environ.get("PATH", os.defpath))
    if program or server:
        return Engine(program) if program else None
    return Engine(None) if importlib.util.find_spec("xllamacpp") else None


def host_memory_bytes() -> int:
    """All memory of this machine, used or not."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
