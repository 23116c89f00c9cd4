"""Reading and changing single members of a JSON body, so that every other member keeps its bytes and its place.

A body is one buffer as it came, or, once it is large or changed, pieces (`jsonpieces`). Whatever
takes a body here takes both, and what is changed comes back as pieces. Large values are never copied.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from penstock.core.calls.dotted import Step, steps
from penstock.core.calls.message import Body, Edits
from penstock.errors import AmbiguousBody
from penstock.protocols.jsonpieces import Pieces, Source
from penstock.protocols.jsontree import Tree, decode_failed
from penstock.protocols.jsonwalk import UNREADABLE

__all__ = [
    "SMALL_BYTES",
    "UNIQUE",
    "UNREADABLE",
    "append",
    "change",
    "check_unique",
    "decode_failed",
    "edit",
    "opened",
    "outline",
]

SMALL_BYTES = 64 * 1024

UNIQUE = ("model", "stream", "stream_options")
"""Members on which gateway and engine must agree: a body that names one twice is refused."""

_NAMES = tuple(f'"{member}"'.encode("ascii") for member in UNIQUE)
_MODEL, _STREAM, _STREAM_OPTIONS = _NAMES
_STREAM_ANY = b'"stream'
_ESCAPED_LETTER = re.compile(rb"\\u00[567]")


def opened(body: Body) -> Pieces:
    """The body, ready to be read (see `outline`) and changed. A large one is looked through here, and only here.

    Raises AmbiguousBody if it names one of `UNIQUE` twice at its top level; of a large one also BadRequest.
    A small one is looked into only if a member could be there twice: by its plain spelling, or by an escaped
    one (``"mod\\u0065l"``), which nobody honest writes.
    """
    if len(body) > SMALL_BYTES:
        tree = _checked(body)
        return tree.pieces()
    if isinstance(body, memoryview):
        body = bytes(body)
    count = body.count
    if (
        count(_MODEL) > 1
        or (count(_STREAM_ANY) > 1 and (count(_STREAM) > 1 or count(_STREAM_OPTIONS) > 1))
        or (count(b"\\u00") and _ESCAPED_LETTER.search(body))
    ):
        _checked(body)
    return (body,)


def outline(pieces: Pieces) -> Body:
    """A text with the members of the body, in which `null` stands for each large value.

    Whatever has 4 KiB or less is there, and in a body of up to 64 KiB everything is.
    """
    return Source.of(pieces).text


def check_unique(body: Body) -> None:
    """Raise AmbiguousBody if the body names one of `UNIQUE` twice; of a large one also BadRequest."""
    opened(body)


def change(body: Body | Pieces, *, put: Mapping[str, bytes] | None = None, drop: tuple[str, ...] = ()) -> Pieces:
    """The body with members at its top set to raw JSON or taken out. Raises BadRequest."""
    tree = Tree(_pieces(body))
    for name in drop:
        tree.top.drop((Step(name, None),))
    for name, raw in (put or {}).items():
        tree.top.put((Step(name, None),), raw)
    return tree.pieces()


def append(body: Body | Pieces, member: bytes) -> Pieces:
    """The body with one more member (``b'"name":value'``) at its end; nothing else is touched.

    Only for a body that is known to be a JSON object with at least one member.
    """
    *before, last = _pieces(body)
    if isinstance(last, memoryview):  # a large body that was not opened
        (last, *more), before = Tree((last,)).pieces(), []
        *before, last = last, *more
    assert not isinstance(last, memoryview), "the last piece holds the closing brace"
    end = last.rindex(b"}")
    return (*before, b"".join((last[:end], b",", member, last[end:])))


def edit(body: Body | Pieces, edits: Edits) -> Pieces:
    """The body with what the configuration wants changed: first taken out, then set (`core.calls.dotted` says how a
    path is read), in their order; the model last, and only where the body names one. Raises BadRequest."""
    tree = Tree(_pieces(body))
    for path in edits.drop:
        tree.top.drop(steps(path))
    for path, raw in edits.put.items():
        tree.top.put(steps(path), raw)
    if edits.model is not None and "model" in tree.names:
        tree.top.put((Step("model", None),), msgspec.json.encode(edits.model))
    return tree.pieces()


def _pieces(body: Body | Pieces) -> Pieces:
    return body if isinstance(body, tuple) else (body,)


def _checked(body: Body) -> Tree:
    tree = Tree((body,))
    names = tree.names
    for member in UNIQUE:
        if names.count(member) > 1:
            raise AmbiguousBody(member=member)
    return tree
