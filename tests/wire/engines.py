"""Engines that answer byte by byte what a script says, and a sink that keeps what it is told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from penstock.core.calls.message import Headers
from penstock.wire.outbox import Outbox
from penstock.wire.upstream import Failure, Pool

HEAD = b"GET /x HTTP/1.1\r\nhost: engine\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"


class Sink:
    """Keeps what it is told; `over` is set at the end, good or bad."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Headers = []
        self.fields: dict[bytes, bytes] = {}
        self.length: bytes | None = None
        self.body = b""
        self.heads = 0
        self.failure: Failure | None = None
        self.ends = 0
        self.over = asyncio.Event()
        self.has_data = asyncio.Event()

    def on_interim(self, status: int, headers: Headers) -> None: ...

    def on_head(self, status: int, headers: Headers, fields: dict[bytes, bytes], length: bytes | None) -> None:
        self.heads += 1
        self.status, self.headers, self.fields, self.length = status, headers, fields, length

    def on_wait(self) -> None: ...

    def on_upgrade(self, headers: Headers) -> None:
        self.upgraded = headers

    def on_full(self) -> None: ...
    def on_drained(self) -> None: ...

    def on_trailers(self, headers: Headers) -> None:
        self.trailers = headers

    def on_data(self, data: bytes) -> None:
        assert data
        self.body += data
        self.has_data.set()

    def on_end(self) -> None:
        self.ends += 1
        self.over.set()

    def on_fail(self, failure: Failure) -> None:
        assert self.failure is None
        self.failure = failure
        self.ends += 1
        self.over.set()


@dataclass(slots=True)
class Server:
    """Answers each request of each connection with the next line of its script; None = close."""

    script: list[bytes | None]
    is_kept: bool
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)  # the other side closed

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                answer = self.script.pop(0)
                if answer is None:
                    break
                writer.write(answer)
                if not self.is_kept:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()
        finally:
            writer.close()


@asynccontextmanager
async def engine(
    *script: bytes | None, is_kept: bool = True, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    server = Server(list(script), is_kept)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


def pool_of(server: Server) -> Pool:
    return Pool(f"http://127.0.0.1:{server.port}", Outbox(asyncio.get_running_loop(), lambda: None))


async def ask(pool: Pool, head: bytes = HEAD, body: bytes = b"") -> Sink:
    sink = Sink()
    (pool.take() or await pool.connect()).send(head, (body,), sink)
    await sink.over.wait()
    assert sink.ends == 1
    return sink


async def answer(raw: bytes, *, is_kept: bool = True, head: bytes = HEAD) -> tuple[Sink, Pool]:
    async with engine(raw, is_kept=is_kept) as server:
        pool = pool_of(server)
        return await ask(pool, head), pool


class StillTransport(asyncio.Transport):
    """Goes nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self._is_closing = False

    def write(self, data: object) -> None: ...

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
