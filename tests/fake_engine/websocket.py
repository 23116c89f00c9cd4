"""The engine's side of a websocket: it agrees, and sends back every byte that comes, whatever frames they make up."""

from __future__ import annotations

import asyncio
import base64
import hashlib

from tests.fake_engine.seen import Request

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PIECE_BYTES = 64 * 1024


def is_offered(request: Request) -> bool:
    return (request.header("upgrade") or "").lower() == "websocket"


async def echo(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the other side ends it."""
    key = (request.header("sec-websocket-key") or "").encode()
    accept = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        b"sec-websocket-accept: %b\r\n\r\n" % accept
    )
    while piece := await reader.read(PIECE_BYTES):
        writer.write(piece)
        await writer.drain()
