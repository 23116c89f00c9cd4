"""Fields of a multipart/form-data body (RFC 7578, framed as in RFC 2046), each where it stands; files are not read.

Gateway and engine must find the same fields, so what some readers understand differently from others is refused:
lines that end in a bare LF, a boundary with something behind it, a body that goes on after its end or never ends,
parts without a name, and names written in more than one way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock.core.calls.message import Body
from penstock.errors import AmbiguousBody, BadRequest

MAX_PARTS = 1_000
MAX_PART_HEAD_BYTES = 8 * 1024
MAX_BOUNDARY_CHARACTERS = 70
"""RFC 2046, section 5.1.1."""

_FIRST_STEP_BYTES = 1024
_STEP_BYTES = 2**20
"""A mapped body is searched in copies of pieces, which grow from the first size to the second: many parts are small."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105
_PARAMETER = re.compile(rf'[ \t]*;[ \t]*({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))')
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]*[0-9A-Za-z'()+_,\-./:=?]")
_FIRST_LINE = re.compile(rb"--([0-9A-Za-z'()+_,\-./:=?]{1,%d})[ \t]*\r\n" % MAX_BOUNDARY_CHARACTERS)
_FOLD = re.compile(r"\r\n[ \t]+")
_NAMELESS = "a part has no `Content-Disposition: form-data`"
_CR = b"\r"[0]
_PLAIN = ("", "7bit", "8bit", "binary")
_AFTER = re.compile(rb"(--)?[ \t]{0,256}(?:\r\n|\Z)")


@dataclass(frozen=True, slots=True)
class Part:
    """One part. start, end: where its content stands in the body. is_file: it has a file's name."""

    name: str
    is_file: bool
    start: int
    end: int


def parts(body: Body, content_type: str) -> list[Part]:
    """The parts of a body, in their order; `content_type`: of the request, as it was sent. Raises BadRequest.

    Where the header is wrong, the first line of the body says what stands between the parts.
    """
    delimiter = b"--" + _boundary(body, content_type)
    at = _first(body, delimiter)
    found: list[Part] = []
    while True:
        after = _AFTER.match(body, at)
        if after is None:
            raise _wrong("behind a boundary there is neither the end of its line nor `--`")
        if after[1] is not None:
            break
        if not after[0].endswith(b"\r\n"):  # the end of the body
            raise _unfinished()
        if len(found) == MAX_PARTS:
            raise _wrong(f"it has more than {MAX_PARTS} parts")
        head, start = _head(body, after.end())
        at = _next(body, delimiter, start - 2)  # the end of the head may be the line end before the boundary, too
        if at < 0:
            raise _unfinished()
        found.append(_part(head, start, max(start, at - len(delimiter) - 2)))
    if _next(body, delimiter, after.end() - 2) >= 0:
        raise _wrong("it goes on after its last boundary")
    return found


def field(body: Body, found: list[Part], name: str) -> Part | None:
    """The part of that name, which must be no file; None = there is none. Raises BadRequest if there are two."""
    named = [part for part in found if part.name == name]
    if len(named) > 1:
        raise AmbiguousBody(member=name)
    if named and named[0].is_file:
        raise _wrong(f"its `{name}` is a file")
    return named[0] if named else None


def text(body: Body, part: Part, max_bytes: int) -> str:
    """What the part says; "" = more than so many bytes. Raises BadRequest if it is no UTF-8."""
    if part.end - part.start > max_bytes:
        return ""
    try:
        return bytes(body[part.start : part.end]).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _wrong(f"its `{part.name}` is not UTF-8") from error


def _boundary(body: Body, content_type: str) -> bytes:
    """What stands between the parts."""
    kind, _, _ = content_type.partition(";")
    if kind.strip().lower() != "multipart/form-data":
        line = _FIRST_LINE.match(body)
        if line is None:
            raise _wrong("its first line is no boundary")
        return bytes(line[1])
    values = [value for name, value in _parameters(content_type[len(kind) :]) if name == "boundary"]
    if len(values) != 1:
        raise _wrong("its Content-Type names no boundary" if not values else "its Content-Type names two boundaries")
    if len(values[0]) > MAX_BOUNDARY_CHARACTERS or not _BOUNDARY.fullmatch(values[0]):
        raise _wrong(f"its boundary is not one of 1 to {MAX_BOUNDARY_CHARACTERS} of the characters of RFC 2046")
    return values[0].encode("ascii")


def _first(body: Body, delimiter: bytes) -> int:
    """Behind the first boundary; what stands before it is nobody's."""
    if bytes(body[: len(delimiter)]) == delimiter:
        return len(delimiter)
    at = _next(body, delimiter, 0)
    if at < 0:
        raise _wrong("the boundary of its Content-Type is nowhere in it")
    return at


def _next(body: Body, delimiter: bytes, start: int) -> int:
    """Behind the next boundary that begins a line at `start` or later; -1 = there is none."""
    at = _find(body, b"\n" + delimiter, start)
    if at < 0:
        return -1
    if at == 0 or body[at - 1] != _CR:
        raise _wrong("the line before a boundary does not end in CR LF")
    return at + 1 + len(delimiter)


def _head(body: Body, at: int) -> tuple[str, int]:
    """The header lines of a part, and where its content begins."""
    window = bytes(body[at : at + MAX_PART_HEAD_BYTES])
    if window.startswith(b"\r\n"):
        raise _wrong(_NAMELESS)
    end = window.find(b"\r\n\r\n")
    if end < 0:
        too_long = len(window) == MAX_PART_HEAD_BYTES
        raise _wrong(f"the head of a part has more than {MAX_PART_HEAD_BYTES} bytes") if too_long else _unfinished()
    if b"\n" in window[:end].replace(b"\r\n", b"") or b"\r" in window[:end].replace(b"\r\n", b""):
        raise _wrong("a line in the head of a part does not end in CR LF")
    try:
        return _FOLD.sub(" ", window[:end].decode("utf-8")), at + end + 4
    except UnicodeDecodeError as error:
        raise _wrong("the head of a part is not UTF-8") from error


def _part(head: str, start: int, end: int) -> Part:
    fields: dict[str, str] = {}
    for line in head.split("\r\n"):
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name != name.strip() or name in fields:
            raise _wrong("a line in the head of a part is no header, or is there twice")
        fields[name] = value.strip()
    kind, _, _ = fields.get("content-disposition", "").partition(";")
    if kind.strip().lower() != "form-data":
        raise _wrong(_NAMELESS)
    if fields.get("content-transfer-encoding", "").lower() not in _PLAIN:
        raise _wrong("a part has a Content-Transfer-Encoding, which forms do not have")
    parameters = _parameters(fields["content-disposition"][len(kind) :])
    names = [value for name, value in parameters if name in ("name", "name*")]
    if len(names) != 1 or any(name == "name*" for name, _ in parameters):
        raise _wrong("a part has no name, or more than one")
    return Part(names[0], any(name.startswith("filename") for name, _ in parameters), start, end)


def _parameters(text: str) -> list[tuple[str, str]]:
    """`; name=value` pairs, names in lower case. Raises BadRequest over anything else."""
    pairs, at = list[tuple[str, str]](), 0
    while found := _PARAMETER.match(text, at):
        value = found[3] if found[2] is None else found[2]
        if "\\" in value and found[1].lower() != "filename":
            raise _wrong("a name in it has a backslash, which some read as an escape and some do not")
        pairs.append((found[1].lower(), value))
        at = found.end()
    if text[at:].strip(" \t;"):
        raise _wrong("a header in it cannot be read")
    return pairs


def _find(body: Body, wanted: bytes, start: int) -> int:
    """Where `wanted` begins, at `start` or later; -1 = nowhere. Of a view there is never a copy of the whole."""
    if not isinstance(body, memoryview):
        return body.find(wanted, start)
    at, step_bytes = start, _FIRST_STEP_BYTES
    while at < len(body):
        found = bytes(body[at : at + step_bytes + len(wanted) - 1]).find(wanted)
        if found >= 0:
            return at + found
        at, step_bytes = at + step_bytes, min(2 * step_bytes, _STEP_BYTES)
    return -1


def _wrong(reason: str) -> BadRequest:
    return BadRequest(reason=f"as multipart/form-data it cannot be read: {reason}")


def _unfinished() -> BadRequest:
    return _wrong("its last boundary is missing")
