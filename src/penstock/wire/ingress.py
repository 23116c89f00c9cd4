"""The client's side of a connection: hot routes go straight to the relay, the rest is ASGI.

A subclass of uvicorn's HTTP protocol. Only this file knows uvicorn's; what it overrides and
what it relies on is held by tests/wire/test_ingress.py, and the version has an upper bound.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from penstock.core.message import Head, Headers, Reply
from penstock.wire.headers import reply_head
from penstock.wire.outbox import Outbox
from penstock.wire.reply import ReplyWriter

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
SLOW_CLIENT_POLL_S = 0.25


class Exchange(Protocol):
    """One hot request on its way. Calls come in the order of the bytes; `gone` may come at any time, once."""

    def receive(self, body: bytes | bytearray) -> None:
        """The whole request body is here."""

    def refuse_body(self, limit_bytes: int) -> None:
        """The body is larger than the limit; it will not be read."""

    def gone(self) -> None:
        """The client closed the connection."""

    def pause(self) -> None:
        """The client reads more slowly than the engine writes."""

    def resume(self) -> None: ...


class HotHandler(Protocol):
    """Opens an exchange as soon as a request's head is known, before its body has come."""

    def __call__(self, client: Client, head: Head) -> Exchange: ...


class Client(Protocol):
    """The connection as an exchange sees it. After `finish` or `abort` the exchange is over."""

    @property
    def is_write_paused(self) -> bool: ...

    def reply(self, reply: Reply) -> None:
        """Answer completely and finish."""

    def start_reply(self, status: int, headers: Headers, added: bytes, length: bytes | None) -> None:
        """Begin an answer; its head goes out with the first data."""

    def send(self, data: bytes) -> None: ...

    def finish(self, when_written: Callable[[bool], None]) -> None:
        """The answer is complete. `when_written(True)` once the kernel has its last byte, False if the client left."""

    def abort(self) -> None:
        """Cut the connection: the only honest way to say that an answer already begun will not be completed."""


@dataclass(slots=True)
class Doors:
    """What the composition root gives to every connection."""

    route: Callable[[Head], HotHandler | None]
    outbox: Outbox
    max_head_bytes: int
    max_head_fields: int
    max_body_bytes: int
    max_connections: int
    malformed: int = 0  # requests that were not HTTP; a counter, because they are no calls
    connections: set[Ingress] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class _Incoming:
    """A hot request whose bytes are arriving, or that waits behind another on its connection."""

    head: Head
    handler: HotHandler
    keeps_alive: bool
    expects_continue: bool
    length: int | None
    exchange: Exchange | None = None
    body: bytes | bytearray = b""
    is_whole: bool = False
    is_too_large: bool = False


class Ingress(HttpToolsProtocol):
    """One client connection."""

    doors: Doors  # set on a subclass by `bind`

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # uvicorn lets bytes follow a request that closes its connection; we do not read past an end.
        self.parser = httptools.HttpRequestParser(self)
        self._current: _Incoming | None = None  # being served
        self._arriving: _Incoming | None = None  # its body is being read
        self._pipelined: deque[_Incoming] = deque()
        self._head_bytes = 0
        self._head_fields = 0
        self._head_size = 0
        self._fields: dict[bytes, bytes] = {}
        self._is_head_open = True
        self._is_refused = False
        self._is_closed_cleanly = False
        self.is_write_paused = False
        self.quiet_since_s = self.head_since_s = monotonic()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.doors.connections) >= self.doors.max_connections:
            transport.abort()  # one more would cost those that are being served
        self._writer = ReplyWriter(self.doors.outbox, transport)
        self.doors.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.doors.connections.discard(self)
        self._is_closed_cleanly = exc is None
        for incoming in (self._current, *self._pipelined):
            if incoming is not None and incoming.exchange is not None:
                incoming.exchange.gone()
        self._current = self._arriving = None
        self._pipelined.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._is_refused:
            return
        self.quiet_since_s = monotonic()
        if self._is_head_open:
            if not self._head_bytes:
                self.head_since_s = self.quiet_since_s
            self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            # Offered an upgrade, we go on in HTTP/1.1; what followed the request is the next one.
            if rest := data[exc.args[0] :]:
                self.data_received(rest)
            return
        except httptools.HttpParserError:
            self._refuse_malformed(400, "The request is not valid HTTP/1.1.")
            return
        if self._is_head_open and self._head_bytes > self.doors.max_head_bytes:
            self._refuse_malformed(431, "The head of the request is too large (limits.head).")

    def pause_writing(self) -> None:
        super().pause_writing()
        self.is_write_paused = True
        if self._current is not None and self._current.exchange is not None:
            self._current.exchange.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.is_write_paused = False
        if self._current is not None and self._current.exchange is not None:
            self._current.exchange.resume()

    def shutdown(self) -> None:
        """Close when idle; otherwise after the answer that is under way."""
        if self._current is not None:
            self._current.keeps_alive = False
        else:
            super().shutdown()

    @property
    def is_idle(self) -> bool:
        """No request is being read or served."""
        return self._current is None and (self.cycle is None or self.cycle.response_complete)

    @property
    def is_reading_head(self) -> bool:
        """A request has begun, and its head is not complete."""
        return self._is_head_open and self._head_bytes > 0

    # httptools, as uvicorn's class is called by it

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._fields = {}
        self._head_fields = self._head_size = 0
        self._is_head_open = True

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_fields += 1
        if self._head_fields <= self.doors.max_head_fields:
            self._head_size += len(name) + len(value) + 4
            self.headers.append((name, value))
            self._fields.setdefault(name.lower(), value)

    def on_headers_complete(self) -> None:
        self._is_head_open = False
        self._head_bytes = 0
        if self._is_refused:
            return
        if self._head_fields > self.doors.max_head_fields:
            self._refuse_malformed(431, "The request has too many header fields (limits.head_fields).")
            return
        if len(self.url) + self._head_size > self.doors.max_head_bytes:
            self._refuse_malformed(431, "The head of the request is too large (limits.head).")
            return
        parser = self.parser
        address = None if self.client is None else self.client[0]
        head = Head(parser.get_method(), self.url, self.headers, parser.get_http_version(), address, self._fields)
        handler = self.doors.route(head)
        if handler is None:
            self._begin_asgi()
        else:
            self._begin_hot(head, handler, keeps_alive=parser.should_keep_alive())

    def on_body(self, body: bytes) -> None:
        incoming = self._arriving
        if incoming is None:
            if not self._is_refused and self.cycle is not None:
                super().on_body(body)
        elif not incoming.is_too_large:
            if len(incoming.body) + len(body) > self.doors.max_body_bytes:
                self._refuse_body(incoming)
            elif not incoming.body:
                incoming.body = body
            else:
                if isinstance(incoming.body, bytes):
                    incoming.body = bytearray(incoming.body)
                incoming.body += body

    def on_message_complete(self) -> None:
        incoming = self._arriving
        if incoming is None:
            if not self._is_refused and self.cycle is not None:
                super().on_message_complete()
            return
        self._arriving = None
        incoming.is_whole = True
        if incoming.exchange is not None and not incoming.is_too_large:
            incoming.exchange.receive(incoming.body)

    # Reading.

    def _begin_asgi(self) -> None:
        self._arriving = None
        if self._current is not None:
            # Answers must come in order, and uvicorn's queue does not know ours. Closing after the answer
            # under way is what HTTP offers: the client sends again what was not answered.
            self._current.keeps_alive = False
            self._is_refused = True
            return
        url, headers, keep = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, keep
        for name, value in headers:  # uvicorn's own, because it looks at `expect`
            super().on_header(name, value)
        super().on_headers_complete()

    def _begin_hot(self, head: Head, handler: HotHandler, *, keeps_alive: bool) -> None:
        length = head.fields.get(b"content-length")
        expects = b"expect" in head.fields and head.fields[b"expect"].lower() == b"100-continue"
        incoming = _Incoming(head, handler, keeps_alive, expects, None if length is None else int(length))
        self._arriving = incoming
        if self.is_idle and not self._pipelined:
            self._open(incoming)
        else:
            self._pipelined.append(incoming)
            self.flow.pause_reading()

    def _open(self, incoming: _Incoming) -> None:
        self._current = incoming
        incoming.exchange = incoming.handler(self, incoming.head)
        if self._current is not incoming:  # refused by its head alone
            return
        if incoming.is_too_large or (incoming.length is not None and incoming.length > self.doors.max_body_bytes):
            self._refuse_body(incoming)
        elif incoming.is_whole:
            incoming.exchange.receive(incoming.body)
        elif incoming.expects_continue and not incoming.body:
            self.doors.outbox.write(self.transport, CONTINUE)

    def _refuse_body(self, incoming: _Incoming) -> None:
        incoming.is_too_large = True
        incoming.keeps_alive = False  # what is left of the body is never read
        incoming.body = b""
        if incoming.exchange is not None:
            self._is_refused = True
            incoming.exchange.refuse_body(self.doors.max_body_bytes)

    def _refuse_malformed(self, status: int, message: str) -> None:
        """Not HTTP, or more than a head may be: answered once, and nothing more is read from this connection."""
        self.doors.malformed += 1
        self._is_refused = True
        if self._current is not None or not self.is_idle:
            if self._current is not None:
                self._current.keeps_alive = False
            return
        body = b'{"error":{"message":"%b","type":"invalid_request_error","param":null,"code":"malformed_http"}}' % (
            message.encode("ascii")
        )
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        head = reply_head(status, headers, b"connection: close\r\n", b"content-length: %d\r\n" % len(body))
        self.doors.outbox.write(self.transport, head + body)
        self.doors.outbox.close(self.transport)

    # Client: what an exchange may do.

    def start_reply(self, status: int, headers: Headers, added: bytes, length: bytes | None) -> None:
        incoming = self._current
        assert incoming is not None, "an answer without a request"
        self._writer.start(incoming, status, headers, added, length)

    def send(self, data: bytes) -> None:
        self._writer.send(data)

    def reply(self, reply: Reply) -> None:
        length = b"%d" % len(reply.body)
        self.start_reply(reply.status, reply.headers, b"content-length: " + length + b"\r\n", length)
        self.send(reply.body)
        self.finish(_nobody_asks)

    def finish(self, when_written: Callable[[bool], None]) -> None:
        incoming, self._current = self._current, None
        assert incoming is not None, "an exchange ends once"
        self._writer.finish()
        outbox = self.doors.outbox
        outbox.after(lambda: self._report_written(when_written))
        self.quiet_since_s = monotonic()
        if not incoming.keeps_alive:
            outbox.close(self.transport)
        elif self._pipelined:
            self.loop.call_soon(self._open_next)

    def abort(self) -> None:
        self._current = None
        self.transport.abort()

    def _open_next(self) -> None:
        if self._pipelined and self._current is None and not self.transport.is_closing():
            incoming = self._pipelined.popleft()
            if not self._pipelined:
                self.flow.resume_reading()
            self._open(incoming)

    def on_response_complete(self) -> None:
        """uvicorn answered; a hot request may have come behind it."""
        super().on_response_complete()
        if self._pipelined:
            self._unset_keepalive_if_required()
            self.loop.call_soon(self._open_next)

    def _report_written(self, when_written: Callable[[bool], None]) -> None:
        if self not in self.doors.connections:
            when_written(self._is_closed_cleanly)
        elif self.transport.get_write_buffer_size() == 0:
            when_written(True)
        else:  # a client that reads slowly
            self.loop.call_later(SLOW_CLIENT_POLL_S, self._report_written, when_written)


def _nobody_asks(is_written: bool) -> None:
    """A refusal's record does not depend on whether it was read."""


def bind(doors: Doors) -> type[Ingress]:
    """The protocol class for `uvicorn.Config(http=…)`, tied to these doors."""
    return type("BoundIngress", (Ingress,), {"doors": doors})
