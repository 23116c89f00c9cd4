"""A real edge on a real socket, in a small world: exchanges that the test drives, and an ASGI application behind."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import uvicorn
import uvloop
from httptools import HttpResponseParser
from uvicorn.server import ServerState

from penstock.core.calls.message import Body, Head, Headers, Reply
from penstock.errors import GatewayError
from penstock.wire.body import BodyStore
from penstock.wire.exchange import Client, HotHandler
from penstock.wire.ingress import Doors, Ingress, bind
from penstock.wire.outbox import Outbox

P = ParamSpec("P")
T = TypeVar("T")

MAX_BODY_BYTES = 1024 * 1024
TEST_WITHIN_S = 15.0


def on_uvloop(test: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    """Let a test be an `async def` on the loop that the gateway runs on; one that hangs fails."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        uvloop.run(asyncio.wait_for(test(*args, **kwargs), TEST_WITHIN_S))

    return run


def bodies() -> BodyStore:
    """All in memory: the disk has tests of its own."""
    return BodyStore(Path("/nowhere"), above_bytes=2**40, memory_bytes=2**40)


class Exchange:
    """Answers as its path says, and keeps what it was told."""

    def __init__(self, world: World, client: Client, head: Head) -> None:
        self.world = world
        self.client = client
        self.head = head
        self.headers = list(head.headers)
        self.body: bytes | None = None
        self.gone_count = 0
        self.is_paused = False
        self.pauses = 0
        self.written: list[bool] = []
        world.exchanges.append(self)
        if head.path == b"/hot/forbidden":
            self.answer(403, b"no")
        world.note()

    def answer(self, status: int, body: bytes) -> None:
        self.client.reply(Reply(status, [(b"content-type", b"text/plain")], body))

    def receive(self, body: Body) -> None:
        assert self.body is None, "a body comes once"
        self.body = bytes(body)
        match self.head.path:
            case b"/hot":
                self.answer(200, b"%b %b %d" % (self.head.method, self.head.target, len(body)))
            case b"/hot/stream":
                self.start(None)
                self.client.send(b"one")
                self.client.send(b"two")
                self.finish()
            case b"/hot/broken":
                raise ZeroDivisionError("a mistake in an exchange")
        self.world.note()

    def start(self, length: bytes | None, status: int = 200) -> None:
        headers: Headers = [(b"content-type", b"text/plain")]
        if length is not None:
            headers.append((b"content-length", length))
        self.client.start_reply(status, headers, b"", length)

    def finish(self) -> None:
        self.client.finish(self._note_written)

    def _note_written(self, is_written: bool) -> None:
        self.written.append(is_written)
        self.world.note()

    def receive_more(self, data: bytes) -> None:
        raise AssertionError("nobody asked for another protocol")

    def refuse_body(self, error: GatewayError) -> None:
        self.answer(error.status, error.message.encode())

    def gone(self) -> None:
        self.gone_count += 1
        self.world.note()

    def pause(self) -> None:
        self.is_paused = True
        self.pauses += 1
        self.world.note()

    def resume(self) -> None:
        self.is_paused = False
        self.world.note()


@dataclass(slots=True, eq=False)
class World:
    """What happened at the edge."""

    port: int = 0
    doors: Doors = field(init=False)
    exchanges: list[Exchange] = field(default_factory=list)
    hold: asyncio.Event = field(default_factory=asyncio.Event)  # for /app/held
    asked: list[str] = field(default_factory=list)  # of the application
    hosts: list[bytes] = field(default_factory=list)  # that the application was told
    faults: list[object] = field(default_factory=list)  # that reached the loop
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self) -> None:
        self._changed.set()

    async def until(self, is_so: Callable[[], object]) -> None:
        while not is_so():
            self._changed.clear()
            await self._changed.wait()

    async def exchange(self, number: int = 1) -> Exchange:
        await self.until(lambda: len(self.exchanges) >= number)
        return self.exchanges[number - 1]

    def route(self, head: Head) -> HotHandler | None:
        if not head.path.startswith(b"/hot"):
            return None
        return lambda client, head: Exchange(self, client, head)

    @property
    def connection(self) -> Ingress:
        (only,) = self.doors.connections
        return only

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        self.asked.append(path)
        self.hosts += [value for name, value in scope["headers"] if name == b"host"]
        self.note()
        if path == "/app/held":
            await self.hold.wait()
        size, more = 0, path != "/app/early"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.asked.append("disconnect")
                self.note()
                return
            size, more = size + len(message["body"]), message.get("more_body", False)
        body = f"app {path} {size}".encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def edge(*, max_body_bytes: int = MAX_BODY_BYTES, max_connections: int = 100) -> AsyncIterator[World]:
    """A listening edge; `world.port` is where."""
    world = World()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: world.faults.append(context.get("exception", context["message"])))
    world.doors = Doors(
        world.route, Outbox(loop, lambda: None), bodies(), 64 * 1024, 128, max_body_bytes, max_connections
    )
    config = uvicorn.Config(
        world.application,
        http=Ingress,
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        proxy_headers=False,
    )
    config.load()
    state, protocol = ServerState(), bind(world.doors)
    server = await loop.create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
    world.port = server.sockets[0].getsockname()[1]
    try:
        yield world
    finally:
        world.hold.set()
        server.close()
        for connection in list(world.doors.connections):
            connection.transport.abort()
        await asyncio.gather(*state.tasks)


class Caller:
    """The client's side, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.got = b""

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def read_until(self, what: bytes) -> bytes:
        while what not in self.got:
            piece = await self.reader.read(65536)
            if not piece:
                break
            self.got += piece
        return self.got

    async def read_to_end(self) -> bytes:
        """Everything until the server closes its side."""
        while piece := await self.reader.read(1 << 20):
            self.got += piece
        return self.got

    def reset(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def caller(world: World) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.transport.abort()


@dataclass(slots=True)
class Answer:
    status: int
    headers: dict[bytes, bytes]
    body: bytes = b""


def answers(raw: bytes) -> list[Answer]:
    """The answers that follow one another in these bytes; 1xx included."""
    found: list[Answer] = []

    class Reading:
        def on_message_begin(self) -> None:
            self.headers: dict[bytes, bytes] = {}

        def on_header(self, name: bytes, value: bytes) -> None:
            assert name.lower() not in self.headers, f"{name!r} twice"
            self.headers[name.lower()] = value

        def on_headers_complete(self) -> None:
            found.append(Answer(parser.get_status_code(), self.headers))

        def on_body(self, body: bytes) -> None:
            found[-1].body += body

    parser = HttpResponseParser(Reading())
    parser.feed_data(raw)
    return found


def post(path: str, body: bytes = b"", *more: str, version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "Host: gateway", f"Content-Length: {len(body)}", *more]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def get(path: str, *more: str, version: str = "1.1", method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: gateway", *more]).encode("latin-1") + b"\r\n\r\n"


def chunked(path: str, *pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + end


async def ask(world: World, *requests: bytes) -> list[Answer]:
    """Send all of it in one go, half-closing nothing, and read until the server closes."""
    async with caller(world) as client:
        await client.send(b"".join(requests))
        return answers(await client.read_to_end())
