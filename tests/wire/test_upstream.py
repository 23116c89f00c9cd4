"""The engine's side, against servers that answer byte by byte what a script says."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from penstock.core.calls.message import Headers
from penstock.wire.fetch import FetchFailed, fetch
from penstock.wire.headers import CREDENTIALS, request_head, request_lines
from penstock.wire.outbox import Outbox
from penstock.wire.upstream import Connection, Pool
from tests.wire.edge import on_uvloop
from tests.wire.engines import HEAD, OK, Server, Sink, StillTransport, answer, ask, engine, listening, pool_of


@pytest.mark.parametrize(
    ("raw", "is_kept", "status", "body", "length", "is_reused"),
    [
        (OK, True, 200, b"abc", b"3", True),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
            True,
            200,
            b"abc",
            b"3",
            True,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", False, 200, b"until the end", None, False),
        (b"HTTP/1.0 200 OK\r\n\r\nold", False, 200, b"old", None, False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True, 204, b"", None, True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", True, 304, b"", b"9", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True, 200, b"", b"0", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", True, 200, b"abc", b"3", False),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n0002\r\nbc\r\n0\r\nT: 1\r\n\r\n",
            True,
            200,
            b"abc",
            None,
            True,
        ),
        (OK + b"surplus", True, 200, b"abc", b"3", False),
        (OK + OK, True, 200, b"abc", b"3", False),
        (OK + b"HT", True, 200, b"abc", b"3", False),
    ],
)
@on_uvloop
async def test_an_answer_ends_where_it_ends(
    raw: bytes, is_kept: bool, status: int, body: bytes, length: bytes | None, is_reused: bool
) -> None:
    sink, pool = await answer(raw, is_kept=is_kept)
    assert sink.failure is None
    assert (sink.heads, sink.status, sink.body, sink.length) == (1, status, body, length)
    assert (pool.take() is not None) is is_reused


@on_uvloop
async def test_the_answer_to_head_has_no_body_whatever_it_says() -> None:
    sink, pool = await answer(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", head=HEAD.replace(b"GET", b"HEAD"))
    assert (sink.failure, sink.length, sink.body, pool.take()) == (None, b"99", b"", None)


@on_uvloop
async def test_an_answer_cut_into_single_bytes_is_the_same_answer() -> None:
    raw = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n3\r\nabc\r\n1f4\r\n"
        + b"d" * 500
        + b"\r\n0\r\n\r\n"
    )
    transport = StillTransport()
    pool = Pool("http://127.0.0.1:1", Outbox(asyncio.get_running_loop(), lambda: None))
    connection, sink = Connection(pool), Sink()
    connection.connection_made(transport)
    connection.send(HEAD, (b"",), sink)
    for at in range(len(raw)):
        connection.data_received(raw[at : at + 1])
    assert (sink.heads, sink.headers[1:], sink.body, sink.failure) == (1, [(b"X", b"y")], b"abc" + b"d" * 500, None)
    assert pool.take() is connection


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x15\x03\x01\x00\x02",
        b"HTTP/1.1 999999 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 700_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 100_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 30_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: " + b"a" * 900_000,
    ],
)
@on_uvloop
async def test_what_is_no_answer_is_called_garbage(raw: bytes) -> None:
    sink, pool = await answer(raw)
    assert sink.failure is not None
    assert (sink.failure.kind, sink.failure.is_untouched, pool.take()) == ("garbage", False, None)


@pytest.mark.parametrize("raw", [b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"])
@pytest.mark.parametrize("is_fresh", [True, False])
@on_uvloop
async def test_an_answer_that_has_begun_is_never_asked_for_again(raw: bytes, is_fresh: bool) -> None:
    async with engine(*([] if is_fresh else [OK]), raw, None) as server:
        pool = pool_of(server)
        if not is_fresh:
            await ask(pool)
        server.is_kept = False
        sink = await ask(pool)
        assert server.connections == 1
        assert sink.failure is not None
        assert (sink.failure.kind, sink.failure.is_untouched) == ("died", False)


@on_uvloop
async def test_only_a_reused_connection_that_died_before_a_byte_may_be_asked_again() -> None:
    async with engine(OK, None) as server:
        pool = pool_of(server)
        await ask(pool)
        reused = await ask(pool)
        assert reused.failure is not None
        assert (server.connections, reused.failure.kind, reused.failure.is_untouched) == (1, "died", True)
    async with engine(None) as server:
        fresh = await ask(pool_of(server))
        assert fresh.failure is not None
        assert (fresh.failure.kind, fresh.failure.is_untouched) == ("died", False)


@on_uvloop
async def test_a_connection_that_the_engine_closed_meanwhile_is_not_taken() -> None:
    async with engine(OK) as server:
        pool = pool_of(server)
        await ask(pool)
        connection = pool.take()
        assert connection is not None, "it was kept"
        connection.connection_lost(None)
        pool.put(connection)
        connection.transport.abort()
        assert pool.take() is None


@on_uvloop
async def test_dropping_a_request_closes_the_connection_and_tells_nobody() -> None:
    async with engine(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n") as server:
        pool, sink = pool_of(server), Sink()
        connection = await pool.connect()
        connection.send(HEAD, (b"",), sink)
        await sink.has_data.wait()
        connection.drop()
        await server.left.wait()
        assert (sink.ends, pool.take()) == (0, None)


@on_uvloop
async def test_dropping_a_request_that_was_not_sent_yet_sends_nothing_and_disturbs_nobody() -> None:
    async with engine(OK) as server:
        pool, sink = pool_of(server), Sink()
        one, other = await pool.connect(), await pool.connect()
        one.send(HEAD, (b"",), Sink())
        other.send(HEAD, (b"",), sink)
        one.drop()
        one.connection_lost(None)
        await sink.over.wait()
        assert (sink.body, len(server.requests)) == (b"abc", 1)


@on_uvloop
async def test_what_a_slow_client_does_not_take_stays_at_the_engine() -> None:
    size = 30_000_000
    async with engine(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size) as server:
        pool, sink = pool_of(server), Sink()
        connection = await pool.connect()
        connection.send(HEAD, (b"",), sink)
        await sink.has_data.wait()
        connection.pause()
        connection.pause()
        had = len(sink.body)
        assert had < size
        await asyncio.wait_for(fetch_other(server), 5)
        assert len(sink.body) == had
        connection.resume()
        await sink.over.wait()
        assert (len(sink.body), sink.failure) == (size, None)


async def fetch_other(server: Server) -> None:
    """Something that takes several turns of the loop."""
    server.script.append(OK)
    assert (await ask(pool_of(server))).body == b"abc"


@on_uvloop
async def test_an_answer_that_comes_before_the_request_was_read_costs_the_connection() -> None:
    answered = asyncio.Event()

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
        await answered.wait()
        writer.transport.abort()

    async with listening(early) as port:
        pool = Pool(f"http://127.0.0.1:{port}", Outbox(asyncio.get_running_loop(), lambda: None))
        sink = await ask(pool, HEAD, b"x" * 50_000_000)
        assert (sink.status, sink.body, pool.take()) == (413, b"no", None)
        answered.set()


@on_uvloop
async def test_no_more_connections_idle_than_may() -> None:
    pool = Pool("http://127.0.0.1:1", Outbox(asyncio.get_running_loop(), lambda: None))
    for _ in range(1100):
        connection = Connection(pool)
        connection.connection_made(StillTransport())
        pool.put(connection)
    taken = [one for _ in range(1100) if (one := pool.take())]
    assert len(taken) == 1024
    for one in taken:
        pool.put(one)
    pool.close()
    assert pool.take() is None


@on_uvloop
async def test_an_idle_connection_on_which_something_comes_is_closed() -> None:
    async with engine(OK) as server:
        pool = pool_of(server)
        await ask(pool)
        (connection,) = [pool.take()]
        assert connection is not None
        pool.put(connection)
        connection.data_received(b"HTTP/1.1 200 OK\r\n")
        assert pool.take() is None


@on_uvloop
async def test_an_engine_that_is_not_there_is_an_os_error() -> None:
    async with engine() as server:
        pool = pool_of(server)
    with pytest.raises(ConnectionError):
        await pool.connect()
    with pytest.raises(FetchFailed):
        await fetch(pool, "/health", timeout_s=5)


@on_uvloop
async def test_headers_for_this_hop_end_here() -> None:
    raw = b"HTTP/1.1 200 OK\r\nConnection: X-Hop, content-length\r\nX-Hop: 1\r\nX-End: 2\r\nContent-Length: 0\r\n\r\n"
    sink, _ = await answer(raw)
    assert (b"X-Hop", b"1") not in sink.headers
    assert (b"X-End", b"2") in sink.headers
    sent: Headers = [
        (b"Authorization", b"a"),
        (b"TE", b"b"),
        (b"X", b"c"),
        (b"Expect", b"d"),
        (b"Host", b"e"),
        (b"x", b"f"),
    ]
    head = request_head(b"POST", b"/at", b"/p", b"engine", request_lines(sent, CREDENTIALS, 5))
    assert head == b"POST /at/p HTTP/1.1\r\nhost: engine\r\nX: c\r\nx: f\r\ncontent-length: 5\r\n\r\n"
    assert request_lines([], CREDENTIALS, None) == b"\r\n"


@on_uvloop
async def test_an_engine_behind_tls_is_reached_when_its_certificate_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
    ]
    subprocess.run([*new, "-keyout", key, "-out", certificate, *subject], check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with engine(OK, OK, tls=tls) as server:
        outbox = Outbox(asyncio.get_running_loop(), lambda: None)
        with pytest.raises(ssl.SSLCertVerificationError):
            await Pool(f"https://localhost:{server.port}", outbox).connect()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # how operators name an authority of their own
        pool = Pool(f"https://localhost:{server.port}", outbox)
        assert (await ask(pool)).body == (await ask(pool)).body == b"abc"
        pool.close()


@on_uvloop
async def test_of_headers_that_an_engine_repeats_the_last_one_counts_and_of_codings_all() -> None:
    raw = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCONTENT-TYPE: text/html\r\nContent-Encoding: br\r\n"
        b"Content-Length: 0\r\ncontent-encoding: gzip\r\n\r\n"
    )
    sink, _ = await answer(raw, is_kept=True)
    assert sink.fields == {b"content-type": b"text/html", b"content-encoding": b"br, gzip", b"content-length": b"0"}
    assert len(sink.headers) == 5


@on_uvloop
async def test_nothing_of_one_answer_is_left_for_the_next_of_its_connection() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: 1\r\n\r\n"
    async with engine(chunked, OK) as server:
        pool = pool_of(server)
        assert (await ask(pool)).trailers == [(b"T", b"1")]
        second = await ask(pool)
        assert server.connections == 1
    assert (second.body, second.length, hasattr(second, "trailers")) == (b"abc", b"3", False)


class _Turns(Sink):
    """Counts what it is given in one turn of the loop, and takes its time over it, so that more is always there."""

    def __init__(self) -> None:
        super().__init__()
        self.in_turn = self.most_in_turn = self.taken_bytes = 0

    def on_data(self, data: bytes) -> None:
        self.in_turn += len(data)
        self.most_in_turn = max(self.most_in_turn, self.in_turn)
        self.taken_bytes += len(data)
        time.sleep(0.001)

    def note_turn(self) -> None:
        self.in_turn = 0
        if not self.over.is_set():
            asyncio.get_running_loop().call_soon(self.note_turn)


@on_uvloop
async def test_an_engine_with_much_to_say_gives_the_others_their_turn() -> None:
    size = 30_000_000
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def say() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)  # what is unread when it closes would take the answer back
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + bytes(size))

        loop, sink = asyncio.get_running_loop(), _Turns()
        pool = Pool(f"http://127.0.0.1:{listener.getsockname()[1]}", Outbox(loop, lambda: None))
        connection = await pool.connect()
        speaking = loop.run_in_executor(None, say)
        connection.send(HEAD, (b"",), sink)
        sink.note_turn()
        await sink.over.wait()
        await speaking
    assert (sink.failure, sink.taken_bytes) == (None, size)
    assert sink.most_in_turn < 1_000_000
