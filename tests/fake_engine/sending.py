"""Sends one reply as its behaviour asks: pace, framing, gate, and how it ends."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from http import HTTPStatus

from tests.fake_engine.behaviour import Behaviour
from tests.fake_engine.replies import Content, content
from tests.fake_engine.seen import Request

GARBAGE = b"\x00\x16\x03\x01 this is no HTTP at all\r\n\r\n\xff\xfe"


class Reply:
    """One reply on its way out."""

    def __init__(
        self, behaviour: Behaviour, writer: asyncio.StreamWriter, gate: asyncio.Semaphore, die: Callable[[], None]
    ) -> None:
        self._behaviour = behaviour
        self._writer = writer
        self._gate = gate
        self._die = die

    async def send(self, request: Request) -> bool:
        """True = the connection may carry another request."""
        behaviour = self._behaviour
        if behaviour.delay_s:
            await asyncio.sleep(behaviour.delay_s)  # no-sleep-needed: the slowness is what was asked for
        if behaviour.gate_at == 0:
            await self._gate.acquire()
        for status in behaviour.interim:
            self._writer.write(b"HTTP/1.1 %d %s\r\n\r\n" % (status, _phrase(status)))
        if behaviour.kind == "nothing":
            return await self._end(keeps=False)
        if behaviour.kind in ("garbage", "raw"):
            self._writer.write(GARBAGE if behaviour.kind == "garbage" else behaviour.raw.encode("latin-1"))
            return await self._end(keeps=False)
        return await self._send_content(content(behaviour, request), request)

    async def _send_content(self, what: Content, request: Request) -> bool:
        if what.framing == "length" and what.length_bytes is None:
            pieces = list(what.pieces)
            what = Content(what.media_type, "length", iter(pieces), sum(map(len, pieces)))
        keeps = what.framing != "eof" and (request.header("connection") or "").lower() != "close"
        self._writer.write(self._head(what, keeps=keeps))
        if request.method != "HEAD" and await self._send_pieces(what):
            self._end_chunks(what)
        return await self._end(keeps=keeps)

    def _end_chunks(self, what: Content) -> None:
        if what.framing == "chunked" and self._behaviour.ending == "finish":
            trailers = (self._behaviour.trailers or {}).items()
            lines = [b"0", *(f"{name}: {value}".encode() for name, value in trailers), b"", b""]
            self._writer.write(b"\r\n".join(lines))

    def _head(self, what: Content, *, keeps: bool) -> bytes:
        behaviour = self._behaviour
        lines = [b"HTTP/1.1 %d %s" % (behaviour.status, _phrase(behaviour.status))]
        lines.append(b"content-type: " + what.media_type.encode())
        if what.framing == "chunked":
            lines.append(b"transfer-encoding: chunked")
        elif what.framing == "length":
            lines.append(b"content-length: %d" % (what.length_bytes or 0))
        if not keeps:
            lines.append(b"connection: close")
        lines += [f"{name}: {value}".encode() for name, value in (behaviour.headers or {}).items()]
        return b"\r\n".join([*lines, b"", b""])

    async def _send_pieces(self, what: Content) -> bool:
        """False = broken off early."""
        behaviour = self._behaviour
        for i, piece in enumerate(what.pieces):
            if behaviour.stop_after == i:
                return False
            if i and behaviour.pace_s:
                await asyncio.sleep(behaviour.pace_s)  # no-sleep-needed: the pace is what was asked for
            if i and behaviour.gate_at == i:
                await self._writer.drain()
                await self._gate.acquire()
            self._writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if what.framing == "chunked" else piece)
            await self._writer.drain()
        return True

    async def _end(self, *, keeps: bool) -> bool:
        await self._writer.drain()
        match self._behaviour.ending:
            case "finish":
                return keeps
            case "hold":
                await asyncio.get_running_loop().create_future()  # until the client leaves
            case "reset":
                raw: socket.socket = self._writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._writer.transport.abort()
            case "exit":
                self._die()
        return False


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Odd"
