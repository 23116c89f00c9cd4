"""Writing one answer after another to a client: head joined with the first data, our own framing."""

from __future__ import annotations

import asyncio
from typing import Protocol

from penstock.core.message import Head, Headers
from penstock.wire.headers import reply_head
from penstock.wire.outbox import Outbox


class Asked(Protocol):
    """What an answer has to know of its request. `keeps_alive` may be taken back, never given."""

    head: Head
    keeps_alive: bool


class ReplyWriter:
    """The answers of one connection. `start`, any number of `send`, `finish`; then the next."""

    __slots__ = ("_head", "_is_bodiless", "_is_chunked", "_outbox", "_transport")

    def __init__(self, outbox: Outbox, transport: asyncio.WriteTransport) -> None:
        self._outbox = outbox
        self._transport = transport
        self._head: bytes | None = None
        self._is_chunked = self._is_bodiless = False

    def start(self, asked: Asked, status: int, headers: Headers, added: bytes, length: bytes | None) -> None:
        """`length` None = the engine did not say: chunks, or the end of the connection for HTTP/1.0."""
        is_old = asked.head.http_version == "1.0"
        self._is_bodiless = asked.head.method == b"HEAD" or status in (204, 304)
        self._is_chunked = length is None and not self._is_bodiless and not is_old
        if length is None and is_old and not self._is_bodiless:
            asked.keeps_alive = False
        framing = b"transfer-encoding: chunked\r\n" if self._is_chunked else b""
        if not asked.keeps_alive:
            framing += b"connection: close\r\n"
        elif is_old:
            framing += b"connection: keep-alive\r\n"
        self._head = reply_head(status, headers, added, framing)

    def send(self, data: bytes) -> None:
        if self._is_bodiless or not data:
            return
        if self._is_chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._head is not None:
            data = self._head + data
            self._head = None
        self._outbox.write(self._transport, data)

    def finish(self) -> None:
        tail = self._head or b""
        self._head = None
        if self._is_chunked:
            tail += b"0\r\n\r\n"
        if tail:
            self._outbox.write(self._transport, tail)
