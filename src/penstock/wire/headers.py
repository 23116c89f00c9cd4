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
    for name, value in headers:
        lower = name.lower()
        if lower not in _NOT_TO_ENGINE:
            if lower not in dropped:
                lines += (name, b": ", value, b"\r\n")
        elif lower == b"connection" and _names_headers(value):
            return request_head(method, target, host, _without_named(headers), dropped, body_bytes)
    lines.append(b"\r\n" if body_bytes is None else b"content-length: %d\r\n\r\n" % body_bytes)
    return b"".join(lines)


def reply_head(status: int, headers: Headers, added: bytes, framing: bytes) -> bytes:
    """The head of an answer; `added` and `framing` are complete header lines of our own."""
    lines = [_STATUS_LINE.get(status) or b"HTTP/1.1 %d \r\n" % status]
    for name, value in headers:
        lower = name.lower()
        if lower not in HOP_BY_HOP:
            lines += (name, b": ", value, b"\r\n")
        elif lower == b"connection" and _names_headers(value):
            return reply_head(status, _without_named(headers), added, framing)
    lines += (added, framing, b"\r\n")
    return b"".join(lines)


def _names_headers(connection: bytes) -> bool:
    """A Connection header says more than how long the connection lasts."""
    return connection.lower() not in (b"keep-alive", b"close")


def _without_named(headers: Headers) -> Headers:
    """The headers less what their sender declared to be for the next hop only, and less that declaration.

    What frames a message is not dropped on a stranger's word.
    """
    named = {b"connection"}
    for name, value in headers:
        if name.lower() == b"connection":
            named |= {token.strip() for token in value.lower().split(b",")}
    named -= {b"content-length", b"host", b"content-type"}
    return [header for header in headers if header[0].lower() not in named]
