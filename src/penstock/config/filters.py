"""`filters`: parameters that are taken out of, or set in, the JSON requests to one model."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, JsonValue, WithJsonSchema

from penstock.config.positions import Node, Scalar
from penstock.config.sections import Section
from penstock.config.values import unexpected
from penstock.core.calls.dotted import steps
from penstock.core.calls.message import Edits

PROTECTED = "model"
"""No filter touches it: gateway and engine could mean different models."""

BY_ID = "set_params_by_id"
BY_ID_SPELLINGS = (BY_ID, "setParamsById", "setParamsByID")


def _paths(value: object) -> tuple[str, ...]:
    written = value.split(",") if isinstance(value, str) else value
    if not isinstance(written, list | tuple) or not all(isinstance(each, str) for each in written):
        raise unexpected('a list of names, or a text such as "temperature, top_p"')
    return tuple(sorted({path for each in written if (path := each.strip())}))


Paths = Annotated[
    tuple[str, ...],
    BeforeValidator(_paths),
    WithJsonSchema(
        {
            "title": "list, or text with commas",
            "anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}],
        }
    ),
]


class FiltersSettings(Section):
    """What is changed in JSON requests: first taken out, then set; `model` never. All other members keep their bytes.

    A parameter's name may be a path: `a.b` is the member `b` of the object `a`, made if it is not there; `a.0` the
    first element of a list, `a.-1` a new last one (taken out: the last one), `a.:0` the member `0` of an object. A dot
    within a name is written `\\.`.
    """

    ALSO_WRITTEN: ClassVar[dict[str, str]] = {"setParamsByID": BY_ID}

    strip_params: Paths = Field(default=(), description="Parameters to take out.")
    set_params: dict[str, JsonValue] = Field(default_factory=dict, description="Parameters to set, and their values.")
    set_params_by_id: dict[str, dict[str, JsonValue]] = Field(
        default_factory=dict,
        description="Parameters to set, after `set_params`, when the model is asked for by this name. Each such name "
        "becomes an alias of the model; it may have macros in it.",
    )


def edits(filters: FiltersSettings, requested: str) -> Edits:
    """What the filters change in a request that asked for the model by the name `requested`; `Edits.model` is None.

    Names are applied in alphabetical order, as llama-swap does; the same name by id takes the place of the other.
    """
    put = dict[str, bytes]()
    for params in (filters.set_params, filters.set_params_by_id.get(requested, {})):
        for path in sorted(params):
            put.pop(path, None)
            put[path] = json.dumps(params[path], ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    return Edits(put=put, drop=filters.strip_params)


def faults(filters: Node) -> Iterator[tuple[Node, str, str]]:
    """What is wrong in a section `filters` as it is written: where, what was found, what was expected."""
    members = filters.members
    strip = members.get("strip_params", filters.made([]))
    written = [(each, str(each.value)) for each in strip.items] or [
        (strip, path) for path in str(strip.value).split(",") if isinstance(strip.value, str) and path.strip()
    ]
    yield from (fault for at, path in written if (fault := fault_of(at, path.strip())))
    by_id = members.get(BY_ID, filters.made({}))
    for params in (members.get("set_params", filters.made({})), *by_id.members.values()):
        for path, value in params.members.items():
            if fault := fault_of(value, path):
                yield fault
            elif not _is_json(value):
                yield value, "a number that JSON does not have", "a value for JSON"


def fault_of(at: Node, path: str) -> tuple[Node, str, str] | None:
    """What is wrong with the name of a parameter; None = nothing."""
    try:
        read = steps(path)
    except ValueError as error:
        return at, f"the name `{path[:60]}`", f"a name {error}"
    if read[0].name == PROTECTED:
        return at, f"`{path[:60]}`", "another parameter: `use_model_name` says how the engine calls the model"
    return None


def with_filled_ids(model: Node, filled: Callable[[str, Node], Scalar]) -> tuple[Node, list[tuple[Node, str]]]:
    """The model with macros filled in where a filter has a model's name for a key; and the keys that so become one."""
    filters = model.members.get("filters")
    key = next((each for each in BY_ID_SPELLINGS if filters and each in filters.members), None)
    if filters is None or key is None:
        return model, []
    by_id = filters.members[key]
    made: dict[str, Node] = {}
    twice: list[tuple[Node, str]] = []
    for written, params in by_id.members.items():
        name = str(filled(written, params))
        if name in made:
            twice.append((params, name))
        made[name] = params
    section = filters.made({**filters.members, key: by_id.made(dict(made) or by_id.value)})
    return model.made({**model.members, "filters": section}), twice


def with_aliases(root: Node) -> Node:
    """The file with the names of each model's `set_params_by_id` among the model's aliases."""
    models = root.members.get("models")
    if models is None:
        return root
    each = {name: _with_aliases(name, model) for name, model in models.members.items()}
    return root.made({**root.members, "models": models.made(dict(each) or models.value)})


def _with_aliases(name: str, model: Node) -> Node:
    filters = model.members.get("filters", model.made({}))
    ids = filters.members.get(BY_ID, filters.made({})).members
    aliases = model.members.get("aliases", model.made([]))
    if not isinstance(aliases.value, list):
        return model
    known = {name, *(str(alias.value) for alias in aliases.items)}
    added = [Node(each, at.key_mark, at.key, at.key_mark) for each, at in ids.items() if each not in known]
    return model.made({**model.members, "aliases": aliases.made([*aliases.items, *added])}) if added else model


def _is_json(node: Node) -> bool:
    if isinstance(node.value, float):
        return math.isfinite(node.value)
    return all(map(_is_json, (*node.members.values(), *node.items)))
