"""The client's side of a connection: hot routes go straight to the relay, the rest is ASGI.

A subclass of uvicorn's HTTP protocol. Only this file and reading.py know uvicorn's; what they override
and rely on is held by tests/wire/test_ingress.py, and the version has an upper bound.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from penstock.core.calls.message import Head, Headers, Reply
from penstock.errors import BodyNotKept, GatewayError, TooLarge
from penstock.wire.body import BodyStore, whole
from penstock.wire.exchange import HotHandler, Incoming
from penstock.wire.headers import reply_head, trailer_lines, wants_trailers
from penstock.wire.outbox import Outbox
from penstock.wire.reading import RequestReading
from penstock.wire.reply import CONTINUE, ReplyWriter, malformed_reply
from penstock.wire.scrutiny import Malformed

KEEP_ALIVE_S = 75.0
HEAD_WITHIN_S = 30.0
BODY_PAUSE_S = 60.0
"""How long a connection may be idle, a head may take, and a body may pause."""

MAX_PIPELINED = 256
"""Requests that may wait behind another on one connection; it is closed after these."""

READ_AHEAD = 16
READ_AHEAD_BYTES = 64 * 1024
"""What is read behind the request that is being served. A connection that is not read does not tell when it closes."""


def _never(head: Head) -> bool:
    return False


@dataclass(slots=True)
class Doors:
    """What the composition root gives to every connection."""

    route: Callable[[Head], HotHandler | None]
    outbox: Outbox
    bodies: BodyStore
    max_head_bytes: int
    max_head_fields: int
    max_body_bytes: int
    max_connections: int
    takes_websocket: Callable[[Head], bool] = _never
    malformed: int = 0  # requests that were not HTTP; a counter, because they are no calls
    connections: set[Ingress] = field(default_factory=set)


class Ingress(RequestReading):
    """One client connection: its requests in their order, and the end of it."""

    doors: Doors  # set on a subclass by `bind`
    send: Callable[[bytes], None]  # the writer's own: one call less for every piece of a stream

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._current: Incoming | None = None  # being served
        self._arriving: Incoming | None = None  # its body is being read
        self._pipelined: deque[Incoming] = deque()
        self._is_asgi_arriving = False
        self.is_write_paused = False
        self.moved_s = monotonic()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.address = None if self.client is None else self.client[0]
        self._writer = ReplyWriter(self.loop, self.doors.outbox, transport)
        self.send = self._writer.send
        if len(self.doors.connections) >= self.doors.max_connections:
            transport.abort()  # one more would cost those that are being served
        self.doors.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.doors.connections.discard(self)
        self.is_deaf = True
        self._writer.lost(exc)
        current, arriving, self._current, self._arriving = self._current, self._arriving, None, None
        for incoming in (current, arriving, *self._pipelined):
            self._forget(incoming)
        self._pipelined.clear()
        super().connection_lost(exc)
        if current is not None and current.exchange is not None:
            current.exchange.gone()

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
        elif self._pipelined:
            self.loop.call_soon(self._open_next)

    def shutdown(self) -> None:
        """Close when idle; otherwise after the answer that is under way."""
        if self._current is not None:
            self._current.keeps_alive = False
        elif self.cycle is None or self.cycle.response_complete:
            self.doors.outbox.close(self.transport)  # behind an answer of this very turn
        else:
            super().shutdown()

    def sweep(self, now_s: float) -> None:
        """Close what asks for nothing, and what takes for ever to say what it wants. Called about once a second."""
        if self.has_moved:
            self.has_moved, self.moved_s = False, now_s
        quiet_s = now_s - self.moved_s
        if self.is_reading_head:
            if now_s - self.head_since_s > HEAD_WITHIN_S:
                self.cut()
        elif self._arriving is not None and self._arriving is self._current:
            if quiet_s > BODY_PAUSE_S:
                self.cut()
        elif self.is_idle and quiet_s > KEEP_ALIVE_S:
            self.transport.close()

    @property
    def is_idle(self) -> bool:
        """No request is being served."""
        return self._current is None and (self.cycle is None or self.cycle.response_complete)

    # httptools, as uvicorn's class is called by it

    def on_body(self, body: bytes) -> None:
        if self.framing_bytes is not None:
            self.framing_bytes = -self.packet_bytes
        incoming, doors = self._arriving, self.doors
        if incoming is None:
            if self._is_asgi_arriving:
                super().on_body(body)
            return
        if incoming.fault is not None:
            return
        try:
            incoming.body = doors.bodies.add(incoming.body, body, doors.max_body_bytes)
        except (TooLarge, BodyNotKept) as fault:
            incoming.fault = fault.with_traceback(None)  # which holds this frame, and that the request
            self._forget(incoming)
            if incoming is self._current:
                self._refuse_body(incoming, fault)
            return
        if incoming is not self._current and len(incoming.body) > READ_AHEAD_BYTES:
            self.flow.pause_reading()

    def _forget(self, incoming: Incoming | None) -> None:
        """Its body is no longer needed."""
        if incoming is not None:
            body, incoming.body = incoming.body, b""
            self.doors.bodies.release(body)

    def on_message_complete(self) -> None:
        self.framing_bytes = None
        incoming, self._arriving = self._arriving, None
        if incoming is None:
            if self._is_asgi_arriving:
                self._is_asgi_arriving = False
                super().on_message_complete()
            return
        incoming.is_whole = True
        if incoming is self._current and incoming.exchange is not None and incoming.fault is None:
            incoming.exchange.receive(whole(incoming.body))

    # Requests, one after another.

    def begin(self, head: Head) -> None:
        handler = self.doors.route(head)
        if handler is None:
            self._begin_asgi(head)
            return
        keeps_alive = self.parser.should_keep_alive() and (head.http_version != "1.0" or not _says_close(head))
        incoming = Incoming(head, handler, keeps_alive, self.doors.max_body_bytes)
        if self.is_idle and not self._pipelined and not self.is_write_paused:
            self._arriving = incoming
            self._open(incoming)
        elif len(self._pipelined) < MAX_PIPELINED:
            self._arriving = incoming
            self._pipelined.append(incoming)
            if len(self._pipelined) > READ_AHEAD or self.is_write_paused:
                self.flow.pause_reading()
        else:
            self._close_after_the_last()

    def _begin_asgi(self, head: Head) -> None:
        if self._current is not None or self._pipelined or len(self.pipeline) >= MAX_PIPELINED:
            # Answers must come in order, and uvicorn's queue does not know ours. Closing after the answers
            # before it is what HTTP offers: the client sends again what was not answered.
            self._close_after_the_last()
            return
        self._is_asgi_arriving = True
        self.hand_to_uvicorn(head)

    def _open(self, incoming: Incoming) -> None:
        self._current = incoming
        incoming.exchange = exchange = incoming.handler(self, incoming.head)
        if self._current is not incoming:  # answered by its head alone
            return
        if incoming.fault is not None:
            self._refuse_body(incoming, incoming.fault)
        elif incoming.is_whole:
            exchange.receive(whole(incoming.body))
        elif b"expect" in incoming.head.fields and incoming.waits_for_continue:
            self.doors.outbox.write(self.transport, CONTINUE)

    def _open_next(self) -> None:
        if not self._pipelined or not self.is_idle or self.is_write_paused or self.transport.is_closing():
            return
        incoming = self._pipelined.popleft()
        if len(self._pipelined) <= READ_AHEAD:
            self.flow.resume_reading()
        self._unset_keepalive_if_required()
        self._open(incoming)

    def on_response_complete(self) -> None:
        """uvicorn answered; a hot request may have come behind it."""
        super().on_response_complete()
        if self._pipelined:
            self._unset_keepalive_if_required()
            self.loop.call_soon(self._open_next)

    # Another protocol behind a head.

    def takes_upgrade(self, head: Head) -> bool:
        is_websocket = head.fields.get(b"upgrade", b"").lower() == b"websocket"
        return is_websocket and self.is_idle and not self._pipelined and self.doors.takes_websocket(head)

    def tunnelled(self, data: bytes) -> None:
        if self._current is not None and self._current.exchange is not None:
            self._current.exchange.receive_more(data)

    def start_tunnel(self, head: bytes) -> None:
        assert self._current is not None, "an answer without a request"
        self._current.keeps_alive = False
        self.doors.outbox.write(self.transport, head)

    def send_raw(self, data: bytes) -> None:
        self.doors.outbox.write(self.transport, data)

    def pause_reading(self) -> None:
        self.flow.pause_reading()

    def resume_reading(self) -> None:
        self.flow.resume_reading()

    def end_tunnel(self) -> None:
        self._current = None
        self.doors.outbox.close(self.transport)

    # Requests that will not be read.

    def _refuse_body(self, incoming: Incoming, fault: GatewayError) -> None:
        assert incoming.exchange is not None, "it is being served"
        incoming.exchange.refuse_body(fault)

    def refuse(self, fault: Malformed) -> None:
        self.doors.malformed += 1
        broken, self._arriving = self._arriving, None
        self._forget(broken)
        if broken is not None and broken is self._current:
            self._current = None
            if broken.exchange is not None:
                broken.exchange.gone()
        elif broken is not None:
            self._pipelined.pop()
        elif self._is_asgi_arriving and not self._leave_asgi():
            self.cut()
            return
        if self.is_idle and not self._pipelined:
            self.doors.outbox.write(self.transport, malformed_reply(fault.status, fault.message))
            self._linger()
        else:
            self._close_after_the_last()

    def _leave_asgi(self) -> bool:
        """The application will not get the rest of a body; False = it is too late for another answer."""
        self._is_asgi_arriving = False
        cycle = self.cycle
        cycle.disconnected = True
        cycle.message_event.set()
        if cycle.response_started or self.pipeline:
            return False
        cycle.response_complete = True
        return True

    def _close_after_the_last(self) -> None:
        """What comes from here on is not read; what came before is answered, and then the connection closes."""
        self.is_deaf = True
        if self._pipelined:
            self._pipelined[-1].keeps_alive = False
        elif self._current is not None:
            self._current.keeps_alive = False
        elif self.cycle is not None:
            self.cycle.keep_alive = False

    def _linger(self) -> None:
        self.is_deaf = True
        for incoming in (self._arriving, *self._pipelined):
            self._forget(incoming)
        self._arriving = None
        self._pipelined.clear()
        self.flow.resume_reading()
        self._writer.linger()

    # Client: what an exchange may do, beside `send`.

    def announce(self, status: int, headers: Headers) -> None:
        if self._current is not None and self._current.head.http_version != "1.0":
            headers = [each for each in headers if each[0].lower() != b"content-length"]  # it delimits nothing
            self.doors.outbox.write(self.transport, reply_head(status, headers, b"", b""))

    def start_reply(self, status: int, headers: Headers, added: bytes, length: bytes | None) -> None:
        incoming = self._current
        assert incoming is not None, "an answer without a request"
        if not incoming.is_whole and incoming.has_body:
            incoming.keeps_alive = False  # what is left of the body is never read
        self._writer.start(incoming, status, headers, added, length)

    def reply(self, reply: Reply) -> None:
        length = b"%d" % len(reply.body)
        self.start_reply(reply.status, reply.headers, b"content-length: " + length + b"\r\n", length)
        self.send(reply.body)
        self.finish(_nobody_asks)

    def trailers(self, headers: Headers) -> None:
        if self._current is not None and wants_trailers(self._current.head.fields.get(b"te", b"")):
            self._writer.trailers = trailer_lines(headers)

    def finish(self, when_written: Callable[[bool], None]) -> None:
        incoming, self._current = self._current, None
        assert incoming is not None, "an exchange ends once"
        self._forget(incoming)
        if self.is_tunnel:  # refused: what was to follow is nobody's
            incoming.keeps_alive = False
        self.has_moved = True
        self._writer.finish(when_written)
        if not incoming.keeps_alive:
            if self.is_deaf or self._arriving is not None or self._pipelined:
                self._linger()
            else:
                self.doors.outbox.close(self.transport)
        elif self._pipelined:
            self.loop.call_soon(self._open_next)

    def abort(self) -> None:
        self._forget(self._current)
        self._current = None
        self.cut()

    def cut(self) -> None:
        self._writer.cut()


def _says_close(head: Head) -> bool:
    """To the parser an HTTP/1.0 client that says close and, in Proxy-Connection, keep-alive wants the second."""
    return b"close" in head.fields.get(b"connection", b"").lower()


def _nobody_asks(is_written: bool) -> None:
    """A refusal's record does not depend on whether it was read."""


def bind(doors: Doors) -> type[Ingress]:
    """The protocol class for `uvicorn.Config(http=…)`, tied to these doors."""
    return type("BoundIngress", (Ingress,), {"doors": doors, "limits": doors})
