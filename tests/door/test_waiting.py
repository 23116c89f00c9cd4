"""What a caller hears while it waits, what it hears when the wait was for nothing, and what a wait is bounded by."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest

from tests.door.asks import Ask, all_asks
from tests.door.refusals import code_of_failure
from tests.e2e.program import CHAT, Program, chat_body, engine_cmd, error_of, header, id_of
from tests.fakes import Answer, Behaviour, FakeEngine, in_loop

STREAMS = [
    ask
    for ask in all_asks()
    if ask.is_stream and not ask.path.startswith("/v/") and ask.dialect.startswith(("openai.", "anthropic", "llamacpp"))
]
EAGER = "wait_comments_after: 0.2s"


def config(more: str = "", *, one: str = "") -> str:
    return f"""
penstock: 1
breaker: off
{more}
models:
  one: {{cmd: {engine_cmd()}, memory: 1MiB, parallel: 1{one}}}
  failing: {{cmd: {engine_cmd("--exit", "3")}, memory: 1MiB}}
  slow: {{cmd: {engine_cmd("--load-s", "60")}, memory: 1MiB, parallel: 64}}
"""


@asynccontextmanager
async def held(program: Program, model: str = "one") -> AsyncIterator[None]:
    """The only slot is taken until the end of the block."""
    async with program.talk(program.request(CHAT, chat_body(model, fake={"gate_at": 0}))):
        await program.until_phase(model, "ready")
        await program.seen(model, busy=1)
        yield


@asynccontextmanager
async def told_to_wait(program: Program, sent: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, bytes]]:
    """A call that has heard its first comment, and what it has heard by then."""
    async with program.talk(sent) as reader:
        yield reader, await first_comment(reader)


async def first_comment(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        return head + await reader.readuntil(b"\n\n\r\n")


async def ask_all_while_held(program: Program, fake: dict[str, object]) -> list[tuple[Ask, Answer]]:
    """The answers to every kind of stream, each of which was told to wait first."""
    async with AsyncExitStack() as stack:
        async with held(program):
            sent = [ask.sent("one", name=ask.name, fake=fake) for ask in STREAMS]
            readers = [await stack.enter_async_context(program.talk(each)) for each in sent]
            begun = await asyncio.gather(*(first_comment(reader) for reader in readers))
        ends = await asyncio.gather(*(reader.read(-1) for reader in readers))
    return [(ask, Answer(begin + end)) for ask, begin, end in zip(STREAMS, begun, ends, strict=True)]


def queue_wait(answer: Answer) -> str:
    return str(error_of(answer)["message"])


# Comments.


@in_loop
async def test_every_stream_that_waits_hears_comments_and_then_its_answer(tmp_path: Path) -> None:
    with Program(tmp_path, config(EAGER)) as program:
        for ask, answer in await ask_all_while_held(program, {}):
            comments, _, rest = answer.content.partition(b": model=one ")
            assert comments.startswith(b": queued position="), ask.name
            assert b"reason=model_cap" in comments, ask.name
            assert rest.partition(b"\n\n")[2] == ask.answered("one")[1], ask.name
            assert header(answer, "content-type") == "text/event-stream", ask.name
            assert (header(answer, "x-request-id"), header(answer, "x-accel-buffering")) == (ask.name, "no")
            record = await program.record(answer)
            assert (record.outcome, record.http_status) == ("completed", 200), ask.name
            assert (record.prompt_tokens, record.completion_tokens) == ask.counts, ask.name


@in_loop
async def test_what_fails_after_a_comment_is_told_in_the_stream_and_the_record_keeps_the_status(tmp_path: Path) -> None:
    with Program(tmp_path, config(EAGER)) as program:
        answers = await asyncio.gather(*(program.send(ask.sent("failing", name=ask.name)) for ask in STREAMS))
        for ask, answer in zip(STREAMS, answers, strict=True):
            assert answer.status == 200, ask.name
            comments, rest = split_comments(answer.content)
            assert comments, ask.name
            assert code_of_failure(ask, rest) == "engine_start_failed", ask.name
            assert b"[DONE]" not in answer.content
            assert answer.body.endswith(b"\r\n0\r\n\r\n"), "as HTTP it is whole"
            record = await program.record(answer)
            assert (record.outcome, record.http_status) == ("rejected_start_failed", 503), ask.name
            assert record.error_code == "engine_start_failed"


def split_comments(content: bytes) -> tuple[list[bytes], bytes]:
    """The comments at the beginning, and what follows them."""
    comments = []
    while content.startswith(b":"):
        comment, _, content = content.partition(b"\n\n")
        comments.append(comment)
    return comments, content


@in_loop
async def test_an_engines_refusal_after_a_comment_is_told_in_the_stream(tmp_path: Path) -> None:
    with Program(tmp_path, config(EAGER)) as program:
        for ask, answer in await ask_all_while_held(program, {"status": 422}):
            rest = split_comments(answer.content)[1]
            assert code_of_failure(ask, rest) == "engine_refused", ask.name
            assert b"the fake engine refuses" in rest, ask.name
            record = await program.record(answer)
            assert (record.outcome, record.http_status) == ("upstream_refused", 422), ask.name


@in_loop
async def test_who_asks_for_no_stream_hears_no_comment_and_gets_the_true_status(tmp_path: Path) -> None:
    with Program(tmp_path, config(EAGER)) as program:
        asks = [ask for ask in all_asks() if not ask.is_stream and ask.method == "POST"]
        answers = await asyncio.gather(*(program.send(ask.sent("failing", name=ask.name)) for ask in asks))
        assert {answer.status for answer in answers} == {503}


@in_loop
async def test_refusals_that_need_no_engine_come_before_any_comment(tmp_path: Path) -> None:
    with Program(tmp_path, config("wait_comments_after: 0.2s")) as program:
        for body, status in ((chat_body("nobody", stream=True), 404), ({"stream": True}, 400)):
            assert (await program.post(CHAT, body)).status == status


@in_loop
async def test_who_wants_it_is_told_about_the_load_in_words(tmp_path: Path) -> None:
    with Program(tmp_path, config("send_loading_state: true")) as program:
        sent = program.request(CHAT, chat_body("slow", stream=True))
        async with program.talk(sent) as reader, asyncio.timeout(15):
            await reader.readuntil(b"\r\n\r\n")
            line = (await reader.readuntil(b"\n\n")).partition(b"data: ")[2]
            chunk = json.loads(line)
            assert "Loading slow" in chunk["choices"][0]["delta"]["reasoning_content"]
            assert (chunk["object"], chunk["model"]) == ("chat.completion.chunk", "slow")


# Deadlines.


@in_loop
@pytest.mark.parametrize(
    ("line", "words", "stream"),
    [
        ("x-request-timeout: 0.3", "X-Request-Timeout", False),
        ("x-request-timeout: 0.3", "X-Request-Timeout", True),
        ("x-stainless-read-timeout: 0.3", "X-Stainless-Read-Timeout", False),
        ("x-stainless-timeout: 0.3", "X-Stainless-Read-Timeout", False),
        ("x-penstock-max-queue-wait: 0.3", "X-Penstock-Max-Queue-Wait", False),
        ("x-request-timeout: 900", "limits.queue_wait", False),
    ],
)
async def test_who_cannot_be_served_in_time_is_told_so_and_reaches_no_engine(
    tmp_path: Path, line: str, words: str, stream: bool
) -> None:
    limited = ", limits: {queue_wait: 0.5s}" if words == "limits.queue_wait" else ""
    with Program(tmp_path, config(one=limited)) as program:
        async with held(program):
            answer = await program.chat("one", headers=f"{line}\r\n", stream=stream)
            assert (answer.status, error_of(answer)["code"]) == (504, "deadline_exceeded")
            assert words in queue_wait(answer)
            record = await program.record(answer)
            assert (record.outcome, record.sent_s, record.http_status) == ("deadline", None, 504)
            assert len((await program.seen("one"))["requests"]) == 1


@in_loop
async def test_comments_keep_alive_a_client_that_waits_for_bytes(tmp_path: Path) -> None:
    with Program(tmp_path, config(EAGER)) as program:
        async with AsyncExitStack() as stack:
            async with held(program):
                head = "connection: close\r\nx-stainless-read-timeout: 0.9\r\n"
                sent = program.request(CHAT, chat_body("one", stream=True), headers=head)
                reader, begun = await stack.enter_async_context(told_to_wait(program, sent))
            answer = Answer(begun + await reader.read(-1))
            assert answer.events[-1] == "[DONE]"


@in_loop
@pytest.mark.parametrize(
    ("limit", "fake", "status"),
    [
        ("first_byte: 0.3s", {"gate_at": 0}, 504),
        ("call: 0.3s", {"gate_at": 0}, 504),
        ("idle: 0.3s", {"gate_at": 2}, None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_that_is_too_slow_is_given_up(
    tmp_path: Path, limit: str, fake: dict[str, object], status: int | None, stream: bool
) -> None:
    """status: None = the answer has begun, and says so itself or is cut."""
    with Program(tmp_path, config(one=f", limits: {{{limit}}}")) as program:
        fake = fake if stream else {"piece_bytes": 50, **fake}
        answer = await program.chat("one", stream=stream, fake=fake)
        record = await program.record(answer)
        name = limit.partition(":")[0]
        assert (record.outcome, record.error_code) == ("upstream_error", "engine_timeout")
        assert f"limits.{name}" in str(record.error_detail)
        assert answer.status == (status or 200)
        if status is not None:
            assert error_of(answer)["code"] == "engine_timeout"
        elif stream:
            assert json.loads(answer.events[-1])["error"]["code"] == "engine_timeout"
        else:
            assert len(answer.content) == 100
        await program.seen("one", left=1)
        assert (await program.chat("one")).status == 200, "its slot is free"


@in_loop
async def test_an_answer_that_takes_longer_than_a_call_may_is_a_missed_deadline_and_no_fault_of_its_engine(
    tmp_path: Path,
) -> None:
    with Program(tmp_path, config(one=", limits: {call: 0.3s}, breaker: {failures: 1}")) as program:
        answer = await program.chat("one", stream=True, fake={"pace_s": 0.1, "tokens": 1000})
        record = await program.record(answer)
        assert (record.outcome, record.error_code, record.http_status) == ("deadline", "deadline_exceeded", 200)
        said = json.loads(answer.events[-1])["error"]
        assert said["code"] == "deadline_exceeded"
        assert "limits.call: 0.3 s" in said["message"]
        assert (await program.chat("one")).status == 200, "its slot is free, and its breaker is closed"


# Leaving.


@in_loop
async def test_drain_holds_the_slot_until_the_engine_is_done_and_the_record_tells_both(tmp_path: Path) -> None:
    with Program(tmp_path, config("on_disconnect: drain")) as program:
        async with program.talk(program.request(CHAT, chat_body("one", stream=True, fake={"gate_at": 2}))) as reader:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            await reader.readuntil(b"\n\n")
        after = asyncio.create_task(program.chat("one"))
        await program.until_waiting(1)
        assert (await program.seen("one"))["left"] == 0
        await program.release("one")
        assert (await after).status == 200
        record = await program.record(id_of(head))
        assert (record.outcome, record.abandoned_in, record.completion_tokens) == ("client_abandoned", "streaming", 5)


@in_loop
async def test_drain_whole_ends_streams_and_holds_the_slot_for_whole_answers(tmp_path: Path) -> None:
    with Program(tmp_path, config("on_disconnect: drain_whole")) as program:
        async with program.talk(program.request(CHAT, chat_body("one", stream=True, fake={"gate_at": 2}))) as reader:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            await reader.readuntil(b"\n\n")
        await program.seen("one", left=1)
        assert (await program.record(id_of(head))).abandoned_in == "streaming"
        async with program.talk(program.request(CHAT, chat_body("one", fake={"gate_at": 0}))):
            await program.seen("one", busy=1)
            [whole] = (await program.state())["calls"]
        after = asyncio.create_task(program.chat("one"))
        await program.until_waiting(1)
        assert (await program.seen("one"))["left"] == 1
        await program.release("one")
        assert (await after).status == 200
        left = await program.record(whole)
        assert (left.outcome, left.abandoned_in, left.completion_tokens) == ("client_abandoned", "sent", 5)


@in_loop
async def test_a_load_that_nobody_waits_for_goes_on_where_it_is_told_to(tmp_path: Path) -> None:
    with Program(tmp_path, config("cancel_orphan_loads: false")) as program:
        async with program.talk(program.request(CHAT, chat_body("slow"))):
            await program.until_phase("slow", "starting")
        async with held(program):  # a load of its own would have taken its place by now
            assert await program.phase("slow") == "starting"


@in_loop
@pytest.mark.parametrize("kind", ["nothing", "garbage"])
async def test_another_engine_may_still_answer_after_a_comment(
    tmp_path: Path, kind: Literal["nothing", "garbage"]
) -> None:
    async with FakeEngine([Behaviour(gate_at=0), Behaviour(kind=kind, ending="close")]) as dying, FakeEngine() as spare:
        models = f"""
penstock: 1
{EAGER}
models:
  dying: {{upstream: "{dying.address}", parallel: 1}}
  spare: {{upstream: "{spare.address}"}}
selectors: {{sure: {{strategy: failover, targets: [dying, spare]}}}}
"""
        with Program(tmp_path, models) as program:
            async with program.talk(program.request(CHAT, chat_body("dying"))):
                await dying.seen.until(lambda seen: seen.busy == 1)
                sent = program.request(CHAT, chat_body("sure", stream=True), headers="connection: close\r\n")
                async with told_to_wait(program, sent) as (reader, begun):
                    dying.release()
                    answer = Answer(begun + await reader.read(-1))
            assert answer.events[-1] == "[DONE]"
            record = await program.record(answer)
            assert (record.model_requested, record.model, record.outcome) == ("sure", "spare", "completed")
            assert len(dying.seen.requests) >= 2
