"""From a client's bytes to heads that can be read in one way only, and are bounded.

The lower half of ingress.py: uvicorn's HTTP protocol with the reading replaced. What a request
does once its head is known is the upper half's.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any, Protocol

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from penstock.core.calls.message import Head
from penstock.wire.outbox import LARGE_READ_BYTES
from penstock.wire.scrutiny import Malformed, is_plain, scrutinise, size_of, without_upgrade


class HeadLimits(Protocol):
    max_head_bytes: int
    max_head_fields: int
    max_body_bytes: int


class RequestReading(HttpToolsProtocol):
    """Calls `begin` for each head, and `refuse` for what is none; `on_body` and `on_message_complete` follow."""

    limits: HeadLimits  # set on a subclass by `bind`

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # uvicorn lets bytes follow a request that closes its connection; we do not read past an end.
        self.parser = HttpRequestParser(self)
        self.url = b""
        self.headers = []
        self._fields: dict[bytes, bytes] = {}  # the same by name in lower case; of one that is there twice, the last
        self.address: str | None = None
        self.is_deaf = False  # nothing that still comes will be read
        self.has_moved = True  # since the last look of the sweeper
        self.is_reading_head = False  # a request has begun, and its head is not complete
        self.head_since_s = 0.0
        self._offer = b""  # the head of a request that offered an upgrade, without the offer
        self.is_tunnel = False  # what comes is no longer HTTP, but its exchange's
        self.packet_bytes = 0
        self._head_bytes = -1  # of a head in several packets: what came after the first; -1 = it is in one
        self.framing_bytes: int | None = None  # of a chunked body: what came since its last data; None = not chunked
        self._discarded_bytes = 0

    def begin(self, head: Head) -> None:
        """A request's head is here."""
        raise AssertionError("a connection does this")

    def refuse(self, fault: Malformed) -> None:
        """What came is no request; nothing after it can be read."""
        raise AssertionError("a connection does this")

    def takes_upgrade(self, head: Head) -> bool:
        """Whether what follows this head may be another protocol's."""
        raise AssertionError("a connection does this")

    def tunnelled(self, data: bytes) -> None:
        """Bytes of the other protocol."""
        raise AssertionError("a connection does this")

    def cut(self) -> None:
        """Close the connection at once, whatever is still to be written."""
        raise AssertionError("a connection does this")

    def data_received(self, data: bytes) -> None:
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        if self.is_deaf:
            self._discard(len(data))
            return
        self.has_moved = True
        if self.is_tunnel:
            self.tunnelled(data)
            return
        self.packet_bytes = len(data)
        if self.packet_bytes > LARGE_READ_BYTES:
            self.transport.pause_reading()
            self.loop.call_soon(self._read_on)
        try:
            self.parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as exc:
            self._go_on(exc, data)
        if self.is_reading_head or self.framing_bytes is not None:
            self._bound_overhead(len(data))

    def _read_on(self) -> None:
        if not self.flow.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    # httptools, as uvicorn's class is called by it

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers, self._fields = [], {}
        self.is_reading_head = True
        self._head_bytes = -1

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))
        self._fields[name.lower()] = value

    def on_headers_complete(self) -> None:
        self.is_reading_head = False
        if self.is_deaf:
            return
        # Trailers come as headers too, and are nobody's: they go to a list that is never read.
        headers, fields, self.headers, self._fields = self.headers, self._fields, [], {}
        parser, limits = self.parser, self.limits
        head = Head(parser.get_method(), self.url, headers, parser.get_http_version(), self.address, fields)
        may_be_large = self._head_bytes >= 0 or self.packet_bytes > limits.max_head_bytes
        if may_be_large or len(headers) > limits.max_head_fields or not is_plain(head):
            try:
                self._look_closely(head)
            except Malformed as exc:
                self.refuse(exc)
                return
            if self._offer:
                return
        self.begin(head)

    def hand_to_uvicorn(self, head: Head) -> None:
        """Let uvicorn serve this request, as if it had read the head itself."""
        super().on_message_begin()
        self.url = head.target
        for name, value in head.headers:  # its own `on_header` looks at `expect`
            super().on_header(name, value)
        super().on_headers_complete()
        self.headers = []

    # The unusual.

    def _look_closely(self, head: Head) -> None:
        if len(head.headers) > self.limits.max_head_fields:
            raise Malformed(431, "The request has too many header fields (limits.head_fields).")
        if size_of(head) > self.limits.max_head_bytes:
            raise Malformed(431, "The head of the request is too large (limits.head).")
        scrutinise(head)
        if b"upgrade" in head.fields and self.parser.should_upgrade():
            self.is_tunnel = self.takes_upgrade(head)
            if not self.is_tunnel:
                self._offer = without_upgrade(head)
        elif b"transfer-encoding" in head.fields:
            self.framing_bytes = 0

    def _go_on(self, stopped: HttpParserError | HttpParserUpgrade, data: bytes) -> None:
        """The parser stopped. Offered another protocol, we stay with HTTP/1.1; what is not HTTP is refused.

        After an offer the parser takes whatever follows for the other protocol, the request's own body
        included. To be read as HTTP, the head is read again without the offer.
        """
        rest = memoryview(data)
        if isinstance(stopped, HttpParserUpgrade) and self.is_tunnel:
            if behind := bytes(rest[stopped.args[0] :]):
                self.tunnelled(behind)
            return
        while isinstance(stopped, HttpParserUpgrade) and self._offer and not self.is_deaf:
            rest, offer, self._offer = rest[stopped.args[0] :], self._offer, b""
            try:
                self.parser.feed_data(offer)
                self.parser.feed_data(rest)
            except (HttpParserError, HttpParserUpgrade) as exc:
                stopped = exc
            else:
                return
        if isinstance(stopped, HttpParserCallbackError) and stopped.__context__ is not None:
            raise stopped.__context__  # a mistake of ours: the loop reports it and closes the connection
        if not self.is_deaf:
            self.refuse(Malformed(400, "The request is not valid HTTP/1.1."))

    def _bound_overhead(self, size: int) -> None:
        """Bound what is no body: a head in many packets, and trailers and extensions of chunks."""
        limit = self.limits.max_head_bytes
        if not self.is_reading_head:
            self.framing_bytes = (self.framing_bytes or 0) + size
            if self.framing_bytes > limit:
                self.refuse(Malformed(431, "The trailers of the request are too large (limits.head)."))
        elif self._head_bytes < 0:  # its first packet, which may also hold what came before
            self._head_bytes, self.head_since_s = 0, monotonic()
        else:
            self._head_bytes += size
            if self._head_bytes > limit:
                self.refuse(Malformed(431, "The head of the request is too large (limits.head)."))

    def _discard(self, size: int) -> None:
        self._discarded_bytes += size
        if self._discarded_bytes > self.limits.max_body_bytes:
            self.cut()
