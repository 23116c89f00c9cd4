"""The command line that serves a `gguf:` model, and the memory it will take."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from penstock.config.commands import slots_in
from penstock.config.schema import GGUF_SLOTS
from penstock.config.sections import GgufSettings
from penstock.core.fitting.footprint import BITS, Footprint, footprint
from penstock.discovery.gguf import GgufError, GgufFacts, Use, read_gguf, shards_of
from penstock.discovery.machine import Engine, find_engine
from penstock.launch.base import LaunchFailed

BATCH_TOKENS = 512
"""Tokens of a prompt that the engine computes at once, unless told otherwise."""

LONGEST_EMBEDDED_TOKENS = 2048
"""An embedding is computed in one batch, so this is also the default bound of its input."""

_ALL_LAYERS = 10_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes that command line and memory depend on; None = left to the engine."""

    slots: int
    context_tokens: int | None
    batch_tokens: int | None


def gguf_command(
    settings: GgufSettings,
    *,
    name: str,
    port: int,
    slots: int | str | None,
    environ: Mapping[str, str],
    folder: Path | None = None,
) -> tuple[str, ...]:
    """The engine found on this machine, with its arguments. Raises LaunchFailed.

    slots: as `parallel` says. folder: where relative paths begin.
    """
    engine = find_engine(environ, settings.server)
    if engine is None:
        missing = f"the program {settings.server}" if settings.server else "llama-server on PATH, or penstock[llamacpp]"
        raise LaunchFailed(f"there is no engine for it: install {missing}", is_final=True)
    path = (folder or Path()) / settings.path
    try:
        facts = read_gguf(path)
    except GgufError as exc:
        raise LaunchFailed(f"its model file cannot be read: {exc}", is_final=True) from exc
    whole = settings.model_copy(
        update={"path": str(path), "mmproj": settings.mmproj and str((folder or Path()) / settings.mmproj)}
    )
    return (*program(engine), *arguments(whole, facts, name=name, port=port, slots=slots))


def program(engine: Engine) -> tuple[str, ...]:
    """The words that start an engine. `-P`: what lies in the working folder is not imported."""
    return (engine.program,) if engine.program else (sys.executable, "-P", "-m", "penstock.launch.llamacpp_engine")


def arguments(
    settings: GgufSettings, facts: GgufFacts, *, name: str, port: int, slots: int | str | None
) -> tuple[str, ...]:
    """llama-server's arguments. The operator's own come last: of two that contradict, the engine takes the last."""
    facts = _as_told(facts, settings.args)
    sizes = sizes_of(settings, facts, slots)
    words = ["-m", settings.path, "--host", "127.0.0.1", "--port", str(port), "-np", str(sizes.slots), "--metrics"]
    if "," not in name:  # the engine would take it for several
        words += ["--alias", name]
    if settings.mmproj:
        words += ["--mmproj", settings.mmproj]
    words += [flag for flag in _USES.get(facts.use, []) if flag not in settings.args]
    for flags, number in (
        (("-c",), sizes.context_tokens),
        (("-b", "-ub"), sizes.batch_tokens),
        (("-ngl",), settings.gpu_layers),
        (("-t",), settings.threads),
    ):
        words += [word for flag in flags for word in (flag, str(number)) if number is not None]
    return (*words, *settings.args)


_USES = {Use.EMBEDDING: ["--embedding"], Use.RERANK: ["--embedding", "--rerank"], Use.CHAT: ["--jinja"]}


_TELLING = {Use.RERANK: {"--rerank", "--reranking"}, Use.EMBEDDING: {"--embedding", "--embeddings"}}


def _as_told(facts: GgufFacts, args: Sequence[str]) -> GgufFacts:
    """The operator's own arguments say for what a model is used; its file only what it was made for."""
    told = next((use for use, flags in _TELLING.items() if not flags.isdisjoint(args)), facts.use)
    return replace(facts, use=told)


def sizes_of(settings: GgufSettings, facts: GgufFacts, slots: int | str | None) -> Sizes:
    """What is not written is derived: a model that computes its input in one batch has a context for one per slot."""
    count = slots if isinstance(slots, int) else slots_in(settings.args) or GGUF_SLOTS
    if facts.use not in (Use.EMBEDDING, Use.RERANK):
        return Sizes(count, settings.context, settings.batch)
    batch = settings.batch or min(facts.context_tokens or BATCH_TOKENS, LONGEST_EMBEDDED_TOKENS)
    return Sizes(count, settings.context or batch * count, batch)


def estimated_footprint(settings: GgufSettings, slots: int | str | None) -> Footprint | None:
    """The memory of one replica, told from its file's header; None = the file cannot be read."""
    path = Path(settings.path)
    try:
        facts = _as_told(read_gguf(path), settings.args)
        projector_bytes = Path(settings.mmproj).stat().st_size if settings.mmproj else 0
        weights_bytes = sum(shard.stat().st_size for shard in shards_of(path)) + projector_bytes
    except (GgufError, OSError):
        return None
    sizes = sizes_of(settings, facts, slots)
    return footprint(
        facts.shape(weights_bytes),
        context_tokens=sizes.context_tokens or facts.context_tokens or 0,
        slots=sizes.slots,
        batch_tokens=sizes.batch_tokens or BATCH_TOKENS,
        cache_types=(_cache_type(settings.args, "k"), _cache_type(settings.args, "v")),
        gpu_layers=_ALL_LAYERS if settings.gpu_layers is None else settings.gpu_layers,
    )


def _cache_type(args: Sequence[str], letter: str) -> str:
    """The type of the cache's keys (k) or values (v) that the operator's own arguments ask for."""
    flags = (f"-ct{letter}", f"--cache-type-{letter}")
    asked = [value for flag, value in pairwise(args) if flag in flags and value in BITS]
    return asked[-1] if asked else "f16"


def use_of(settings: GgufSettings) -> Use | None:
    """What the model is for; None = its file cannot be read."""
    try:
        return _as_told(read_gguf(Path(settings.path)), settings.args).use
    except GgufError:
        return None
