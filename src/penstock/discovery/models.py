"""The GGUF models on this machine: shards put together, projectors paired, each file once, each name once."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from penstock.discovery.gguf import GgufError, GgufFacts, Use, read_gguf, shards_of, without_shard
from penstock.discovery.places import Candidate, candidates

SERVED = frozenset({Use.CHAT, Use.EMBEDDING, Use.RERANK})

_QUANTISATION = re.compile(r"(^|[-_.])(ud-)?(i?q\d(_[a-z0-9]{1,3})*|b?f16|f32|fp16|mxfp4(_moe)?|tq\d_\d)(?=$|[-_.])")

_Place = tuple[Path, str]
"""A folder and an origin: what shares them belongs together."""


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model that can be served. path: its first shard. file_bytes, weights_bytes: of all shards together."""

    name: str
    path: Path
    facts: GgufFacts
    file_bytes: int
    weights_bytes: int
    mmproj: Path | None = None
    origin: str = ""


def find_models(environ: Mapping[str, str], home: Path, folders: Sequence[Path] = ()) -> list[FoundModel]:
    """By name. A file that cannot be read, or a model of which a shard is missing, is left out."""
    seen: set[tuple[int, int]] = set()
    whole: list[FoundModel] = []
    projectors: defaultdict[_Place, list[tuple[Candidate, GgufFacts]]] = defaultdict(list)
    for candidate in candidates(environ, home, folders):
        try:
            status = candidate.path.stat()
            if (inode := (status.st_dev, status.st_ino)) in seen:
                continue
            seen.add(inode)
            facts = read_gguf(candidate.path)
        except (OSError, GgufError):
            continue
        if facts.use is Use.PROJECTOR:
            projectors[candidate.path.parent, candidate.origin].append((candidate, facts))
        elif facts.use in SERVED and (model := _with_shards(candidate, facts)):
            whole.append(model)
    families: defaultdict[_Place, set[str]] = defaultdict(set)
    for model in whole:
        families[model.path.parent, model.origin].add(_family(model.name))
    paired = [_with_projector(model, families, projectors) for model in whole]
    return sorted(_distinct(paired), key=lambda model: model.name.lower())


def _with_shards(candidate: Candidate, facts: GgufFacts) -> FoundModel | None:
    """None if a shard is missing."""
    path = candidate.path
    try:
        sizes = [shard.stat().st_size for shard in shards_of(path)]
    except OSError:
        return None
    name = without_shard(candidate.name or path.stem)
    weights_bytes = facts.tensors_bytes + sum(sizes) - facts.file_bytes
    return FoundModel(name, path, facts, sum(sizes), weights_bytes, candidate.projector, candidate.origin)


def _with_projector(
    model: FoundModel,
    families: Mapping[_Place, set[str]],
    projectors: Mapping[_Place, Sequence[tuple[Candidate, GgufFacts]]],
) -> FoundModel:
    """Pair it with a projector beside it: one of its family, or one without a name if there is no other family."""
    if model.mmproj or model.facts.use is not Use.CHAT:
        return model
    place = model.path.parent, model.origin
    own = {_family(model.name)} | ({""} if len(families[place]) == 1 else set())
    fitting = [
        projector.path
        for projector, facts in projectors.get(place, ())
        if facts.width in (0, model.facts.width) and _family(projector.name or projector.path.stem) in own
    ]
    return replace(model, mmproj=min(fitting, key=_preference)) if fitting else model


def _preference(projector: Path) -> tuple[bool, str]:
    return "f16" not in projector.stem.lower(), projector.name


def _family(name: str) -> str:
    """What the quantisations of a model, and its projector, have in common in their names."""
    words = re.split(r"[-_.]+", _QUANTISATION.sub("", name.lower()))
    return "-".join(word for word in words if word not in ("mmproj", "model", ""))


def _distinct(models: list[FoundModel]) -> Iterable[FoundModel]:
    """Where two have the same name, they get the name of their origin, and at last a number."""
    shared = Counter(model.name for model in models)
    taken: set[str] = set()
    for model in models:
        plain = f"{model.origin}/{model.name}" if shared[model.name] > 1 and model.origin else model.name
        name, number = plain, 2
        while name in taken:
            name, number = f"{plain}-{number}", number + 1
        taken.add(name)
        yield replace(model, name=name)
