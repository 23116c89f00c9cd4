"""One request on its way to an engine: a connection is found or made, the request sent, and again where that is safe.

Safe is what no engine has seen anything of: a kept connection that the engine had closed, or an engine that
was gone before it could be reached.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from penstock.core.calls.message import Body
from penstock.wire.headers import request_head
from penstock.wire.upstream import Connection, Pool, Sink

MAX_SENT_BACK = 3
"""An engine that is ready and dead again so many times in a row is broken, and whoever asks is told so."""


class EngineView(Protocol):
    """A replica as a call needs it: where to connect, and what it last printed."""

    pool: Pool | None
    ready_at_s: float | None

    async def is_ending(self, pool: Pool | None) -> bool: ...
    def log_tail(self) -> str: ...


@dataclass(slots=True)  # not frozen: that makes each of them four times as dear
class Request:
    """What is sent, but for what the engine's address adds to it. lines: the head's after Host, to its end."""

    method: bytes
    path: bytes
    lines: bytes
    body: tuple[Body, ...]
    connect_s: float | None = None  # how long making a connection may take; None = as long as it takes


NO_REQUEST = Request(b"", b"", b"", ())


class Sender(Protocol):
    """Who sends a request, and is told what came of that."""

    def sent(self) -> None:
        """It goes out with this turn's writes."""

    def sent_back(self) -> None:
        """The engine was gone before it saw anything: the call may wait for the next one."""

    def unreachable(self, reason: str) -> None: ...


class Errand:
    """At most one request under way at a time."""

    __slots__ = ("_connecting", "_connection", "_engine", "_is_retried", "_request", "_sender", "_sent_back", "_sink")

    _engine: EngineView

    def __init__(self, sender: Sender, sink: Sink) -> None:
        self._sender = sender
        self._sink = sink
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._is_retried = False
        self._request = NO_REQUEST
        self._sent_back = 0

    @property
    def is_under_way(self) -> bool:
        """An engine works on it, or is being connected to."""
        return self._connection is not None or self._connecting is not None

    def go(self, engine: EngineView, request: Request) -> None:
        """Send the request on an idle connection, or on a new one."""
        self._engine, self._request, self._is_retried = engine, request, False
        pool = engine.pool
        if pool is not None and (connection := pool.take()) is not None:
            self._send(connection, pool)
        else:
            self._begin_connecting(pool)

    def again(self) -> bool:
        """The connection was dead before the engine saw anything. False = that was tried before."""
        self._connection = None
        if self._is_retried:
            return False
        self._is_retried = True
        self._begin_connecting(self._engine.pool)
        return True

    def over(self) -> None:
        """The engine's answer has ended, one way or another."""
        self._connection = None

    def drop(self) -> None:
        """Take the work away from the engine, which learns of it by the closed connection."""
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._connection is not None:
            self._connection.drop()
            self._connection = None

    def end(self) -> None:
        """There will be no other request. What held each other is let go: no work for the garbage collector."""
        self._request = NO_REQUEST
        del self._sender, self._sink

    def send_raw(self, data: bytes) -> None:
        """Bytes of the protocol that both sides have changed to."""
        if self._connection is not None:
            self._connection.send_raw(data)

    def pause(self) -> None:
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        if self._connection is not None:
            self._connection.resume()

    def _begin_connecting(self, pool: Pool | None) -> None:
        self._connecting = asyncio.create_task(self._connect(pool))

    async def _connect(self, pool: Pool | None) -> None:
        """`pool` None = the engine died in the moment of the decision."""
        try:
            if pool is None:
                raise ConnectionRefusedError("it is gone")
            connection = await pool.connect(self._request.connect_s)
        except OSError as exc:
            may_wait = self._sent_back < MAX_SENT_BACK
            is_ending = may_wait and await self._engine.is_ending(pool)
            self._connecting = None
            if is_ending:
                self._sent_back += 1
                self._sender.sent_back()
            else:
                self._sender.unreachable(exc.strerror or str(exc) or type(exc).__name__)
            return
        self._connecting = None
        self._send(connection, pool)

    def _send(self, connection: Connection, pool: Pool) -> None:
        self._connection, request = connection, self._request
        head = request_head(request.method, pool.prefix, request.path, pool.host_header, request.lines)
        connection.send(head, request.body, self._sink)
        self._sender.sent()
