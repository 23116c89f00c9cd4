"""Reads one HTTP/1.1 request from a stream, however it is framed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.fake_engine.seen import Request

HEAD_LIMIT_BYTES = 1 << 20


class BrokenRequest(Exception):
    """What came in is not a whole HTTP request."""


async def read_request(reader: asyncio.StreamReader, go_on: Callable[[], None]) -> Request | None:
    """The next request of a connection; None = the client has none. `go_on` sends a wanted 100 Continue."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as exc:
        if exc.partial:
            raise BrokenRequest("the head ends in the middle") from exc
        return None
    except asyncio.LimitOverrunError as exc:
        raise BrokenRequest("the head is too long") from exc
    request = _parse_head(head)
    if (request.header("expect") or "").lower() == "100-continue":
        go_on()
    try:
        request.body = await _read_body(reader, request)
    except asyncio.IncompleteReadError as exc:
        raise BrokenRequest("the body ends in the middle") from exc
    return request


def _parse_head(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BrokenRequest(first[:80])
    fields = [line.partition(":") for line in lines]
    return Request(words[0], words[1], words[2], [(name, value.strip()) for name, _, value in fields])


async def _read_body(reader: asyncio.StreamReader, request: Request) -> bytes:
    if "chunked" in (request.header("transfer-encoding") or "").lower():
        return await _read_chunks(reader, request)
    return await reader.readexactly(int(request.header("content-length") or 0))


async def _read_chunks(reader: asyncio.StreamReader, request: Request) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        name, _, value = line.decode("latin-1").partition(":")
        request.trailers.append((name, value.strip()))
    return bytes(body)
