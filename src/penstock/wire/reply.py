"""The writing half of a client's connection: one answer after another, and when the last byte is out.

Head and first data go out together, and the framing is always our own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from penstock.core.calls.message import Head, Headers
from penstock.wire.headers import reply_head
from penstock.wire.outbox import Outbox

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

LINGER_S = 10.0
SLOW_CLIENT_POLL_S = 0.25
SLOW_CLIENT_S = 60.0
"""A client that takes no byte of a complete answer for so long has left."""


class Asked(Protocol):
    """What an answer has to know of its request. `keeps_alive` may be taken back, never given."""

    head: Head
    keeps_alive: bool


class ReplyWriter:
    """The answers of one connection. `start`, any number of `send`, `finish`; then the next."""

    __slots__ = (
        "_head",
        "_is_bodiless",
        "_is_chunked",
        "_is_cut",
        "_is_lost",
        "_is_open_ended",
        "_loop",
        "_outbox",
        "_transport",
        "_was_written",
        "trailers",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, outbox: Outbox, transport: asyncio.Transport) -> None:
        self._loop = loop
        self._outbox = outbox
        self._transport = transport
        self._head: bytes | None = None
        self.trailers = b""  # complete lines that follow the body, where it is chunked
        self._is_chunked = self._is_bodiless = self._is_open_ended = False
        self._is_cut = self._is_lost = self._was_written = False

    def start(self, asked: Asked, status: int, headers: Headers, added: bytes, length: bytes | None) -> None:
        """`length` None = the engine did not say: chunks, or the end of the connection for HTTP/1.0."""
        is_old = asked.head.http_version == "1.0"
        self._is_open_ended = length is None
        self._is_bodiless = is_bodiless = asked.head.method == b"HEAD" or status in (204, 304)
        self._is_chunked = is_chunked = length is None and not is_bodiless and not is_old
        if length is None and is_old and not is_bodiless:
            asked.keeps_alive = False
        framing = b"transfer-encoding: chunked\r\n" if is_chunked else b""
        if not asked.keeps_alive:
            framing += b"connection: close\r\n"
        elif is_old:
            framing += b"connection: keep-alive\r\n"
        self._head = reply_head(status, headers, added, framing)

    def send(self, data: bytes) -> None:
        """A piece of the body. With b"" a head that still waits goes by itself: nobody knows when the body begins."""
        if self._is_bodiless:
            return
        if not data:
            if self._head is not None and self._is_open_ended:
                self._outbox.write(self._transport, self._head)
                self._head = None
            return
        if self._is_chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._head is not None:
            data = self._head + data
            self._head = None
        self._outbox.write(self._transport, data)

    def finish(self, when_written: Callable[[bool], None]) -> None:
        """The answer is complete. `when_written(True)` once the kernel has its last byte, False if the client left."""
        tail = self._head or b""
        self._head = None
        if self._is_chunked:
            tail += b"0\r\n%b\r\n" % self.trailers
        self.trailers = b""
        if tail:
            self._outbox.write(self._transport, tail)
        self._outbox.after(self._report, when_written)

    def linger(self) -> None:
        """Say nothing more, but let the client be read from for a while.

        A socket closed with bytes unread is reset by the kernel, and the reset takes back what the
        client has not read yet: the answer that tells it why.
        """
        self._outbox.after(self._half_close, LINGER_S)

    def cut(self) -> None:
        """Close at once; what the transport still holds is lost."""
        self._is_cut = True
        self._transport.abort()

    def lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._is_lost = True
        self._was_written = exc is None and not self._is_cut

    def _half_close(self, linger_s: float) -> None:
        if not self._transport.is_closing():
            self._transport.write_eof()
            self._loop.call_later(linger_s, self._transport.close)

    def _report(self, when_written: Callable[[bool], None]) -> None:
        if self._is_lost:
            when_written(self._was_written)
        elif left := self._transport.get_write_buffer_size():
            self._watch(when_written, left, self._loop.time())
        else:
            when_written(True)

    def _watch(self, when_written: Callable[[bool], None], left: int, since_s: float) -> None:
        """Look again until the client has read everything, has left, or has taken nothing for too long."""
        if self._is_lost:
            when_written(self._was_written)
            return
        now_left, now_s = self._transport.get_write_buffer_size(), self._loop.time()
        if not now_left:
            when_written(True)
            return
        if now_left != left:
            since_s = now_s
        elif now_s - since_s > SLOW_CLIENT_S:
            self.cut()
        self._loop.call_later(SLOW_CLIENT_POLL_S, self._watch, when_written, now_left, since_s)


def malformed_reply(status: int, message: str) -> bytes:
    """The complete answer to what was no request; the connection closes behind it."""
    body = b'{"error":{"message":"%b","type":"invalid_request_error","param":null,"code":"malformed_http"}}' % (
        message.encode("ascii")
    )
    added = b"connection: close\r\ncontent-length: %d\r\n" % len(body)
    return reply_head(status, [(b"content-type", b"application/json")], added, b"") + body
