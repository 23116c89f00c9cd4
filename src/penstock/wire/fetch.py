"""One small question to an engine, with its whole answer: for probes, not for calls."""

from __future__ import annotations

import asyncio

from penstock.core.calls.message import Headers
from penstock.wire.headers import request_head
from penstock.wire.upstream import Connection, Failure, Pool

MAX_ANSWER_BYTES = 1024 * 1024


class FetchFailed(Exception):
    """No complete answer came; the message says why."""


class _Answer:
    """A sink that keeps the whole answer, up to a bound."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.done: asyncio.Future[tuple[int, bytes]] = loop.create_future()
        self._status = 0
        self._body = bytearray()

    def on_interim(self, status: int, headers: Headers) -> None: ...

    def on_head(self, status: int, headers: Headers, fields: dict[bytes, bytes], length: bytes | None) -> None:
        self._status = status

    def on_wait(self) -> None: ...

    def on_upgrade(self, headers: Headers) -> None:
        """Nobody asked for it."""

    def on_full(self) -> None: ...
    def on_drained(self) -> None: ...

    def on_trailers(self, headers: Headers) -> None: ...

    def on_data(self, data: bytes) -> None:
        self._body += data[: MAX_ANSWER_BYTES - len(self._body)]

    def on_end(self) -> None:
        if not self.done.done():
            self.done.set_result((self._status, bytes(self._body)))

    def on_fail(self, failure: Failure) -> None:
        if not self.done.done():
            self.done.set_exception(FetchFailed(failure.reason))


async def fetch(pool: Pool, target: str, *, timeout_s: float, method: bytes = b"GET") -> tuple[int, bytes]:
    """Ask on a connection of its own and give status and body. Raises FetchFailed."""
    connection: Connection | None = None
    try:
        async with asyncio.timeout(timeout_s):
            connection = await pool.connect()
            answer = _Answer(asyncio.get_running_loop())
            head = request_head(method, pool.prefix, target.encode("utf-8"), pool.host_header, b"\r\n")
            connection.send(head, (b"",), answer)
            return await answer.done
    except OSError as exc:
        raise FetchFailed(str(exc) or type(exc).__name__) from exc
    finally:
        if connection is not None:
            connection.drop()
