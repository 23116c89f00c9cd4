"""What is said about a field of a record, beside the field; docs/records.md is made of it."""

from __future__ import annotations

import typing
from dataclasses import dataclass, fields

SECONDS, BYTES, TOKENS, EPOCH = "s", "bytes", "tokens", "epoch seconds UTC"

GATEWAY = "the gateway"
WALL_CLOCK = "the wall clock"
OWN_CLOCK = "the gateway's monotonic clock"
CONFIGURATION = "the configuration"
HEAD, BODY = "the request's head", "the request's body"
SCHEDULER = "the scheduler"
ENGINE = "the engine's answer"
SYSTEM = "the operating system"
DEVICE = "the device's driver"


@dataclass(frozen=True, slots=True)
class Doc:
    """`null` says what NULL means; "" = the field is never NULL. `unit` "" = it has none."""

    meaning: str
    source: str
    unit: str = ""
    null: str = ""


@dataclass(frozen=True, slots=True)
class FieldDoc:
    """A field, its type as people write it, and what is said about it."""

    name: str
    kind: str
    doc: Doc


_KINDS = {str: "text", int: "integer", float: "number", bool: "boolean"}


def documented(record: type) -> list[FieldDoc]:
    """The fields of a record's dataclass in their order. Raises KeyError for one of which nothing is said."""
    hints = typing.get_type_hints(record, include_extras=True)
    found = []
    for field in fields(record):
        annotated = hints[field.name]
        if typing.get_origin(annotated) is not typing.Annotated:
            raise KeyError(f"{record.__name__}.{field.name}")
        hint, doc = annotated.__origin__, annotated.__metadata__[0]
        member = (typing.get_args(hint) or (hint,))[0] if typing.get_origin(hint) not in (dict, list) else hint
        found.append(FieldDoc(field.name, _KINDS.get(member, "JSON"), doc))
    return found
