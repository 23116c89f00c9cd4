"""Below `/upstream/MODEL/`, and behind a gateway of somebody else's: what passes, what does not, and as what."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import Program, engine_cmd, error_of, header, id_of
from tests.fakes import Answer, Behaviour, FakeEngine, in_loop

ECHO = 'x-fake: {"kind": "echo"}\r\n'
PAGE = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 3\r\n\r\n<p>"
HTML = f"x-fake: {json.dumps({'kind': 'raw', 'raw': PAGE})}\r\n"
MIB = 2**20


def sha256(secret: str) -> str:
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()


def config(engine: FakeEngine, more: str = "") -> str:
    return f"""
penstock: 1
breaker: off
models:
  org/m: {{upstream: "{engine.address}", aliases: [short], parallel: 1}}
  org: {{upstream: "{engine.address}/other"}}
  trusted: {{upstream: "{engine.address}", upstream_pages: trusted}}
  local: {{cmd: {engine_cmd()}, memory: 1MiB}}
{more}
"""


async def fetch(program: Program, target: str, *, method: str = "GET", headers: str = "") -> Answer:
    return await program.send(program.request(target, method=method, headers=f"connection: close\r\n{headers}"))


def target(answer: Answer) -> str:
    """What the engine was asked for."""
    said: Any = answer.json()
    return str(said["target"])


@in_loop
async def test_the_name_ends_where_the_longest_one_does_and_the_rest_passes_as_it_is(tmp_path: Path) -> None:
    async with FakeEngine() as engine:
        with Program(tmp_path, config(engine)) as program:
            for asked, seen in (
                ("/upstream/org/m/v1/x", "/v1/x"),
                ("/upstream/org%2Fm/v1/x", "/v1/x"),
                ("/upstream/org%2fm/a%2Fb//c/?q=%2F&q=&q", "/a%2Fb//c/?q=%2F&q=&q"),
                ("/upstream/org/x", "/other/x"),
                ("/upstream/short/", "/"),
                ("/upstream/short/?", "/?"),
            ):
                assert target(await fetch(program, asked, headers=ECHO)) == seen, asked
            unknown = await fetch(program, "/upstream/nobody/x")
            assert (unknown.status, error_of(unknown)["code"]) == (404, "model_not_found")
            record = await program.record(unknown)
            assert (record.outcome, record.path) == ("rejected_unknown_model", "/upstream/nobody/x")
            for path in ("/upstream/", "/upstream//x"):
                nameless = error_of(await fetch(program, path))
                assert (nameless["code"], "names no model" in str(nameless["message"])) == ("missing_model", True), path
            for path in ("/upstream/%00/x", "/upstream/%1B%5B2J/", "/upstream/m%0Ax"):
                odd = await fetch(program, path)
                assert (odd.status, error_of(odd)["code"]) == (400, "invalid_model_name"), path


@in_loop
async def test_the_root_of_an_engine_is_reached_by_a_redirect_that_keeps_the_query(tmp_path: Path) -> None:
    async with FakeEngine() as engine:
        with Program(tmp_path, config(engine)) as program:
            for method, status in (("GET", 301), ("HEAD", 301), ("POST", 308)):
                answer = await fetch(program, "/upstream/org/m?a=1&a=2", method=method)
                assert (answer.status, header(answer, "location")) == (status, "/upstream/org/m/?a=1&a=2"), method
            assert engine.seen.requests == []


@in_loop
async def test_a_path_of_the_table_is_metered_and_others_are_recorded(tmp_path: Path) -> None:
    async with FakeEngine() as engine:
        with Program(tmp_path, config(engine)) as program:
            chat = await program.post("/upstream/org/m/v1/chat/completions", {"model": "whatever", "messages": []})
            assert b'"model": "whatever"' in chat.content, "nothing is changed here"
            record = await program.record(chat)
            assert (record.model, record.dialect, record.completion_tokens) == ("org/m", "openai.chat", 5)
            other = await program.record(await fetch(program, "/upstream/org/m/slots.json"))
            assert (other.model, other.dialect, other.outcome) == ("org/m", "raw", "completed")


@in_loop
async def test_what_changes_an_engine_needs_an_admin(tmp_path: Path) -> None:
    keys = f"""keys:
  boss: {{hash: "{sha256("boss")}", role: admin}}
  user: {{hash: "{sha256("user")}", models: [org/m]}}"""
    async with FakeEngine() as engine:
        with Program(tmp_path, config(engine, keys)) as program:
            for path in ("slots", "slots/0", "SLOTS", "a/../slots", "%73lots", "lora-adapters", "sleep", "wake_up"):
                asked = f"/upstream/org/m/{path}"
                refused = await fetch(program, asked, method="POST", headers="authorization: Bearer user\r\n")
                assert (refused.status, error_of(refused)["code"]) == (403, "role_required"), path
                allowed = await fetch(program, asked, method="POST", headers="authorization: Bearer boss\r\n")
                assert allowed.status == 200, path
            before = len(engine.seen.requests)
            assert (await fetch(program, "/upstream/org/m/props", headers="x-api-key: user\r\n")).status == 200
            refused = await fetch(program, "/upstream/org/m/props", method="POST", headers="x-api-key: user\r\n")
            assert (refused.status, len(engine.seen.requests)) == (403, before + 1)
            foreign = await fetch(program, "/upstream/trusted/x", headers="x-api-key: user\r\n")
            assert (foreign.status, error_of(foreign)["code"]) == (403, "model_forbidden")
            nobody = await fetch(program, "/upstream/org/m/x")
            assert (nobody.status, header(nobody, "www-authenticate")) == (401, 'Bearer realm="penstock"')
            seen = engine.seen.requests[-1]
            assert (seen.header("authorization"), seen.header("x-api-key")) == (None, None)


@in_loop
async def test_a_path_that_is_to_be_ignored_loads_nothing(tmp_path: Path) -> None:
    async with FakeEngine() as engine:
        with Program(tmp_path, config(engine, "upstream_ignore_paths: ['^/metrics$', favicon]")) as program:
            for path in ("metrics", "static/favicon.ico"):
                refused = await fetch(program, f"/upstream/local/{path}")
                assert (refused.status, error_of(refused)["code"]) == (409, "model_not_loaded")
                assert (await program.record(refused)).outcome == "rejected_disabled"
            assert await program.phase("local") == "stopped"
            assert (await fetch(program, "/upstream/local/other")).status == 200
            assert (await fetch(program, "/upstream/local/metrics")).status == 200, "it is loaded now"
            assert (await fetch(program, "/upstream/org/m/metrics")).status == 200, "this one is not ours to load"


@in_loop
async def test_pages_of_engines_are_kept_apart_unless_they_are_trusted(tmp_path: Path) -> None:
    async with FakeEngine() as engine:
        with Program(tmp_path, config(engine)) as program:
            page = await fetch(program, "/upstream/org/m/", headers=HTML)
            assert header(page, "content-security-policy") == "sandbox allow-scripts allow-forms"
            assert header(await fetch(program, "/upstream/trusted/", headers=HTML), "content-security-policy") is None
            assert header(await fetch(program, "/upstream/org/m/", headers=ECHO), "content-security-policy") is None
            posted = program.request("/v1/rerank", {"model": "org/m"}, headers=f"connection: close\r\n{HTML}")
            assert header(await program.send(posted), "content-security-policy") is not None


# Websockets.


SOCKET = (
    "connection: keep-alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
ACCEPT = b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
OPENS = 'x-fake: {"websocket": true}\r\n'


@asynccontextmanager
async def websocket(
    program: Program, path: str = "/upstream/org/m/ws", *, headers: str = OPENS, early: bytes = b""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", program.port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n{SOCKET}{headers}\r\n".encode() + early)
        async with asyncio.timeout(10):
            yield reader, writer, await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.transport.abort()


@in_loop
async def test_a_websocket_passes_bytes_both_ways_and_takes_no_slot(tmp_path: Path) -> None:
    async with FakeEngine() as engine:
        with Program(tmp_path, config(engine)) as program:
            async with websocket(program, early=b"before it was agreed") as (reader, writer, head):
                assert head.startswith(b"HTTP/1.1 101 ")
                assert ACCEPT in head.lower().replace(ACCEPT.lower(), ACCEPT)
                assert b"x-penstock-id: " in head
                assert await reader.readexactly(20) == b"before it was agreed"
                writer.write(bytes(range(256)))
                assert await reader.readexactly(256) == bytes(range(256))
                assert (await program.chat("org/m")).status == 200, "the only slot is free"
                writer.write_eof()
                assert await reader.read(-1) == b""
            record = await program.record(id_of(head))
            assert (record.outcome, record.http_status, record.response_bytes) == ("completed", 101, 276)
            assert (await program.state())["calls"] == {}


@in_loop
async def test_a_websocket_holds_back_who_writes_faster_than_the_other_reads(tmp_path: Path) -> None:
    async with FakeEngine() as engine:
        with Program(tmp_path, config(engine)) as program:
            before, block = program.rss_bytes(), b"x" * MIB
            async with websocket(program) as (reader, writer, _):

                async def write() -> None:
                    for _ in range(64):
                        writer.write(block)
                        await writer.drain()

                writing = asyncio.create_task(write())
                done, _ = await asyncio.wait([writing], timeout=1.0)
                assert not done, "64 MiB have gone somewhere, though nobody has read them"
                assert program.rss_bytes() - before < 24 * MIB
                assert (await program.chat("trusted")).status == 200
                for _ in range(64):
                    assert await reader.readexactly(MIB) == block
                await writing


@in_loop
async def test_an_engine_that_refuses_a_websocket_is_heard(tmp_path: Path) -> None:
    async with FakeEngine() as engine:
        with Program(tmp_path, config(engine)) as program:
            refusal = 'x-fake: {"status": 403, "headers": {"x-why": "no"}}\r\n'
            async with websocket(program, headers=refusal, early=b"never read") as (_, _, head):
                assert head.startswith(b"HTTP/1.1 403 ")
                assert header(head, "x-why") == "no"
            assert (await program.record(id_of(head))).outcome == "upstream_refused"
            assert (await program.chat("org/m")).status == 200
            async with websocket(program, headers='x-fake: {"kind": "nothing", "ending": "close"}\r\n') as (_, _, head):
                assert head.startswith(b"HTTP/1.1 502 ")


# Behind somebody else's gateway.

LITELLM = """
model_list:
  - {model_name: m, litellm_params: {model: openai/m}}
  - {model_name: org/n, litellm_params: {model: openai/n}}
general_settings: {master_key: sk-master}
"""


@in_loop
async def test_a_gateway_behind_us_keeps_its_own_paths_and_its_callers_keys(tmp_path: Path) -> None:
    async with FakeEngine([Behaviour(kind="echo")]) as engine:
        with Program(tmp_path, LITELLM, "--upstream", engine.address) as program:
            for method, path in (
                ("POST", "/key/generate"),
                ("GET", "/ui/login?a=%2F"),
                ("DELETE", "/team/x"),
                ("GET", "/sso"),
            ):
                answer = await fetch(program, path, method=method, headers="authorization: Bearer sk-1\r\n")
                assert (answer.status, target(answer)) == (200, path)
                seen = engine.seen.requests[-1]
                assert (seen.method, seen.header("authorization")) == (method, "Bearer sk-1")
                record = await program.record(answer)
                assert (record.model, record.path, record.outcome) == (None, path.partition("?")[0], "completed")
                assert record.http_status == 200
            chat = await program.chat("m", headers="authorization: Bearer sk-2\r\n")
            assert engine.seen.requests[-1].header("authorization") == "Bearer sk-2"
            assert (await program.record(chat)).model == "m"
            assert json.loads((await program.get("/health")).content) == {"status": "ok"}


@in_loop
async def test_the_pages_session_goes_to_no_gateway_behind_us(tmp_path: Path) -> None:
    async with FakeEngine([Behaviour(kind="echo")]) as engine:
        with Program(tmp_path, LITELLM, "--upstream", engine.address) as program:
            cookies = "cookie: a=1; penstock_session=secret; b=2\r\ncookie: penstock_session_8080=secret\r\n"
            answer = await fetch(program, "/ui", headers=cookies)
            assert answer.status in (200, 307)
            await fetch(program, "/key/info", headers=cookies)
            sent = [value for name, value in engine.seen.requests[-1].headers if name.lower() == "cookie"]
            assert "secret" not in "".join(sent)
            assert "a=1" in sent[0]
            assert "b=2" in sent[0]


@pytest.mark.parametrize("status", [401, 500])
@in_loop
async def test_what_the_gateway_behind_us_says_passes_as_it_is(tmp_path: Path, status: int) -> None:
    async with FakeEngine([Behaviour(status=status, headers={"x-why": "no"})]) as engine:
        with Program(tmp_path, LITELLM, "--upstream", engine.address) as program:
            answer = await fetch(program, "/key/info")
            assert (answer.status, header(answer, "x-why")) == (status, "no")
            engine.die()
            gone = await fetch(program, "/key/info")
            assert (gone.status, error_of(gone)["code"]) == (502, "engine_unreachable")
