"""The fake engine does what it is asked: every vice and every virtue, seen from a socket."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest

from penstock.core.calls.message import CallFacts
from penstock.protocols.endpoints import BY_PATH
from tests.fakes import (
    Behaviour,
    EngineProcess,
    FakeEngine,
    chat,
    engine_argv,
    engine_process,
    exchange,
    get,
    in_loop,
    request,
)

CHAT = "/v1/chat/completions"


async def outcome(*flags: str) -> tuple[int | None, bytes]:
    process = await asyncio.create_subprocess_exec(*engine_argv(*flags), stderr=asyncio.subprocess.PIPE)
    _, stderr = await process.communicate()
    return process.returncode, stderr


@in_loop
async def test_a_chat_is_answered_with_text_and_usage() -> None:
    async with FakeEngine() as engine:
        answer = await chat(engine.port, fake={"tokens": 3, "prompt_tokens": 9})
        assert answer.status == 200
        assert answer.json()["usage"] == {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        assert b"water flows where" in answer.body


@in_loop
async def test_embeddings_completions_and_the_list_of_models_have_their_shapes() -> None:
    async with FakeEngine() as engine:
        vectors = await exchange(engine.port, request("/v1/embeddings", {"model": "m", "input": "x"}))
        assert isinstance(vectors.json()["data"], list)
        text = await exchange(engine.port, request("/v1/completions", {"model": "m", "prompt": "x"}))
        assert text.json()["object"] == "text_completion"
        assert (await get(engine.port, "/v1/models")).json()["object"] == "list"


@in_loop
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages", "/completion", "/infill", "/v/chat/completions"])
async def test_every_dialect_is_answered_in_its_own_form(path: str, *, stream: bool) -> None:
    """Its own meter understands it."""
    async with FakeEngine() as engine:
        endpoint = BY_PATH[path.encode()]
        asked = {"model": "m", "stream": stream, "fake": {"tokens": 3, "prompt_tokens": 9, "usage": "always"}}
        path = (endpoint.engine_path or endpoint.path).decode()
        answer = await exchange(engine.port, request(path, asked))
        kind = b"text/event-stream" if stream else b"application/json"
        assert b"content-type: " + kind in answer.head
        meter = endpoint.dialect.meter(CallFacts("m", ()), kind)
        meter.feed(answer.content)
        meter.finish()
        assert (meter.usage.prompt_tokens, meter.usage.completion_tokens) == (9, 3)
        assert (meter.has_token, bool(meter.usage.finish_reason)) == (stream, True)
        refused = await exchange(engine.port, request(path, {"model": "m", "fake": {"status": 503}}))
        assert "the fake engine refuses" in refused.body.decode()


@in_loop
async def test_a_stream_tells_usage_only_to_who_asked() -> None:
    async with FakeEngine() as engine:
        plain = await chat(engine.port, stream=True)
        assert len(plain.events) == 7
        assert plain.events[-1] == "[DONE]"
        asked = await chat(engine.port, stream=True, stream_options={"include_usage": True})
        assert json.loads(asked.events[-2])["usage"]["completion_tokens"] == 5
        never = await chat(engine.port, stream=True, stream_options={"include_usage": True}, fake={"usage": "never"})
        assert "usage" not in never.content.decode()


@pytest.mark.parametrize("framing", ["length", "chunked", "eof"])
@pytest.mark.parametrize("stream", [True, False])
@in_loop
async def test_every_framing_carries_the_same_content(framing: str, stream: bool) -> None:
    async with FakeEngine() as engine:
        usual = await chat(engine.port, stream=stream)
        framed = await chat(engine.port, stream=stream, fake={"framing": framing, "piece_bytes": 7})
        assert framed.content == usual.content
        assert (b"content-length" in framed.head) == (framing == "length")
        assert (b"chunked" in framed.head) == (framing == "chunked")


@in_loop
async def test_any_reply_can_be_scripted_in_order_of_arrival() -> None:
    first = Behaviour(reply={"a": 1}, headers={"x-odd": "yes"})
    async with FakeEngine([first, Behaviour(kind="stream", events=["one", "two"])]) as engine:
        answer = await chat(engine.port)
        assert (answer.json(), b"x-odd: yes" in answer.head) == ({"a": 1}, True)
        assert (await chat(engine.port)).events == ["one", "two"]
        assert (await chat(engine.port)).events == ["one", "two"]


@in_loop
async def test_a_stream_can_break_off_with_a_close_a_reset_or_a_death() -> None:
    async with FakeEngine() as engine:
        broken = await chat(engine.port, stream=True, fake={"stop_after": 2, "ending": "close"})
        assert len(broken.events) == 2
        assert not broken.body.endswith(b"0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await chat(engine.port, stream=True, fake={"stop_after": 2, "ending": "reset"})
        assert engine.seen.left == 0


@in_loop
async def test_a_process_can_die_in_the_middle_of_a_stream() -> None:
    async with engine_process() as engine:
        broken = await chat(engine.port, stream=True, fake={"stop_after": 2, "ending": "exit"})
        assert len(broken.events) == 2
        assert await engine.process.wait() == 1


@in_loop
async def test_nothing_garbage_and_refusals_can_be_asked_for() -> None:
    async with FakeEngine() as engine:
        assert (await chat(engine.port, fake={"kind": "nothing"})).raw == b""
        assert not (await chat(engine.port, fake={"kind": "garbage"})).raw.startswith(b"HTTP")
        for status in (400, 429, 500, 503):
            refused = await chat(engine.port, stream=True, fake={"status": status})
            assert refused.status == status
            assert "error" in refused.json()
        assert (await chat(engine.port, fake={"knid": "typo"})).status == 500


@in_loop
async def test_interim_heads_come_before_the_answer() -> None:
    async with FakeEngine() as engine:
        answer = await chat(engine.port, fake={"interim": [102, 103]})
        assert answer.raw.startswith(
            b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n"
        )


@in_loop
async def test_a_huge_body_has_the_size_asked_for() -> None:
    async with FakeEngine() as engine:
        answer = await chat(engine.port, fake={"kind": "bytes", "size_bytes": 5_000_001})
        assert len(answer.body) == 5_000_001


@in_loop
async def test_a_gated_reply_waits_for_its_release_and_a_client_that_leaves_is_noticed() -> None:
    async with FakeEngine() as engine:
        waiting = asyncio.ensure_future(chat(engine.port, fake={"gate_at": 0}))
        leaving = asyncio.ensure_future(chat(engine.port, stream=True, fake={"gate_at": 2, "ending": "hold"}))
        await engine.seen.until(lambda seen: seen.busy == 2)
        leaving.cancel()
        await engine.seen.until(lambda seen: seen.left == 1)
        engine.release()
        assert (await waiting).status == 200
        assert (engine.seen.busy, engine.seen.busy_max) == (0, 2)


@in_loop
async def test_heads_and_bodies_are_remembered_also_chunked_and_expected_ones() -> None:
    async with FakeEngine() as engine:
        chunked = (
            b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-One: 1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n"
        )
        chunked += b"Connection: close\r\n\r\n3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrailer: t\r\n\r\n"
        answer = await exchange(engine.port, chunked)
        assert answer.raw.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")
        seen = engine.seen.requests[0]
        assert (seen.target, seen.header("x-one"), seen.body) == ("/a?b=c", "1", b"abcde")


@in_loop
async def test_a_connection_is_kept_and_what_is_not_http_is_counted() -> None:
    async with FakeEngine() as engine:
        two = request(CHAT, {"a": 1}, headers="") + request(CHAT, {"a": 2})
        answer = await exchange(engine.port, two)
        assert answer.raw.count(b"HTTP/1.1 200 OK") == 2
        assert (engine.seen.connections, len(engine.seen.requests)) == (1, 2)
        assert (await exchange(engine.port, b"what?\r\n\r\n")).raw == b""
        await engine.seen.until(lambda seen: seen.broken == 1)


@in_loop
async def test_a_process_tells_what_it_has_seen_once_it_has() -> None:
    async with engine_process() as engine:
        held = asyncio.ensure_future(chat(engine.port, fake={"kind": "nothing", "ending": "hold"}))
        assert (await engine.seen(busy=1, requests=1))["pid"] == engine.process.pid
        held.cancel()
        told = await engine.seen(left=1)
        assert (told["busy"], told["busy_max"]) == (0, 1)


@in_loop
async def test_a_gate_in_another_process_opens_by_request() -> None:
    async with engine_process("--script", '[{"gate_at": 0}]') as engine:
        waiting = asyncio.ensure_future(chat(engine.port))
        await engine.seen(busy=1)
        await exchange(engine.port, request("/__release"))
        assert (await waiting).status == 200


@in_loop
async def test_loading_answers_503_until_it_is_ready() -> None:
    async with FakeEngine(is_ready=False) as engine:
        assert (await get(engine.port, "/health")).status == 503
        engine.is_ready = True
        assert (await get(engine.port, "/health")).status == 200
        assert engine.seen.probes == 2


async def status_of_health(engine: EngineProcess) -> int:
    return (await get(engine.port, "/health")).status


@in_loop
async def test_a_process_can_load_late_bind_late_or_never_get_ready() -> None:
    async with engine_process("--never-ready") as engine:
        assert await status_of_health(engine) == 503
    async with engine_process("--load-s", "600") as engine:
        assert await status_of_health(engine) == 503
    async with engine_process("--load-s", "0.05", "--late-bind") as engine:
        assert await status_of_health(engine) == 200


@in_loop
async def test_a_process_can_exit_at_once_with_a_message() -> None:
    assert await outcome("--exit", "3", "--say", "no such file") == (3, b"no such file\n")


@in_loop
async def test_a_process_can_ignore_sigterm_and_leave_a_child() -> None:
    async with engine_process("--ignore-sigterm", "--fork") as engine:
        child_pid = (await engine.seen())["child_pid"]
        assert isinstance(child_pid, int)
        engine.process.send_signal(signal.SIGTERM)
        assert await status_of_health(engine) == 200
        engine.process.kill()
        os.kill(child_pid, signal.SIGTERM)
        os.kill(child_pid, 0)  # neither its parent's death nor a polite word has ended it
