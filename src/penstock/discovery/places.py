"""Where GGUF files lie on a machine: the folders of Hugging Face, LM Studio, Ollama, llama.cpp, and one's own.

Only looks at names and links; what the files are is another question. Bounded in depth and number, and deaf to
what cannot be read.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

_DEEPEST = 6
_MOST_FILES = 10_000  # looked at in one place
_LARGEST_MANIFEST_BYTES = 2**20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_DOWNLOAD = re.compile(r"([^_]+)_(.+?-GGUF)_(.+)", re.IGNORECASE)
_OLLAMA_SERVICE = Path("/usr/share/ollama/.ollama/models")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that is probably GGUF. name: what its owner calls it; None = as the file.

    origin: whose it is, "org/repo" where that is known; the longer name where two are called the same.
    projector: the file that its owner says belongs to it.
    """

    path: Path
    origin: str = ""
    name: str | None = None
    projector: Path | None = None


def candidates(environ: Mapping[str, str], home: Path, folders: Sequence[Path] = ()) -> Iterator[Candidate]:
    """All of them; those in `folders`, which somebody named, first. A file may come up more than once."""
    cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    for folder in (*folders, *_paths(environ, "LLAMA_ARG_MODELS_DIR")):
        yield from _plain(folder)
    for hub in _paths(environ, "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") or [_hugging_face(environ, cache) / "hub"]:
        yield from _hub(hub)
    for folder in (home / ".lmstudio/models", home / ".cache/lm-studio/models"):
        yield from _by_publisher(folder)
    for folder in _paths(environ, "LLAMA_CACHE") or [cache / "llama.cpp", home / "Library/Caches/llama.cpp"]:
        yield from _downloads(folder)
    for folder in _paths(environ, "OLLAMA_MODELS") or [home / ".ollama/models", _OLLAMA_SERVICE]:
        yield from _ollama(folder)


def _paths(environ: Mapping[str, str], *names: str) -> list[Path]:
    return [Path(environ[name]).expanduser() for name in names if environ.get(name)]


def _hugging_face(environ: Mapping[str, str], cache: Path) -> Path:
    return Path(environ["HF_HOME"]).expanduser() if environ.get("HF_HOME") else cache / "huggingface"


def _plain(folder: Path) -> Iterator[Candidate]:
    for path in _gguf_files(folder):
        yield Candidate(path, origin="" if path.parent == folder else path.parent.name)


def _hub(hub: Path) -> Iterator[Candidate]:
    """models--ORG--REPO/snapshots/REVISION/...; of a file in several revisions only the one in `main` counts."""
    for repository in _folders(hub):
        if not repository.name.startswith("models--"):
            continue
        origin = repository.name.removeprefix("models--").replace("--", "/")
        main = _text(repository / "refs/main").strip()
        seen: set[Path] = set()
        for snapshot in sorted(_folders(repository / "snapshots"), key=lambda folder: folder.name != main):
            for path in _gguf_files(snapshot):
                if (within := path.relative_to(snapshot)) not in seen:
                    seen.add(within)
                    yield Candidate(path, origin)


def _by_publisher(folder: Path) -> Iterator[Candidate]:
    """PUBLISHER/REPO/FILE."""
    for path in _gguf_files(folder):
        yield Candidate(path, origin="/".join(path.relative_to(folder).parts[:-1]))


def _downloads(folder: Path) -> Iterator[Candidate]:
    """ORG_REPO_FILE, all in one folder, as llama.cpp keeps what it downloads."""
    for path in _gguf_files(folder):
        found = _DOWNLOAD.fullmatch(path.stem)
        yield Candidate(path, f"{found[1]}/{found[2]}", found[3]) if found else Candidate(path)


def _ollama(folder: Path) -> Iterator[Candidate]:
    """manifests/HOST/NAMESPACE/MODEL/TAG names the blobs of a model."""
    for manifest in islice(sorted((folder / "manifests").glob("*/*/*/*")), _MOST_FILES):
        host, namespace, model, tag = manifest.parts[-4:]
        blobs = _blobs(folder, manifest)
        if path := blobs.get("application/vnd.ollama.image.model"):
            name = ("" if namespace == "library" else f"{namespace}/") + model + ("" if tag == "latest" else f":{tag}")
            yield Candidate(path, host, name, blobs.get("application/vnd.ollama.image.projector"))


def _blobs(folder: Path, manifest: Path) -> dict[str, Path]:
    """The files that a manifest names, by their media type."""
    try:
        layers = json.loads(_text(manifest))["layers"]
        named = [(str(layer["mediaType"]), str(layer["digest"])) for layer in layers]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return {kind: folder / "blobs" / digest.replace(":", "-") for kind, digest in named if _DIGEST.fullmatch(digest)}


def _gguf_files(folder: Path) -> list[Path]:
    """All below the folder, in the order of their names. Links to folders are not followed, links to files are."""
    found = (path for path in _walk(folder, _DEEPEST) if path.suffix.lower() == ".gguf" and path.name.isprintable())
    return sorted(islice(found, _MOST_FILES))


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)
        elif depth:
            yield from _walk(Path(entry.path), depth - 1)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_dir())
    except OSError:
        return []


def _text(path: Path) -> str:
    """What is written in a small file; "" if it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_LARGEST_MANIFEST_BYTES)
    except OSError:
        return ""
