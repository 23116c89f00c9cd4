"""Reading and changing single members of a JSON body, so that every other member keeps its bytes."""

from __future__ import annotations

import json

import msgspec

from penstock.errors import AmbiguousBody, BadRequest, InvalidJson

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode

UNIQUE = ("model", "stream", "stream_options")
"""Members on which gateway and engine must agree: a body that names one twice is refused."""

_QUOTED = tuple(b'"%b"' % member.encode("ascii") for member in UNIQUE)


def check_unique(body: bytes | bytearray) -> None:
    """Raise AmbiguousBody if the body names one of `UNIQUE` twice at its top level.

    Looks closely only when a member could be there twice: by its plain spelling, or by an
    escaped one (``"mod\\u0065l"``), which nobody honest writes.
    """
    is_suspect = b"\\u006" in body or b"\\u007" in body or any(body.count(name) > 1 for name in _QUOTED)
    if not is_suspect:
        return
    pairs: list[tuple[str, object]] = []

    def keep_last(found: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal pairs
        pairs = found  # objects close from the inside out, so the top level is the last one
        return {}

    try:
        json.loads(body, object_pairs_hook=keep_last)
    except (ValueError, RecursionError) as exc:
        raise InvalidJson(reason=str(exc)) from exc
    names = [name for name, _ in pairs]
    for member in UNIQUE:
        if names.count(member) > 1:
            raise AmbiguousBody(member=member)


def change(body: bytes | bytearray, *, put: dict[str, bytes] | None = None, drop: tuple[str, ...] = ()) -> bytes:
    """The body with members set to raw JSON or taken out; all others keep their bytes and their order."""
    try:
        members = _members.decode(body)
    except msgspec.DecodeError as exc:
        raise InvalidJson(reason=str(exc)) from exc
    for name in drop:
        members.pop(name, None)
    for name, value in (put or {}).items():
        members[name] = msgspec.Raw(value)
    return _encode(members)


def append(body: bytes | bytearray, member: bytes) -> bytes:
    """The body with one more member (``b'"name":value'``) at its end; nothing else is touched.

    Only for a body that is known to be a JSON object with at least one member.
    """
    end = body.rindex(b"}")
    return b"".join((body[:end], b",", member, body[end:]))


def decode_failed(exc: msgspec.DecodeError, body: bytes | bytearray) -> BadRequest:
    """Say where a body is wrong: not JSON at all, or a member of the wrong type."""
    if isinstance(exc, msgspec.ValidationError):
        return BadRequest(reason=str(exc).replace(" - at `$.", " in `").replace(" - at `$`", ""))
    return InvalidJson(reason="it is empty" if not body.strip() else str(exc))
