"""Reading and changing single members of a JSON body, so that every other member keeps its bytes."""

from __future__ import annotations

import json
import re

import msgspec

from penstock.errors import AmbiguousBody, BadRequest, InvalidJson

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

SMALL_BYTES = 64 * 1024

UNIQUE = ("model", "stream", "stream_options")
"""Members on which gateway and engine must agree: a body that names one twice is refused."""

_NAMES = tuple(f'"{member}"'.encode("ascii") for member in UNIQUE)
_MODEL, _STREAM, _STREAM_OPTIONS = _NAMES
_ESCAPED_LETTER = re.compile(rb"\\u00[567]")
_NAME = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SPACE = re.compile(rb"[ \t\r\n]*")


class _Unclear(Exception):
    """A member is there twice, so that where its first value ends is not known."""


def check_unique(body: bytes | bytearray) -> None:
    """Raise AmbiguousBody if the body names one of `UNIQUE` twice at its top level.

    Looks closely only when a member could be there twice: by its plain spelling, or by an
    escaped one (``"mod\\u0065l"``), which nobody honest writes. Of a large body that is quicker
    than to search through all of it.
    """
    count = body.count
    if (
        len(body) > SMALL_BYTES
        or count(_MODEL) > 1
        or count(_STREAM) > 1
        or count(_STREAM_OPTIONS) > 1
        or (b"\\u00" in body and _ESCAPED_LETTER.search(body))
    ):
        _look_closely(body)


def change(body: bytes | bytearray, *, put: dict[str, bytes] | None = None, drop: tuple[str, ...] = ()) -> bytes:
    """The body with members set to raw JSON or taken out; all others keep their bytes and their order."""
    members = _decode(body)
    missing = dict(put or {})
    try:
        spans = _spans(body, members)
    except _Unclear:  # of two members of the same name the last one counts, as it does for engines
        spans = []
        body = msgspec.json.encode(members)
        spans = _spans(body, members)
    kept: list[bytes] = []
    for name, start, value_start, end in spans:
        if name in missing:
            kept.append(bytes(body[start:value_start]) + missing.pop(name))
        elif name not in drop:
            kept.append(bytes(body[start:end]))
    kept += [msgspec.json.encode(name) + b":" + value for name, value in missing.items()]
    return b"{%b}" % b",".join(kept)


def append(body: bytes | bytearray, member: bytes) -> bytes:
    """The body with one more member (``b'"name":value'``) at its end; nothing else is touched.

    Only for a body that is known to be a JSON object with at least one member.
    """
    end = body.rindex(b"}")
    return b"".join((body[:end], b",", member, body[end:]))


def decode_failed(exc: Exception, body: bytes | bytearray) -> BadRequest:
    """Say where a body is wrong: not JSON at all, or a member of the wrong type."""
    if isinstance(exc, msgspec.ValidationError):
        return BadRequest(reason=str(exc).replace(" - at `$.", " in `").replace(" - at `$`", ""))
    if isinstance(exc, RecursionError):
        return InvalidJson(reason="it is nested too deeply")
    return InvalidJson(reason="it is empty" if not body.strip() else str(exc))


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises over JSON that it cannot read."""


def _decode(body: bytes | bytearray) -> dict[str, msgspec.Raw]:
    try:
        return _members(body)
    except UNREADABLE as exc:
        raise decode_failed(exc, body) from exc


def _spans(body: bytes | bytearray, members: dict[str, msgspec.Raw]) -> list[tuple[str, int, int, int]]:
    """Of each top-level member, in their order: name, and where it begins, its value begins, and it ends.

    msgspec knows the values and not where they are; but they follow one another, and each is as long as it is.
    """
    spans: list[tuple[str, int, int, int]] = []
    at = _skip(body, body.index(b"{") + 1)
    while body[at : at + 1] == b'"':
        quoted = _NAME.match(body, at)
        assert quoted is not None, "msgspec has read it"
        name = json.loads(quoted.group())
        value_at = _skip(body, _skip(body, quoted.end()) + 1)
        value = memoryview(members[name])
        if not body.startswith(value, value_at):
            raise _Unclear(name)
        end = value_at + len(value)
        spans.append((name, at, value_at, end))
        at = _skip(body, _skip(body, end) + 1)
    return spans


def _skip(body: bytes | bytearray, at: int) -> int:
    space = _SPACE.match(body, at)
    return at if space is None else space.end()


def _look_closely(body: bytes | bytearray) -> None:
    members = _decode(body)
    try:
        names = [span[0] for span in _spans(body, members)]
    except _Unclear:
        names = _names_one_by_one(body)
    for member in UNIQUE:
        if names.count(member) > 1:
            raise AmbiguousBody(member=member)


def _names_one_by_one(body: bytes | bytearray) -> list[str]:
    pairs: list[tuple[str, object]] = []

    def keep_last(found: list[tuple[str, object]]) -> None:
        nonlocal pairs
        pairs = found  # objects close from the inside out, so the top level is the last one

    try:
        json.loads(body, object_pairs_hook=keep_last)
    except (ValueError, RecursionError) as exc:
        raise InvalidJson(reason=str(exc)) from exc
    return [name for name, _ in pairs]
