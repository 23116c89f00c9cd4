"""What a file speaks of and this machine does not have (now): worth a warning, but no reason not to serve the rest."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from penstock.config.commands import argv
from penstock.config.faults import Fault, Findings
from penstock.config.positions import Node
from penstock.config.schema import ModelSettings, Settings


def look_around(settings: Settings, root: Node, environ: Mapping[str, str], findings: Findings) -> None:
    """Warn of model files, folders and programs that are not there. `settings` are resolved and sound."""
    written = root.members.get("models", root.made({})).members  # those of peers are elsewhere
    for name, node in written.items():
        for key, found, expected in _missing(settings.models[name], environ):
            at = node.members.get(key, node)
            findings.warnings.append(Fault(findings.file, at.mark, at.key, found, expected))


def _missing(model: ModelSettings, environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """(key, found, expected) of each thing that is not there."""
    if model.gguf is not None:
        for path in filter(None, (model.gguf.path, model.gguf.mmproj)):
            if not Path(path).is_file():
                yield "gguf", f"no file {path}", "a model file"
        if model.gguf.server is not None and not _finds(model.gguf.server, environ):
            yield "gguf", f"no program {model.gguf.server}", "a `llama-server`"
    if model.cwd is not None and not Path(model.cwd).is_dir():
        yield "cwd", f"no folder {model.cwd}", "a folder"
    elif model.cmd is not None and not _finds(program := argv(model.cmd)[0], environ, model.cwd):
        yield "cmd", f"no program `{program}`", "a program on PATH, or the path of one"


def _finds(program: str, environ: Mapping[str, str], cwd: str | None = None) -> bool:
    if "/" in program:
        return shutil.which(Path(cwd or ".") / program) is not None
    return shutil.which(program, path=environ.get("PATH", "")) is not None
