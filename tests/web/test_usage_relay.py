"""The gateway's way to its bookkeeper: an answer, or a plain refusal soon, whatever becomes of the other side."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import Request

from penstock.errors import UsageUnavailable
from penstock.runtime.records.usage_relay import AT_ONCE, MAX_ANSWER_BYTES, UsageRelay
from penstock.runtime.records.usage_server import SOCKET, ShortPath, app_named, serve_in_background
from penstock.web.compat.overlaat import Overlaat
from penstock.web.door import Message
from penstock.web.usage_relay import UsageRoute

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def asked_of(folder: Path, talk: Talk, *, within_s: float = 5.0) -> Any:
    """One question to a bookkeeper that talks like that."""
    is_over = asyncio.Event()

    async def talk_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await talk(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        is_over.set()

    async with await asyncio.start_unix_server(talk_and_close, folder / SOCKET):
        try:
            return await UsageRelay(folder, within_s=within_s).ask(b"/usage/now?last=1h", b"{}")
        finally:
            await is_over.wait()


def says(answer: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"GET /usage/now?last=1h HTTP/1.1\r\n")
        writer.write(answer)

    return talk


def test_an_answer_is_passed_on_as_it_is(tmp_path: Path) -> None:
    said = b"HTTP/1.1 400 Bad\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    answer = asyncio.run(asked_of(tmp_path, says(said)))
    assert (answer.status, answer.content_type, answer.body) == (400, "application/json", b"{}")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\n\r\nno length",
        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (MAX_ANSWER_BYTES + 1),
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        b"x" * 100_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "half a head", "half a body", "no length", "too much", "garbage", "an endless head"],
)
def test_what_is_no_whole_answer_is_a_refusal(tmp_path: Path, said: bytes) -> None:
    with pytest.raises(UsageUnavailable):
        asyncio.run(asked_of(tmp_path, says(said)))


def test_a_bookkeeper_that_says_nothing_is_not_waited_for_for_long(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()  # to its end: until the gateway has given up

    with pytest.raises(UsageUnavailable, match="does not answer"):
        asyncio.run(asked_of(tmp_path, silent, within_s=0.05))


def test_a_bookkeeper_learns_of_an_asker_who_leaves(tmp_path: Path) -> None:
    async def ask_and_leave() -> None:
        has_asked, is_gone = asyncio.Event(), asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            has_asked.set()
            assert await reader.read() == b""
            is_gone.set()
            writer.close()

        async def receive() -> Message:
            await has_asked.wait()
            return {"type": "http.disconnect"}

        scope = {"type": "http", "path": "/usage/models", "query_string": b"last=90d", "headers": []}
        async with await asyncio.start_unix_server(talk, tmp_path / SOCKET):
            usage = UsageRoute(UsageRelay(tmp_path), cast("Overlaat", None))
            await usage.ask(Request(scope, receive))
            await asyncio.wait_for(is_gone.wait(), 5)

    asyncio.run(ask_and_leave())


def test_no_bookkeeper_is_a_refusal_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageUnavailable, match="cannot be reached"):
        asyncio.run(UsageRelay(tmp_path).ask(b"/usage/now"))


def test_too_many_questions_at_once_are_refused_and_the_others_answered(tmp_path: Path) -> None:
    async def ask_many() -> list[object]:
        release, ended = asyncio.Event(), asyncio.Queue[None]()

        async def slow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await release.wait()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            ended.put_nowait(None)

        async with await asyncio.start_unix_server(slow, tmp_path / SOCKET):
            relay = UsageRelay(tmp_path)
            asking = [asyncio.create_task(relay.ask(b"/usage/now")) for _ in range(AT_ONCE)]
            await asyncio.sleep(0)
            with pytest.raises(UsageUnavailable, match="too many"):
                await relay.ask(b"/usage/now")
            release.set()
            answers = await asyncio.gather(*asking)
            for _ in asking:
                await ended.get()
            return list(answers)

    assert len(asyncio.run(ask_many())) == AT_ONCE


async def an_app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Echoes what it was asked."""
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": scope["path"].encode() + b"?" + scope["query_string"] + body})


async def the_app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    answer: dict[str, Any] = {}

    async def keep(message: dict[str, Any]) -> None:
        answer[message["type"]] = message

    await an_app(scope, receive, keep)
    start, body = answer["http.response.start"], answer["http.response.body"]
    start["headers"].append((b"content-length", str(len(body["body"])).encode()))
    await send(start)
    await send(body)


def test_relay_and_server_meet_on_a_socket_that_only_its_owner_can_reach_however_deep_it_lies(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    (folder / SOCKET).touch()  # left over by one that was killed
    made = threading.Event()

    def make_app() -> object:
        made.set()
        return the_app

    serve_in_background(make_app, folder)
    assert made.wait(10)
    assert (folder / SOCKET).stat().st_mode & 0o777 == 0o600
    answer = asyncio.run(UsageRelay(folder).ask(b"/usage/x%2Fy?a=1&a=2", b"live"))
    assert answer.body == b"/usage/x/y?a=1&a=2live"


def test_a_short_path_is_left_as_it_is(tmp_path: Path) -> None:
    short = ShortPath(Path("/tmp/usage.sock"))
    assert short.name == "/tmp/usage.sock"
    short.close()


def test_the_app_that_the_gateway_names_is_there() -> None:
    from penstock.cli.serve import USAGE_APP
    from penstock.web.usage import for_bookkeeper

    assert app_named(USAGE_APP) is for_bookkeeper
