"""Fields written as `name=value&…`: in a query, or in a body of that kind. One value changes, all other bytes stay."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from penstock.core.calls.message import Body
from penstock.errors import AmbiguousBody, AmbiguousQuery, BadRequest

MAX_BODY_BYTES = 2**20
"""Such a body is for a few words; files come as multipart/form-data."""


class Field(NamedTuple):
    """A value and where it is written, escapes and all."""

    text: str
    start: int
    end: int


def in_query(query: bytes, name: str) -> Field | None:
    """The field of a query; None = it is not there. Raises BadRequest if it is there twice, or is no text."""
    is_marked = query[:1] == b"?"
    found = _found(query[is_marked:], name)
    if len(found) > 1:
        raise AmbiguousQuery(member=name)
    return _field(found[0], name, is_marked - 1) if found else None


def in_body(body: Body, name: str) -> Field | None:
    """The field of a body; None = it is not there. Raises BadRequest if it is there twice, or is no text."""
    if len(body) > MAX_BODY_BYTES:
        reason = f"a form of the kind name=value has at most {MAX_BODY_BYTES} bytes; send multipart/form-data or JSON"
        raise BadRequest(reason=reason)
    found = _found(body, name)
    if len(found) > 1:
        raise AmbiguousBody(member=name)
    return _field(found[0], name, -1) if found else None


def escaped(text: str) -> bytes:
    """A text as a value."""
    return quote(text, safe="/:@,").encode("ascii")


def _found(fields: Body, name: str) -> list[re.Match[bytes]]:
    """All fields of that name, in the text with a `&` before it."""
    return list(_written(name).finditer(b"&" + bytes(fields)))


@functools.cache
def _written(name: str) -> re.Pattern[bytes]:
    """Where a field begins, whichever of its letters are escaped."""
    letters = "".join(f"(?:{re.escape(letter)}|%{ord(letter):02x}|%{ord(letter):02X})" for letter in name)
    return re.compile(rf"&{letters}(?:=([^&]*)|(?=&|\Z))".encode("ascii"))


def _field(found: re.Match[bytes], name: str, shift: int) -> Field:
    start, end = found.span(1) if found[1] is not None else (found.end(), found.end())
    raw = bytes(found[1] or b"")
    try:
        return Field(unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8"), start + shift, end + shift)
    except UnicodeDecodeError as error:
        raise BadRequest(reason=f"its `{name}` is not UTF-8") from error
