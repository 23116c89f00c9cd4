"""Why the body of a request cannot be read, in words that help whoever wrote it.

Only asked once a body was refused. What is looked at is bounded: a refusal must not cost more than a request.
"""

from __future__ import annotations

import json
import re

import msgspec

from penstock.core.calls.message import Body
from penstock.errors import BadRequest, InvalidJson

LOOKED_AT_BYTES = 64 * 1024
"""Of a longer body only its beginning is looked at, and where it is wrong is told by its byte."""

_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_PAIR = re.compile(rb"\s*[A-Za-z_][\w.%\[\]-]*=")
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_NO_NUMBER = re.compile(rb"\b(NaN|-?Infinity)\b")
_KINDS: tuple[tuple[type | None, str], ...] = (
    (dict, "an object"), (list, "an array"), (str, "a string"), (bool, "a boolean"), (int, "a number"),
    (float, "a number"),
)  # fmt: skip
_WANTED: tuple[tuple[tuple[str, ...], type], ...] = (
    (("model",), str),
    (("stream",), bool),
    (("stream_options",), dict),
    (("stream_options", "include_usage"), bool),
)
"""Members that are read, and what they must be. Null is as if they were not there."""


def explained(exc: Exception, body: Body) -> BadRequest:
    """The refusal of a body that a decoder stumbled over with `exc`."""
    if isinstance(exc, RecursionError):
        return InvalidJson(reason="it is nested too deeply")
    content = bytes(body[:LOOKED_AT_BYTES])
    is_whole = len(content) == len(body)
    if isinstance(exc, msgspec.ValidationError):
        return BadRequest(reason=(_misfit(content) if is_whole else None) or _plain(exc))
    if not content.strip():
        return InvalidJson(reason="it is empty")
    return InvalidJson(reason=_other_than_json(content) or (_where(content) if is_whole else None) or _plain(exc))


def _other_than_json(content: bytes) -> str | None:
    for mark, name in _COMPRESSED.items():
        if content.startswith(mark):
            return f"it is compressed with {name}; send it uncompressed"
    if content.startswith(b"\xef\xbb\xbf"):
        return "it begins with a byte order mark; leave that out"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content[:4]:
        return "it is UTF-16 or UTF-32; JSON is sent as UTF-8"
    if content.startswith(b"--"):
        return "it is a form (multipart/form-data), and this path takes JSON"
    if _PAIR.match(content):
        return "it is a form (name=value), and this path takes JSON"
    return None


def _where(content: bytes) -> str | None:
    """Its line and column. None = this decoder has nothing against it."""
    try:
        text = content.decode("utf-8")
        json.loads(text)
    except UnicodeDecodeError as exc:
        return f"it is not UTF-8 (byte {exc.start})"
    except json.JSONDecodeError as exc:
        if exc.pos >= len(text.rstrip()):
            return "it ends too early"
        said = exc.msg.removesuffix(" at")
        return f"{said[0].lower()}{said[1:]} (line {exc.lineno}, column {exc.colno})"
    except (RecursionError, ValueError):  # a number with too many digits
        return None
    if _HALF.search(content):
        return "an escape in it (\\ud800 to \\udfff) is only half of a character"
    if found := _NO_NUMBER.search(content):
        return f"{found[1].decode('ascii')} is no number in JSON"
    return None


def _misfit(content: bytes) -> str | None:
    """Which member is of a wrong type. None = none that is known to this file."""
    try:
        document: object = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(document, dict):
        return f'it must be a JSON object ({{"model": …}}), and is {_kind(document)}'
    for path, wanted in _WANTED:
        value: object = document
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None and not isinstance(value, wanted):
            return f"`{'.'.join(path)}` must be {_name_of(wanted)}, and is {_kind(value)}"
    return None


def _kind(value: object) -> str:
    return "null" if value is None else _name_of(type(value))


def _name_of(kind: type) -> str:
    return next(name for each, name in _KINDS if each is kind)


def _plain(exc: Exception) -> str:
    said = str(exc).removeprefix("JSON is malformed: ")
    return said.replace(" - at `$.", " in `").replace(" - at `$`", "")
