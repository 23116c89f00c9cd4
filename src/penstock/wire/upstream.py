"""Pooled HTTP/1.1 connections to one engine, told in four plain calls: head, data, end, fail.

No task and no future per request: a `Sink` is called as bytes come in. A connection serves
one request at a time, and goes back to its pool only after a complete answer.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, cast
from urllib.parse import urlsplit

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from penstock.core.calls.message import Body, Headers
from penstock.wire.headers import PLAIN_CONNECTION, fields_of, without_named
from penstock.wire.outbox import LARGE_READ_BYTES, Outbox

MAX_HEAD_BYTES = 256 * 1024
MAX_IDLE = 1024
CONNECT_TIMEOUT_S = 10.0
CONTINUE, SWITCHING = 100, 101
UPGRADE = b"\r\nupgrade: "
JOIN_BELOW_BYTES = 64 * 1024
WINDOW_BYTES = 256 * 1024
"""A large body is handed to the transport in such parts, each when it has taken the one before."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why no complete answer came. `kind` is decided on; `reason` is for people."""

    kind: str  # "unreachable" | "died" | "garbage"
    reason: str
    is_untouched: bool = False
    """A reused connection died before any byte of an answer: the engine had closed it; asking again is safe."""


class Sink(Protocol):
    """Who is told of an answer. After `on_end` or `on_fail` nothing more comes."""

    def on_interim(self, status: int, headers: Headers) -> None:
        """A 1xx that announces something, as 103 Early Hints does."""

    def on_head(self, status: int, headers: Headers, fields: dict[bytes, bytes], length: bytes | None) -> None:
        """`fields`: the headers by name, as of `fields_of`.

        `length` is the Content-Length as sent; None = the end is marked otherwise.
        """

    def on_wait(self) -> None:
        """The head has come, and nothing of its body with it. May be called again."""

    def on_upgrade(self, headers: Headers) -> None:
        """The engine has changed the protocol: what follows, as `on_data`, is bytes of that."""

    def on_full(self) -> None:
        """The engine takes bytes of the other protocol more slowly than they come; `on_drained` when it has."""

    def on_drained(self) -> None: ...
    def on_data(self, data: bytes) -> None: ...

    def on_trailers(self, headers: Headers) -> None:
        """What followed the body, if there was something; `on_end` is next."""

    def on_end(self) -> None: ...
    def on_fail(self, failure: Failure) -> None: ...


class Connection(asyncio.Protocol):
    """One connection to an engine."""

    __slots__ = (
        "_asked",
        "_closes_at_end",
        "_fault",
        "_headers",
        "_is_complete",
        "_is_head_done",
        "_is_head_request",
        "_is_in_body",
        "_is_paused",
        "_is_tunnel",
        "_is_write_paused",
        "_keeps_alive",
        "_overhead_bytes",
        "_parser",
        "_parts",
        "_pool",
        "_sink",
        "_trailers",
        "_unsent",
        "_upgraded",
        "_was_used",
        "transport",
    )

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sink: Sink | None = None
        self._was_used = self._is_paused = self._is_write_paused = False
        self._unsent: deque[memoryview] = deque()  # of a large body
        self._headers: Headers = []
        self._parts: list[bytes] = []
        self._is_in_body = self._is_tunnel = False
        self._fault: str | None = None
        self._upgraded: Headers = []

    # For the relay.

    def send(self, head: bytes, body: tuple[Body, ...], sink: Sink) -> None:
        """Send one request. The connection is the sink's until it ends, fails, or is dropped."""
        self._sink = sink
        self._is_head_done = self._is_complete = self._keeps_alive = False
        self._trailers: Headers = []
        self._overhead_bytes = 0  # of what is no body, since the last of the body
        self._is_head_request = head.startswith(b"HEAD ")
        self._asked = head  # looked into only if the answer is to change the protocol
        outbox = self._pool.outbox
        if len(body) == 1 and len(body[0]) < JOIN_BELOW_BYTES:
            outbox.write(self.transport, head + body[0])
            return
        outbox.write(self.transport, head)
        self._unsent.extend(_windows(body))
        self._feed(None)

    def _feed(self, _: None) -> None:
        """Give the transport the next part of a large body, and come back when it has looked at it."""
        if self._unsent and not self._is_write_paused and not self.transport.is_closing():
            self._pool.outbox.write(self.transport, self._unsent.popleft())
            if self._unsent:
                self._pool.outbox.after(self._feed, None)

    def send_raw(self, data: bytes) -> None:
        """More of the protocol that was changed to."""
        self._pool.outbox.write(self.transport, data)

    def pause_writing(self) -> None:
        self._is_write_paused = True
        if self._is_tunnel and self._sink is not None:
            self._sink.on_full()

    def resume_writing(self) -> None:
        self._is_write_paused = False
        self._feed(None)
        if self._is_tunnel and self._sink is not None:
            self._sink.on_drained()

    def drop(self) -> None:
        """The asker gave up: the engine learns of it by the closed connection."""
        self._sink = None
        self._unsent.clear()
        self.transport.abort()

    def pause(self) -> None:
        if not self._is_paused and not self.transport.is_closing():
            self._is_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._read_on()

    def _read_on(self) -> None:
        if not self._is_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own class, not a subclass
        self._parser = HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        if len(data) > LARGE_READ_BYTES:
            self.transport.pause_reading()
            self._pool.loop.call_soon(self._read_on)
        if self._is_tunnel or self._sink is None:
            self._pass_on(data)
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as exc:
            self._stopped(exc, data)
            if self._is_tunnel:
                return
        if parts := self._parts:
            self._overhead_bytes = 0
            self._parts = []
            self._sink.on_data(parts[0] if len(parts) == 1 else b"".join(parts))
            if self._sink is None:  # dropped
                return
        elif not self._is_complete:
            self._took_no_body(len(data))
        if self._is_complete:  # what may follow is not this answer's
            self._finish(keeps_alive=self._keeps_alive and self._fault is None)
        elif self._fault is not None:
            self._fail(Failure("garbage", self._fault))

    def _pass_on(self, data: bytes) -> None:
        if self._sink is None:  # bytes that nobody asked for: an answer after these could be anybody's
            self.transport.abort()
        else:
            self._sink.on_data(data)

    def _took_no_body(self, size: int) -> None:
        self._overhead_bytes += size
        if self._overhead_bytes > MAX_HEAD_BYTES:
            self._fault = f"more than {MAX_HEAD_BYTES} bytes of its answer are no body"
        elif self._is_head_done and self._sink is not None:
            self._sink.on_wait()

    def _stopped(self, exc: HttpParserError | HttpParserUpgrade, data: bytes) -> None:
        """The parser did, over these bytes."""
        if isinstance(exc, HttpParserCallbackError):
            raise (exc.__context__ or exc) from None  # a mistake of ours: the loop reports it and closes the connection
        if self._is_tunnel and isinstance(exc, HttpParserUpgrade):
            self._begin_tunnel(data[exc.args[0] :])
        else:
            self._fault = str(exc)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.forget(self)
        self._unsent.clear()
        if self._sink is None:
            return
        if self._is_tunnel or (self._is_head_done and self._closes_at_end and exc is None):
            self._finish(keeps_alive=False)
            return
        is_begun = self._is_head_done or self._overhead_bytes > 0
        reason = "it closed the connection " + ("in its answer" if is_begun else "without an answer")
        self._fail(Failure("died", reason, is_untouched=self._was_used and not is_begun))

    # httptools

    def on_message_begin(self) -> None:
        if self._is_complete:  # the begin of a second answer to one question
            self._keeps_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        headers, self._headers = self._headers, []
        status = self._parser.get_status_code()
        sink = self._sink
        if status == SWITCHING and UPGRADE in self._asked and sink is not None:
            self._is_tunnel = True
            self._upgraded = without_named(headers)
            return
        if status < 200 or self._is_complete or sink is None:
            if CONTINUE < status < 200 and status != SWITCHING and sink is not None and not self._is_complete:
                sink.on_interim(status, without_named(headers))
            return  # the answer follows; a 100 Continue is for us, if for anybody
        self._keeps_alive = self._parser.should_keep_alive()
        fields = {name.lower(): value for name, value in headers}
        length = fields.get(b"content-length")
        is_chunked = b"transfer-encoding" in fields
        if is_chunked and fields[b"transfer-encoding"].lower() != b"chunked":
            self._fault = "its transfer coding is not `chunked`"
            return
        if fields.get(b"connection", b"close") not in PLAIN_CONNECTION or len(fields) != len(headers):
            headers = without_named(headers)
            fields = fields_of(headers)
        self._closes_at_end = length is None and not is_chunked
        self._is_head_done = True
        self._is_in_body = not self._is_head_request
        sink.on_head(status, headers, fields, None if is_chunked else length)
        if self._is_head_request:  # the parser cannot know that no body follows
            self._is_complete, self._keeps_alive = True, False

    def on_body(self, body: bytes) -> None:
        if self._is_in_body:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        if self._is_in_body:
            self._is_in_body = False
            self._is_complete = True
            self._trailers, self._headers = self._headers, []

    def _begin_tunnel(self, first: bytes) -> None:
        assert self._sink is not None, "somebody asked for it"
        self._sink.on_upgrade(self._upgraded)
        if first and self._sink is not None:
            self._sink.on_data(first)

    # Ends.

    def _finish(self, *, keeps_alive: bool) -> None:
        sink, self._sink = self._sink, None
        self._was_used = True
        self.resume()
        if not keeps_alive:
            self._unsent.clear()
            self.transport.close()
        elif self._unsent or self.transport.get_write_buffer_size():  # answered before it had read the request
            self._unsent.clear()
            self.transport.abort()
        else:
            self._pool.put(self)
        if sink is not None:
            if self._trailers:
                sink.on_trailers(self._trailers)
            sink.on_end()

    def _fail(self, failure: Failure) -> None:
        sink, self._sink = self._sink, None
        self._unsent.clear()
        self.transport.abort()
        if sink is not None:
            sink.on_fail(failure)


def _windows(body: tuple[Body, ...]) -> Iterator[memoryview]:
    for piece in body:
        view = memoryview(piece)
        for start in range(0, len(view), WINDOW_BYTES):
            yield view[start : start + WINDOW_BYTES]


class Pool:
    """The connections to one origin, most recently used first."""

    __slots__ = ("_idle", "_tls", "host", "host_header", "loop", "outbox", "port", "prefix")

    def __init__(self, address: str, outbox: Outbox) -> None:
        """`address` is "http://host:port" or "https://…", with a path prefix or without."""
        url = urlsplit(address)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"not an http address: {address}")
        self.loop = asyncio.get_running_loop()
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._idle: list[Connection] = []
        self.host = url.hostname
        self.port = url.port or (443 if self._tls else 80)
        self.host_header = url.netloc.rpartition("@")[2].encode("ascii")
        self.prefix = url.path.rstrip("/").encode("ascii")
        self.outbox = outbox

    def take(self) -> Connection | None:
        """An idle connection, or None: then `connect`."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    async def connect(self, timeout_s: float | None = CONNECT_TIMEOUT_S) -> Connection:
        """A new connection. Raises OSError (TimeoutError included) when the engine cannot be reached."""
        async with asyncio.timeout(timeout_s):
            _, connection = await self.loop.create_connection(
                lambda: Connection(self), self.host, self.port, ssl=self._tls
            )
        return connection

    def put(self, connection: Connection) -> None:
        if len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.transport.close()

    def forget(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Close what is idle; what is in use belongs to its asker."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.transport.close()
