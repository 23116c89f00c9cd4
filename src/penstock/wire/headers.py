"""Which headers cross the gateway, and the bytes of the heads it writes.

Heads are always rebuilt from parsed fields and framing is always ours: nothing that
delimits a message is ever copied from one side to the other.
"""

from __future__ import annotations

from http import HTTPStatus

from penstock.core.message import Headers

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110 section 7.6.1, and what older clients still send."""

_NOT_TO_ENGINE = HOP_BY_HOP | {b"host", b"content-length", b"expect"}

CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"cookie"})
"""What a caller proves itself with. An engine that we launched never sees it."""

_STATUS_LINE = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode("ascii")) for status in HTTPStatus
}


def request_head(
    method: bytes, target: bytes, host: bytes, headers: Headers, dropped: frozenset[bytes], body_bytes: int | None
) -> bytes:
    """The head of a request to an engine; `body_bytes` None = it has no body, and says so by saying nothing."""
    lines = [method, b" ", target, b" HTTP/1.1\r\nhost: ", host, b"\r\n"]
    named = _named_by_connection(headers)
    for name, value in headers:
        lower = name.lower()
        if lower not in _NOT_TO_ENGINE and lower not in dropped and (not named or lower not in named):
            lines += (name, b": ", value, b"\r\n")
    lines.append(b"\r\n" if body_bytes is None else b"content-length: %d\r\n\r\n" % body_bytes)
    return b"".join(lines)


def reply_head(status: int, headers: Headers, added: bytes, framing: bytes) -> bytes:
    """The head of an answer; `added` and `framing` are complete header lines of our own."""
    lines = [_STATUS_LINE.get(status) or b"HTTP/1.1 %d \r\n" % status]
    named = _named_by_connection(headers)
    for name, value in headers:
        lower = name.lower()
        if lower not in HOP_BY_HOP and (not named or lower not in named):
            lines += (name, b": ", value, b"\r\n")
    lines += (added, framing, b"\r\n")
    return b"".join(lines)


def _named_by_connection(headers: Headers) -> set[bytes] | None:
    """Headers that the sender declared to be for the next hop only."""
    named: set[bytes] | None = None
    for name, value in headers:
        if len(name) == 10 and name.lower() == b"connection":
            tokens = {token.strip() for token in value.lower().split(b",")} - {b"close", b"keep-alive", b""}
            if tokens:
                named = tokens if named is None else named | tokens
    # What frames a message must not be dropped on a stranger's word.
    return named - {b"content-length", b"host", b"content-type"} if named else None
