"""Judging the unusual heads: whether anybody could read the same bytes differently, and what they really ask for.

llhttp, in its strict mode, refuses most of what is used to smuggle requests (both ways of framing, doubled
lengths, folded lines, bare line feeds). What it lets through and the standard does not is refused here.
"""

from __future__ import annotations

from penstock.core.calls.message import Head
from penstock.wire.headers import PLAIN_CONNECTION, without_named

_ONLY_ONCE = (b"host", b"content-length", b"transfer-encoding")


class Malformed(Exception):
    """This is not a request that can be read in one way only."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def is_plain(head: Head) -> bool:
    """A head in which there is nothing to look for: how nearly all of them are."""
    fields = head.fields
    return (
        len(fields) == len(head.headers)
        and head.http_version == "1.1"
        and head.target[:1] == b"/"
        and b"host" in fields
        and b"transfer-encoding" not in fields
        and b"upgrade" not in fields
        and fields.get(b"connection", b"close") in PLAIN_CONNECTION
    )


def scrutinise(head: Head) -> None:
    """Raise Malformed, or leave in `head` what the sender meant.

    An absolute target becomes path and Host (RFC 9112, section 3.2.2), and headers that the sender
    declared to be for this hop only are gone.
    """
    fields, target = head.fields, head.target
    if len(fields) != len(head.headers):
        _keep_first(head)
    if head.http_version not in ("1.0", "1.1"):
        raise Malformed(505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    if b"host" not in fields and head.http_version == "1.1":
        raise Malformed(400, "The request has no Host header.")
    if b"transfer-encoding" in fields:
        _check_coding(head)
    if target[:1] != b"/":
        _make_relative(head)
    if fields.get(b"connection", b"close") not in PLAIN_CONNECTION:
        head.headers = without_named(head.headers)


def size_of(head: Head) -> int:
    """Bytes of the head as it was sent, give or take spaces."""
    return len(head.target) + sum(len(name) + len(value) + 4 for name, value in head.headers)


def without_upgrade(head: Head) -> bytes:
    """The head again, less its offer to speak another protocol."""
    lines = [b"%b %b HTTP/%b" % (head.method, head.target, head.http_version.encode("ascii"))]
    lines += [b"%b: %b" % header for header in head.headers if header[0].lower() != b"upgrade"]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _keep_first(head: Head) -> None:
    fields = head.fields
    fields.clear()
    for name, value in head.headers:
        lower = name.lower()
        if lower not in fields:
            fields[lower] = value
        elif lower in _ONLY_ONCE:
            raise Malformed(400, f"The header {lower.decode('latin-1')} is there more than once.")


def _check_coding(head: Head) -> None:
    if head.fields[b"transfer-encoding"].lower() != b"chunked":
        raise Malformed(501, "Of transfer codings only `chunked` is spoken here.")
    if head.http_version == "1.0":
        raise Malformed(400, "HTTP/1.0 has no transfer codings.")


def _make_relative(head: Head) -> None:
    scheme, separator, rest = head.target.partition(b"://")
    authority = rest.partition(b"/")[0].partition(b"?")[0]
    if not separator or scheme.lower() not in (b"http", b"https") or not authority or b"@" in authority:
        raise Malformed(400, "The target of the request is neither a path nor an http address.")
    target = rest[len(authority) :]
    head.target = target if target[:1] == b"/" else b"/" + target
    head.fields[b"host"] = authority
    head.headers = [(b"host", authority), *(header for header in head.headers if header[0].lower() != b"host")]
