"""A client that hides nothing: raw bytes out, raw bytes in."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply read to the end of its connection; `body` as it was framed on the wire."""

    raw: bytes

    @property
    def status(self) -> int:
        return int(self.raw.split(b" ", 2)[1])

    @property
    def head(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def content(self) -> bytes:
        """The body without chunk framing; what is missing of a broken one is simply missing."""
        if b"transfer-encoding: chunked" not in self.head.lower():
            return self.body
        out, rest = b"", self.body
        while rest:
            line, _, rest = rest.partition(b"\r\n")
            size = int(line.partition(b";")[0] or b"0", 16)
            out, rest = out + rest[:size], rest[size + 2 :]
        return out

    def json(self) -> dict[str, object]:
        members = json.loads(self.content)
        assert isinstance(members, dict)
        return members

    @property
    def events(self) -> list[str]:
        """The `data:` of each server-sent event."""
        blocks = self.content.decode().split("\n\n")
        return [block.removeprefix("data: ") for block in blocks if block.startswith("data: ")]


def request(path: str, body: object = None, *, method: str = "POST", headers: str = "connection: close\r\n") -> bytes:
    """The bytes of a request; `body` is sent as JSON, bytes as they are."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {len(content)}\r\n{headers}\r\n"
    return head.encode() + content


async def exchange(port: int, sent: bytes) -> Answer:
    """Send, then read until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        await writer.drain()
        return Answer(await reader.read(-1))
    finally:
        writer.close()


async def chat(port: int, **members: object) -> Answer:
    """One chat completion on a connection of its own."""
    body = {"model": "fake", "messages": [{"role": "user", "content": "hi"}], **members}
    return await exchange(port, request("/v1/chat/completions", body))


async def get(port: int, path: str) -> Answer:
    return await exchange(port, request(path, method="GET"))
