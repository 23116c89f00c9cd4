"""The fake engine itself: accepts connections, picks each request's behaviour, remembers what it saw."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from tests.fake_engine import websocket
from tests.fake_engine.behaviour import Behaviour
from tests.fake_engine.reading import HEAD_LIMIT_BYTES, BrokenRequest, read_request
from tests.fake_engine.seen import Request, Seen
from tests.fake_engine.sending import Reply


class _Connection(asyncio.StreamReaderProtocol):
    """Notices a client that leaves while nobody reads from it."""

    def __init__(self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        super().__init__(asyncio.StreamReader(limit=HEAD_LIMIT_BYTES), serve)
        self.gone = asyncio.Event()

    def eof_received(self) -> bool | None:
        self.gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        super().connection_lost(exc)


class FakeEngine:
    """An engine inside the test's own event loop: `async with FakeEngine() as engine`.

    script: behaviours for requests that ask for none, one each; the last one stays.
    """

    def __init__(self, script: Sequence[Behaviour] = (), *, port: int = 0, is_ready: bool = True) -> None:
        self.port = port
        self.is_ready = is_ready
        self.seen = Seen()
        self.facts: dict[str, object] = {}  # what `/__seen` tells beside the requests
        self._script = list(script) or [Behaviour()]
        self._gate = asyncio.Semaphore(0)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self._serve), "127.0.0.1", self.port, backlog=4096)
        self.port = self._server.sockets[0].getsockname()[1]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.die()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def die(self) -> None:
        """Break every connection and stop listening, as a killed process does; its own process overrides this."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    def follow(self, script: Sequence[Behaviour]) -> None:
        """Another script, from the next request on."""
        self._script = list(script)

    def release(self, count: int = 1) -> None:
        """Let so many replies pass the gate they wait at, now or later."""
        for _ in range(count):
            self._gate.release()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.seen.connections += 1
        try:
            await self._serve_requests(reader, writer, self.seen.connections)
        except BrokenRequest:
            self.seen.broken += 1
            self.seen.changed()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client went, or the engine is being closed; a cancelled task has nothing left to do
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _serve_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        keeps = True
        while keeps:
            request = await read_request(reader, lambda: writer.write(b"HTTP/1.1 100 Continue\r\n\r\n"))
            if request is None:
                return
            request.connection = number
            if request.path in ("/health", "/__seen", "/__release"):
                keeps = await self._answer_itself(request, writer)
                continue
            behaviour = self._behaviour(request)
            if behaviour.websocket and websocket.is_offered(request):
                await self._echo(request, reader, writer)
                return
            keeps = await self._answer(behaviour, request, writer)

    async def _echo(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen.begin(request)
        try:
            await websocket.echo(request, reader, writer)
        finally:
            self.seen.end(left=False)

    async def _answer_itself(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        behaviour = Behaviour(reply={"status": "ok"})
        if request.path == "/health":
            self.seen.probes += 1
            self.seen.changed()
            if not self.is_ready:
                behaviour = Behaviour(status=503, reply={"error": {"message": "Loading model", "code": 503}})
        elif request.path == "/__release":
            self.release()
        else:
            for name, at_least in parse_qsl(urlsplit(request.target).query):
                await self.seen.until(lambda seen, n=name, at=int(at_least): seen.count(n) >= at)  # type: ignore[misc]
            behaviour = Behaviour(reply={**self.facts, **self.seen.as_json()})
        return await self._reply(behaviour, writer).send(request)

    async def _answer(self, behaviour: Behaviour, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Answer until the reply has ended or the client has left."""
        self.seen.begin(request)
        connection = writer.transport.get_protocol()
        assert isinstance(connection, _Connection)
        reply = asyncio.ensure_future(self._reply(behaviour, writer).send(request))
        gone = asyncio.ensure_future(connection.gone.wait())
        left = True
        try:
            await asyncio.wait((reply, gone), return_when=asyncio.FIRST_COMPLETED)
            left = not reply.done() or reply.exception() is not None
            return not left and reply.result()
        finally:
            reply.cancel()
            gone.cancel()
            self.seen.end(left=left)

    def _reply(self, behaviour: Behaviour, writer: asyncio.StreamWriter) -> Reply:
        return Reply(behaviour, writer, self._gate, self.die)

    def _behaviour(self, request: Request) -> Behaviour:
        """What this request asks for, else the script's next; a misspelt wish is answered with a 500."""
        try:
            if header := request.header("x-fake"):
                return Behaviour.parse(header)
            members = json.loads(request.body) if b'"fake"' in request.body else {}
            if isinstance(members, dict) and "fake" in members:
                return Behaviour(**members["fake"])
        except (TypeError, ValueError) as exc:
            return Behaviour(status=500, reply={"error": {"message": f"no such behaviour: {exc}"}})
        return self._script.pop(0) if len(self._script) > 1 else self._script[0]
