"""Which headers cross the gateway, and the bytes of the heads it writes.

Heads are always rebuilt from parsed fields and framing is always ours: nothing that
delimits a message is ever copied from one side to the other.
"""

from __future__ import annotations

from http import HTTPStatus

from penstock.core.calls.message import Headers

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

PLAIN_CONNECTION = frozenset({b"keep-alive", b"Keep-Alive", b"close", b"Close"})
"""Values of Connection that say how long it lasts and nothing else."""

_FOR_US = frozenset({b"x-penstock-workload", b"x-overlaat-workload"})
"""Labels of our records, which are nobody else's business; `metadata.workload` is taken out of bodies, too."""

_NOT_TO_ENGINE = HOP_BY_HOP | _FOR_US | {b"host", b"content-length", b"expect"}

CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"cookie"})
"""What a caller proves itself with. An engine that we launched never sees it."""

CODINGS = frozenset({b"accept-encoding"})
"""What lets an engine compress its answer."""

_WITHHELD = {  # by what is dropped: the unions are made once
    dropped: _NOT_TO_ENGINE | dropped for dropped in (frozenset(), CODINGS, CREDENTIALS, CODINGS | CREDENTIALS)
}

NOT_IN_TRAILERS = (
    HOP_BY_HOP
    | CREDENTIALS
    | {b"host", b"content-length", b"content-type", b"content-encoding", b"content-range", b"set-cookie", b"location"}
)
"""What says how a message is read, or who asks, is of no effect behind its end (RFC 9110, section 6.5.1)."""

TE_LINES = b"te: trailers\r\nconnection: te\r\n\r\n"
"""The end of a head whose sender wants to read trailers."""

UPGRADE_LINES = b"upgrade: websocket\r\nconnection: upgrade\r\n\r\n"
"""The end of a head that asks for the websocket protocol, or agrees to it."""

_STATUS_LINE = {
    status.value: b"HTTP/1.1 %d %b" % (status.value, status.phrase.encode("ascii")) for status in HTTPStatus
}


def request_head(method: bytes, prefix: bytes, path: bytes, host: bytes, lines: bytes) -> bytes:
    """The head of a request to an engine. prefix: of all paths at its address. lines: as of `request_lines`."""
    return b"%b %b%b HTTP/1.1\r\nhost: %b\r\n%b" % (method, prefix, path, host, lines)


def request_lines(headers: Headers, dropped: frozenset[bytes], body_bytes: int | None) -> bytes:
    """What follows Host, to the end of the head; `body_bytes` None = there is no body, and nothing is said of one."""
    withheld = _WITHHELD.get(dropped) or _NOT_TO_ENGINE | dropped
    lines = [b": ".join(header) for header in headers if header[0].lower() not in withheld]
    lines.append(b"\r\n" if body_bytes is None else b"content-length: %d\r\n\r\n" % body_bytes)
    return b"\r\n".join(lines)


def upgraded_head(headers: Headers, added: bytes) -> bytes:
    """The head with which both sides change to the websocket protocol."""
    lines = [b": ".join(header) for header in headers if header[0].lower() not in _NOT_TO_ENGINE]
    fields = b"".join(line + b"\r\n" for line in lines)
    return b"HTTP/1.1 101 Switching Protocols\r\n%b%b%b" % (fields, added, UPGRADE_LINES)


def reply_head(status: int, headers: Headers, added: bytes, framing: bytes) -> bytes:
    """The head of an answer; `added` and `framing` are complete header lines of our own."""
    lines = [_STATUS_LINE.get(status) or b"HTTP/1.1 %d " % status]
    lines += [b": ".join(header) for header in headers if header[0].lower() not in HOP_BY_HOP]
    return b"%b\r\n%b%b\r\n" % (b"\r\n".join(lines), added, framing)


def wants_trailers(te: bytes) -> bool:
    """Whether the sender of this TE reads what may follow a body."""
    return any(each.strip().lower() == b"trailers" for each in te.split(b","))


def trailer_lines(headers: Headers) -> bytes:
    """Complete lines of those headers that may stand behind a body."""
    return b"".join(b"%b: %b\r\n" % each for each in headers if each[0].lower() not in NOT_IN_TRAILERS)


def fields_of(headers: Headers) -> dict[bytes, bytes]:
    """The values by name in lower case: of a header that is there twice the last one, but of codings all, in order."""
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        lower = name.lower()
        is_more = lower == b"content-encoding" and fields.get(lower)
        fields[lower] = fields[lower] + b", " + value if is_more else value
    return fields


def without_named(headers: Headers) -> Headers:
    """The headers less those that their sender declared, in Connection, to be for the next hop only.

    What frames a message, or says what it is, is not dropped on a stranger's word.
    """
    named: set[bytes] = set()
    for name, value in headers:
        if name.lower() == b"connection":
            named |= {token.strip() for token in value.lower().split(b",")}
    named -= {b"close", b"content-length", b"content-type", b"host", b"keep-alive", b"transfer-encoding"}
    return [header for header in headers if header[0].lower() not in named]
