"""What nginx is no reference for: announcements, trailers, and a hundred megabytes between two unequal speeds."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.door.raw import heard
from tests.e2e.program import Program
from tests.fakes import Behaviour, FakeEngine, in_loop

MIB = 2**20
SIZE = 100 * MIB
BLOCK = bytes(range(256)) * 256


def config(port: int) -> str:
    return f"penstock: 1\nmodels: {{m: {{upstream: 'http://127.0.0.1:{port}'}}}}\n"


def reply(raw: str) -> Behaviour:
    return Behaviour(kind="raw", raw=raw, ending="close")


CHUNKS = "3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\nSet-Cookie: a=1\r\nAuthorization: x\r\n\r\n"
TRAILED = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}"


@in_loop
@pytest.mark.parametrize("path", ["/upstream/m/x", "/v1/rerank"])
async def test_trailers_reach_a_client_that_reads_them_and_nobody_else(tmp_path: Path, path: str) -> None:
    async with FakeEngine([reply(TRAILED)]) as engine:
        with Program(tmp_path, config(engine.port)) as program:
            for te, trailers in ((b"te: trailers\r\n", [("x-sum", b"1"), ("x-sum", b"2")]), (b"", [])):
                lines = (
                    b"POST %b HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 13\r\n"
                    % path.encode()
                )
                answer = heard((await program.send(lines + te + b'\r\n{"model":"m"}')).raw, method="POST")
                assert (answer.body, answer.is_whole, answer.trailers) == (b"abc", True, trailers)
                assert engine.seen.requests[-1].header("te") == ("trailers" if te else None)


@in_loop
async def test_what_an_engine_announces_is_passed_on_but_not_to_http_1_0(tmp_path: Path) -> None:
    hints = "HTTP/1.1 103 Early Hints\r\nLink: </s.css>\r\n\r\n"
    said = f"HTTP/1.1 100 Continue\r\n\r\n{hints}{hints}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with FakeEngine([reply(said)]) as engine:
        with Program(tmp_path, config(engine.port)) as program:
            for version, interim in (("1.1", [103, 103]), ("1.0", [])):
                sent = f"GET /upstream/m/x HTTP/{version}\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode()
                answer = heard((await program.send(sent)).raw, method="GET")
                assert (answer.interim, answer.status, answer.body) == (interim, 200, b"ok")


class Slow:
    """An engine that counts what it could write, or reads no faster than it is let."""

    def __init__(self) -> None:
        self.written = self.read = 0
        self.gate = asyncio.Event()
        self.digest = hashlib.sha256()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % SIZE)
            while self.written < SIZE:
                writer.write(BLOCK)
                await writer.drain()
                self.written += len(BLOCK)
        else:
            await self.gate.wait()
            while self.read < SIZE:
                piece = await reader.read(MIB)
                self.digest.update(piece)
                self.read += len(piece)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()


@asynccontextmanager
async def slow_engine() -> AsyncIterator[tuple[Slow, int]]:
    engine = Slow()
    server = await asyncio.start_server(engine.serve, "127.0.0.1", 0)
    try:
        yield engine, server.sockets[0].getsockname()[1]
    finally:
        server.close()


def own_bytes(program: Program) -> int:
    """Memory that is the process's own; a body on disk that is mapped belongs to the kernel."""
    status = Path(f"/proc/{program.pid}/status").read_text()
    return 1024 * int(status.partition("RssAnon:")[2].split()[0])


async def until_it_stands_still(engine: Slow) -> None:
    """Return when the engine has not got rid of a byte for a while."""
    last, since_s = -1, time.monotonic()
    while last <= 0 or time.monotonic() - since_s < 0.5:
        if engine.written != last:
            last, since_s = engine.written, time.monotonic()
        await asyncio.sleep(0.02)  # no-sleep-needed: between two looks at what should not happen


@in_loop
async def test_an_engine_is_held_up_by_a_client_that_does_not_read_and_nothing_piles_up(tmp_path: Path) -> None:
    async with slow_engine() as (engine, port):
        with Program(tmp_path, config(port)) as program:
            before = program.rss_bytes()
            async with program.talk(
                b"GET /upstream/m/x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
            ) as reader:
                await reader.readuntil(b"\r\n\r\n")
                await until_it_stands_still(engine)
                assert engine.written < 40 * MIB
                assert program.rss_bytes() - before < 16 * MIB
                digest, left, most = hashlib.sha256(), SIZE, 0
                while left:
                    piece = await reader.readexactly(min(left, MIB))
                    digest.update(piece)
                    left -= len(piece)
                    most = max(most, program.rss_bytes())
            assert most - before < 60 * MIB
            assert digest.digest() == hashlib.sha256(BLOCK * (SIZE // len(BLOCK))).digest()


@in_loop
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_hundred_megabytes_wait_for_a_slow_engine_outside_of_our_memory(tmp_path: Path, framing: str) -> None:
    async with slow_engine() as (engine, port):
        with Program(tmp_path, config(port)) as program:
            await program.get("/health")
            before = own_bytes(program)
            head = "POST /upstream/m/x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
            line = f"content-length: {SIZE}" if framing == "length" else "transfer-encoding: chunked"
            reader, writer = await asyncio.open_connection("127.0.0.1", program.port)
            writer.write(f"{head}{line}\r\n\r\n".encode())
            for _ in range(SIZE // len(BLOCK)):
                writer.write(BLOCK if framing == "length" else b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK))
                await writer.drain()
            if framing == "chunked":
                writer.write(b"0\r\n\r\n")
            assert (await program.get("/health")).status == 200
            assert own_bytes(program) - before < 60 * MIB
            engine.gate.set()
            answer = await reader.read(-1)
            writer.close()
            assert answer.startswith(b"HTTP/1.1 200")
            assert (engine.read, own_bytes(program) - before < 60 * MIB) == (SIZE, True)
            assert engine.digest.digest() == hashlib.sha256(BLOCK * (SIZE // len(BLOCK))).digest()
