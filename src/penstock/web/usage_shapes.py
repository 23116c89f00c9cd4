"""The answers of the usage API as its OpenAPI document tells them: each question's own, with `_meta` before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import BaseModel, Field, create_model

from penstock.store.queries import answers, shown


@dataclass(frozen=True, slots=True)
class Meta:
    """As Overlaat has it. cache_ttl_hint_s: for so long nothing much changes."""

    service: str
    version: str
    generated_at: str
    kind: str
    cache_ttl_hint_s: int


@dataclass(frozen=True, slots=True)
class Healthz:
    """db: `ok` or `unreachable`."""

    ok: bool
    service: str
    version: str
    db: str


def _with_meta(shape: type) -> type[BaseModel]:
    """For the document alone: what is answered is made without it."""
    members: dict[str, Any] = {name: (kind, ...) for name, kind in get_type_hints(shape).items()}
    return create_model(shape.__name__, __doc__=shape.__doc__, meta=(Meta, Field(alias="_meta")), **members)


_SHAPES: dict[str, type] = {
    "now": shown.Now, "health": shown.Health, "timeline": answers.Timeline, "models": answers.Models,
    "perf": answers.Perf, "consumers": answers.Consumers, "workloads": answers.Workloads,
    "requests": shown.Requests, "loads": shown.Loads, "hosts": shown.Hosts,
}  # fmt: skip

DOCUMENTED: dict[str, type] = {**{name: _with_meta(shape) for name, shape in _SHAPES.items()}, "healthz": Healthz}
"""By the name of the question."""
