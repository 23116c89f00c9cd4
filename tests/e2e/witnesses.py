"""Clients that note what they were told, byte for byte, also when the other end is killed meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from tests.e2e.program import CHAT, Program, chat_body, header, id_of
from tests.fakes import Answer

LONG_PATH_BYTES = 48 << 10
"""A record with it fills a segment of the journal in a hundred calls or so."""

QUEUED = b": queued "


@dataclass(slots=True)
class Told:
    """What clients were told, by their own request ids, and when it was `enough`."""

    sent: set[str] = field(default_factory=set)
    ids: dict[str, str] = field(default_factory=dict)  # request id -> record id, for each head that came
    whole: set[str] = field(default_factory=set)  # whose last byte came
    waiting: set[str] = field(default_factory=set)  # who were told by a comment that they wait
    torn: int = 0  # answers that ended in the middle
    heads: int = 0
    _wanted: int = 0
    _enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def more(self, heads: int) -> None:
        """Return when the heads of so many more answers have come."""
        self._wanted = self.heads + heads
        self._enough.clear()
        await self._enough.wait()

    def head_came(self) -> None:
        self.heads += 1
        if self.heads >= self._wanted:
            self._enough.set()

    def keep(self, name: str, answer: Answer) -> None:
        self.ids[name] = id_of(answer)
        if QUEUED in answer.raw:
            self.waiting.add(name)
        if is_whole(answer):
            self.whole.add(name)
        else:
            self.torn += 1


def is_whole(answer: Answer) -> bool:
    length = header(answer, "content-length")
    return answer.body.endswith(b"0\r\n\r\n") if length is None else len(answer.body) == int(length)


class Connection(asyncio.Protocol):
    """Keeps all that comes, whatever comes after it; a slow one reads no more than the head until it is told to."""

    def __init__(self, sent: bytes, on_head: Callable[[], None], *, is_slow: bool) -> None:
        self.raw = bytearray()
        self.is_over = asyncio.Event()
        self._sent = sent
        self._on_head = on_head
        self._is_slow = is_slow
        self._has_head = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._sent)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self.raw += data
        if not self._has_head and b"\r\n\r\n" in self.raw:
            self._has_head = True
            self._on_head()
            if self._is_slow:
                self._transport.pause_reading()

    def read_on(self) -> None:
        if self._is_slow and self._has_head and self._transport is not None:
            self._transport.resume_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.is_over.set()


class Witnesses:
    """All clients of one life of a program."""

    def __init__(self, program: Program, name: str, told: Told, *, dice: random.Random, is_long: bool) -> None:
        """is_long: their calls have paths of many KB, so that the journal's segments turn."""
        self.told = told
        self.is_told_to_wait = asyncio.Event()  # the one who will wait for ever
        self._program = program
        self._name = name
        self._dice = dice
        self._is_long = is_long
        self._slow: list[Connection] = []
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, *, clients: int, slow: int) -> None:
        """Two who will wait for ever, the one told so by comments, the other not told at all; slow readers; many."""
        tell = self.is_told_to_wait.set
        self._start(self._one_call(f"{self._name}-is-told", chat_body("loads", stream=True), on_head=tell))
        self._start(self._one_call(f"{self._name}-is-not", chat_body("loads")))
        for number in range(slow):
            size = self._dice.randrange(1 << 18, 8 << 20)  # some fit into the kernel's buffers, others do not
            body = chat_body("near", fake={"kind": "bytes", "size_bytes": size})
            self._start(self._one_call(f"{self._name}-slow-{number}", body, is_slow=True))
        for number in range(clients):
            self._start(self._client(f"{self._name}-{number}"))

    async def end(self) -> None:
        """When the other side is dead: read what is left, and return when every connection has ended."""
        for each in self._slow:
            each.read_on()
        await asyncio.gather(*self._tasks)

    def _start(self, doing: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.create_task(doing))

    async def _client(self, name: str) -> None:
        """Ask for one thing after another until nobody answers any more."""
        number = 0
        while self._program.process.poll() is None:
            await self._one_call(f"{name}-{number}", self._dice.choice(KINDS))
            number += 1

    async def _one_call(
        self, name: str, body: dict[str, object], *, is_slow: bool = False, on_head: Callable[[], None] | None = None
    ) -> None:
        told = self.told
        told.sent.add(name)
        connection = Connection(self._request(name, body), on_head or told.head_came, is_slow=is_slow)
        if is_slow:
            self._slow.append(connection)
        try:
            await asyncio.get_running_loop().create_connection(lambda: connection, "127.0.0.1", self._program.port)
        except OSError:  # it was gone before
            return
        await connection.is_over.wait()
        if b"\r\n\r\n" in connection.raw:
            told.keep(name, Answer(bytes(connection.raw)))

    def _request(self, name: str, body: dict[str, object]) -> bytes:
        headers = f"connection: close\r\nx-request-id: {name}\r\n"
        if self._is_long and self._dice.random() < 0.8:
            path = f"/upstream/near/{'long' * (LONG_PATH_BYTES // 4)}"
            return self._program.request(path, method="GET", headers=headers)
        return self._program.request(CHAT, body, headers=f"{headers}content-type: application/json\r\n")


KINDS: list[dict[str, object]] = [
    chat_body("quick"),
    chat_body("near"),
    chat_body("near", stream=True, fake={"pace_s": 0.003, "tokens": 20}),
    chat_body("quick", stream=True, stream_options={"include_usage": True}),
    chat_body("nobody"),
    chat_body("near", fake={"delay_s": 0.01}),
    chat_body("quick", fake={"kind": "nothing"}),
]
