"""What one turn of the event loop wants to write, written at its end, after the journal.

Two reasons to wait for the end of the turn. A record's opening line must be on disk before
any byte of an answer or of an upstream request goes out, and one write of the journal can
serve a whole turn. And one `send` for what several callbacks produced is cheaper than several:
uvloop 0.23 writes to the socket inside `write`, which cost 25 % more CPU per request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from penstock.core.calls.message import Body

T = TypeVar("T")

LARGE_READ_BYTES = 200 * 1024
"""After so much at once a connection is not read until the next turn: libuv reads a socket that has more up to 32
times in a row, 8 MB, and meanwhile nobody else is heard."""


class Outbox:
    """The only way in which relayed bytes reach a socket."""

    __slots__ = ("_after", "_before", "_call_soon", "_closing", "_is_scheduled", "_writes")

    def __init__(self, loop: asyncio.AbstractEventLoop, before: Callable[[], object]) -> None:
        """`before` runs ahead of each turn's writes; it must not raise."""
        self._call_soon = loop.call_soon
        self._before = before
        self._writes: list[tuple[asyncio.WriteTransport, Body]] = []
        self._after: list[tuple[Callable[[Any], None], Any]] = []  # each with its own kind of argument
        self._closing: list[asyncio.WriteTransport] = []
        self._is_scheduled = False

    def write(self, transport: asyncio.WriteTransport, data: Body) -> None:
        self._writes.append((transport, data))
        if not self._is_scheduled:
            self._is_scheduled = True
            self._call_soon(self._flush)

    def close(self, transport: asyncio.WriteTransport) -> None:
        """Close it when this turn's writes are out."""
        self._closing.append(transport)
        if not self._is_scheduled:
            self._schedule()

    def after(self, callback: Callable[[T], None], argument: T) -> None:
        """Call in the turn after this one's writes: by then the transport knows what it still holds."""
        self._after.append((callback, argument))
        if not self._is_scheduled:
            self._schedule()

    def wake(self) -> None:
        """There is something for `before` to do."""
        if not self._is_scheduled:
            self._schedule()

    def _schedule(self) -> None:
        self._is_scheduled = True
        self._call_soon(self._flush)

    def _flush(self) -> None:
        self._is_scheduled = False
        self._before()
        writes, self._writes = self._writes, []
        for transport, data in writes:
            if not transport.is_closing():  # one that was lost in this very turn would raise, and take the others along
                transport.write(data)
        if self._closing:
            closing, self._closing = self._closing, []
            for transport in closing:
                transport.close()
        if self._after:
            after, self._after = self._after, []
            self._call_soon(_run, after)


def _run(callbacks: list[tuple[Callable[[Any], None], Any]]) -> None:
    for callback, argument in callbacks:
        callback(argument)
