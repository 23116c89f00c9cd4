"""One bad request never touches the next one, on the same connection or on another."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import time
from collections.abc import Iterator

import pytest

from tests.door.beside_nginx import Engine
from tests.door.raw import heard
from tests.e2e.program import CHAT, Program, chat_body
from tests.fakes import in_loop

SERVED_WITHIN_S = 2.0
"""Far longer than a request takes, far shorter than anything that a hostile one could make it wait for."""

CROWD = 300
MULTITUDE = 10_000


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Engine() as engine:
        config = f"""
penstock: 1
breaker: off
limits: {{body: 4MiB}}
models: {{m: {{upstream: "http://127.0.0.1:{engine.port}"}}}}
"""
        with Program(tmp_path_factory.mktemp("hostile"), config) as program:
            yield program


def post(body: bytes, *lines: str, path: str = CHAT) -> bytes:
    head = [f"POST {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode("latin-1") + body


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def good() -> bytes:
    return post(json.dumps(chat_body("m")).encode(), "connection: close")


def spoiled(**members: str) -> bytes:
    """A chat body in which these members are any text at all."""
    sound = {"model": '"m"', "messages": "[]", **members}
    return ("{" + ",".join(f'"{name}":{value}' for name, value in sound.items()) + "}").encode("utf-8", "surrogatepass")


DEEP = "[" * 100_000 + "]" * 100_000
BODIES: list[tuple[str, bytes, int]] = [
    ("a priority of 400 digits", spoiled(priority="9" * 400), 200),
    ("a priority of -400 digits", spoiled(priority="-" + "9" * 400), 200),
    ("a priority that is none", spoiled(priority="1e999999999"), 200),
    ("a lone surrogate in the name", spoiled(model='"\\ud800"'), 400),
    ("a lone surrogate in what is said", spoiled(messages='[{"role":"user","content":"\\udc00"}]'), 400),
    ("a surrogate in bytes", spoiled(model='"\ud800"'), 400),
    ("a deep list", spoiled(messages=DEEP), 400),
    ("a deep list that never ends", spoiled(messages="[" * 500_000), 400),
    ("deep objects", spoiled(metadata='{"a":' * 20_000 + "1" + "}" * 20_000), 400),
    ("two models", b'{"model":"m","model":"m"}', 400),
    ("two models, one escaped", b'{"model":"m","mod\\u0065l":"other"}', 400),
    ("two streams", b'{"model":"m","stream":true,"stream":false}', 400),
    ("a model that is a list", spoiled(model='["m"]'), 400),
    ("a model that is a number", spoiled(model="7"), 400),
    ("a model that is an object", spoiled(model='{"m":1}'), 400),
    ("a model that is true", spoiled(model="true"), 400),
    ("a model of a megabyte", spoiled(model='"' + "m" * 2**20 + '"'), 400),
    ("a model with a NUL", spoiled(model='"m\\u0000"'), 400),
    ("a model with a line break", spoiled(model='"m\\r\\nx: y"'), 400),
    ("a NUL", b'{"model":"m\0"}', 400),
    ("only NULs", b"\0" * 70_000, 400),
    ("no UTF-8", b'{"model":"\xff\xfe"}', 400),
    ("a byte order mark", b"\xef\xbb\xbf" + spoiled(), 400),
    ("UTF-16", '{"model":"m"}'.encode("utf-16"), 400),
    ("no JSON", b"model=m", 400),
    ("a number", b"1e400", 400),
    ("an endless number", b'{"model":"m","n":' + b"1" * 100_000 + b"}", 200),
    ("nothing", b"", 400),
    ("a list", b"[]", 400),
    ("stream_options of another kind", spoiled(stream="true", stream_options="[1]"), 400),
    ("a stream that is a text", spoiled(stream='"true"'), 400),
    ("metadata of another kind", spoiled(metadata="7"), 200),
    ("a deep name in the metadata", spoiled(metadata='{"workload":' + "[" * 400 + "]" * 400 + "}"), 200),
]


@in_loop
@pytest.mark.parametrize(("name", "body", "status"), BODIES, ids=[name for name, _, _ in BODIES])
async def test_a_bad_body_is_answered_and_the_next_on_its_connection_is_served(
    program: Program, name: str, body: bytes, status: int
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", program.port)
    async with asyncio.timeout(20):
        writer.write(post(body))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status), name
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        said = json.loads(await reader.readexactly(length))
        assert status == 200 or said["error"]["code"], said
        writer.write(good())
        assert heard(await reader.read(-1), method="POST").status == 200
    await closed(writer)
    assert (await program.chat("m")).status == 200


HEADS = [
    ("129 fields", "".join(f"x-{i}: 1\r\n" for i in range(129)), 431),
    ("a line of 100 kB", f"x-long: {'y' * 100_000}\r\n", 431),
    ("a name of 100 kB", f"{'y' * 100_000}: 1\r\n", 431),
    ("a space before the colon", "x-odd : 1\r\n", 400),
    ("a NUL", "x-odd: \0\r\n", 400),
    ("a lone carriage return", "x-odd: a\rb: c\r\n", 400),
    ("a folded line", "x-odd: a\r\n b\r\n", 400),
    ("two lengths", "content-length: 7\r\n", 400),
    ("a length and chunks", "transfer-encoding: chunked\r\n", 400),
    ("priority", f"x-request-priority: {'9' * 400}\r\n", 200),
    ("deadline", f"x-request-timeout: {'9' * 400}\r\n", 200),
    ("no number", "x-request-timeout: nan\r\nx-stainless-read-timeout: -inf\r\nx-stainless-retry-count: ²\r\n", 200),
    ("request id", "x-request-id: a\tb\xff\r\n", 200),
    ("basic", "authorization: Basic !!!!\r\nx-api-key: \r\n", 200),
    ("forwarded", "x-forwarded-for: ,,,;;\r\nforwarded: for=\r\n", 200),
]


@in_loop
@pytest.mark.parametrize(("name", "lines", "status"), HEADS, ids=[name for name, _, _ in HEADS])
async def test_a_bad_head_is_answered_and_the_next_is_served(
    program: Program, name: str, lines: str, status: int
) -> None:
    body = json.dumps(chat_body("m")).encode()
    sent = post(body, *lines.removesuffix("\r\n").split("\r\n"), "connection: close")
    answer = await program.send(sent)
    assert answer.status == status, name
    assert (await program.chat("m")).status == 200


CHUNKS = [
    b"FFFFFFFFFFFFFFFFF\r\nx",
    b"-1\r\nx",
    b"1 \r\nx\r\n",
    b"5\r\nabc\r\n0\r\n\r\n",
    b"1;" + b"a" * 100_000,
    b"0x1\r\na\r\n",
]


@in_loop
@pytest.mark.parametrize("chunks", CHUNKS, ids=lambda chunks: chunks[:8].decode("latin-1"))
async def test_bad_chunks_end_their_connection_and_nothing_else(program: Program, chunks: bytes) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", program.port)
    writer.write(head + chunks + good())
    writer.write_eof()
    async with asyncio.timeout(10):
        answer = await reader.read(-1)
    await closed(writer)
    assert b" 200 " not in answer, "what followed was taken for a request"
    assert (await program.chat("m")).status == 200


@in_loop
async def test_one_that_closes_half_of_its_connection_leaves_nothing_behind(program: Program) -> None:
    for sent in (good(), good()[:40], good()[:-5], b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", program.port)
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(10):
            await reader.read(-1)
        await closed(writer)
    assert (await program.chat("m")).status == 200
    assert not (await program.state())["calls"]


async def served_s(program: Program) -> float:
    since_s = time.monotonic()
    assert (await program.chat("m")).status == 200
    return time.monotonic() - since_s


async def crowd(program: Program, size: int) -> list[asyncio.StreamWriter]:
    """Connections that say nothing, a piece of a head, or a piece of a body, and then no more."""
    beginnings = (b"", b"POST ", f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nx-slow: ".encode(), good()[:-5])
    writers: list[asyncio.StreamWriter] = []
    for number in range(size):
        _, writer = await asyncio.open_connection("127.0.0.1", program.port)
        writer.write(beginnings[number % len(beginnings)])
        writers.append(writer)
    return writers


@in_loop
async def test_a_crowd_that_dawdles_holds_up_nobody(program: Program) -> None:
    await dawdle(program, CROWD)
    assert await served_s(program) < SERVED_WITHIN_S


@pytest.mark.long
@pytest.mark.timeout(300)
@in_loop
async def test_ten_thousand_that_dawdle_hold_up_nobody(program: Program) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < MULTITUDE + 500:
        pytest.skip(f"this machine allows {most} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    before = program.rss_bytes()
    await dawdle(program, MULTITUDE)
    assert await served_s(program) < SERVED_WITHIN_S
    assert program.rss_bytes() - before < 20 * 1024 * MULTITUDE, "more than 20 KiB for one that says nothing"


async def dawdle(program: Program, size: int) -> None:
    writers = await crowd(program, size)
    try:
        for _ in range(5):
            assert await served_s(program) < SERVED_WITHIN_S
            for writer in writers[2::4]:  # a byte of a header once in a while
                writer.write(b"y")
    finally:
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*(closed(writer) for writer in writers))
