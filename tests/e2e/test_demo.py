"""The first five minutes: no configuration, no model, an empty home, and OpenAI's own client."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import openai
import pytest

from tests.e2e.program import CHAT, Program, chat_body, run
from tests.fakes import in_loop

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="the embedded engine is not installed"
)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("demo"), None) as program:
        yield program


@asynccontextmanager
async def client(program: Program) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{program.url}/v1", api_key="sk-of-nobody", max_retries=0) as client:
        yield client


HELLO: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]


@in_loop
async def test_three_tiny_models_are_made_and_listed(program: Program) -> None:
    async with client(program) as ai:
        assert [model.id async for model in ai.models.list()] == ["tiny-chat-a", "tiny-chat-b", "tiny-embed"]
        assert (await ai.models.retrieve("tiny-embed")).owned_by == "penstock"
    made = program.folder / ".cache" / "penstock" / "demo-models"
    assert len(list(made.glob("*.gguf"))) == 3


@in_loop
async def test_a_chat_is_answered_and_accounted(program: Program) -> None:
    async with client(program) as ai:
        raw = await ai.chat.completions.with_raw_response.create(model="tiny-chat-a", messages=HELLO)
    answer = raw.parse()
    assert answer.choices[0].message.content
    assert answer.usage is not None
    record = await program.record(raw.headers["x-penstock-id"])
    assert (record.outcome, record.token_source, record.finish_reason) == ("completed", "usage", "stop")
    assert record.prompt_tokens == answer.usage.prompt_tokens
    assert record.completion_tokens == answer.usage.completion_tokens
    assert record.wait_reasons["loading"] > 0
    assert record.engine_decode_ms is not None
    assert record.first_token_s is None, "of an answer that came as a whole nobody knows when it began"


@in_loop
async def test_a_stream_tells_usage_only_to_who_asked_and_is_accounted_all_the_same(program: Program) -> None:
    async with client(program) as ai:
        for asks in (False, True):
            options = {"stream_options": {"include_usage": True}} if asks else {}
            stream = await ai.chat.completions.create(
                model="tiny-chat-a", messages=HELLO, stream=True, extra_body=options
            )
            chunks = [chunk async for chunk in stream]
            assert sum(chunk.usage is not None for chunk in chunks) == asks
            assert sum(not chunk.choices for chunk in chunks) == asks
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            assert text
            record = await program.record(stream.response.headers["x-penstock-id"])
            assert (record.outcome, record.streamed, record.token_source) == ("completed", True, "usage")
            assert record.completion_tokens is not None
            assert record.completion_tokens > 3
            assert 0 < (record.first_token_s or 0) <= (record.done_s or 0)


@in_loop
async def test_embeddings_come_as_vectors(program: Program) -> None:
    async with client(program) as ai:
        answer = await ai.embeddings.create(model="tiny-embed", input=["a gate", "a river"])
    assert [len(vector.embedding) for vector in answer.data] == [64, 64]
    assert answer.usage.prompt_tokens > 0


@in_loop
async def test_two_chat_models_by_turns_swap_and_the_embedding_model_stays(program: Program) -> None:
    async with client(program) as ai:
        await ai.embeddings.create(model="tiny-embed", input="a gate")
        for model in ("tiny-chat-b", "tiny-chat-a"):
            assert (await ai.chat.completions.create(model=model, messages=HELLO)).choices
            models = (await program.state())["models"]
            loaded = {name for name, view in models.items() if view["phase"] in ("ready", "draining")}
            assert loaded == {model, "tiny-embed"}


@in_loop
async def test_twenty_at_once_are_all_answered(program: Program) -> None:
    async with client(program) as ai:
        models = ["tiny-chat-a", "tiny-chat-b"] * 10
        calls = [ai.chat.completions.create(model=model, messages=HELLO, max_tokens=8) for model in models]
        answers = await asyncio.gather(*calls)
    assert all(answer.choices for answer in answers)
    assert all((answer.usage.completion_tokens if answer.usage else 0) <= 8 for answer in answers)


@in_loop
async def test_an_unknown_model_is_an_error_that_the_client_understands(program: Program) -> None:
    async with client(program) as ai:
        with pytest.raises(openai.NotFoundError) as told:
            await ai.chat.completions.create(model="tiny-chat-c", messages=HELLO)
    assert told.value.code == "model_not_found"
    assert told.value.param == "model"
    assert "Did you mean `tiny-chat-" in told.value.message


@in_loop
async def test_what_the_engine_refuses_is_its_own_word(program: Program) -> None:
    answer = await program.post(CHAT, {"model": "tiny-chat-a", "messages": "no list"})
    assert 400 <= answer.status < 500
    assert "error" in answer.json()
    assert (await program.record(answer)).outcome == "upstream_refused"


@in_loop
async def test_a_client_that_leaves_frees_its_slot(program: Program) -> None:
    async with program.talk(program.request(CHAT, chat_body("tiny-chat-a", stream=True))) as reader:
        head = await reader.readuntil(b"\n\n")
        call_id = head.partition(b"x-penstock-id: ")[2][:36].decode()
    record = await program.record(call_id)
    assert record.outcome in ("client_abandoned", "completed")  # its last words may have been on the way
    assert (await program.state())["models"]["tiny-chat-a"]["running"] == 0


@in_loop
async def test_the_curl_line_that_it_prints_works(program: Program) -> None:
    line = next(line for line in program.greeting.splitlines() if "curl " in line)
    body = line.partition("-d '")[2].removesuffix("'")
    form = "content-type: application/x-www-form-urlencoded\r\nconnection: close\r\n"  # what curl says
    answer = await program.send(program.request(CHAT, body.encode(), headers=form))
    assert answer.status == 200
    listed = json.loads(run("models", "--json", "--url", program.url, home=program.folder).stdout)
    assert [model["name"] for model in listed] == ["tiny-chat-a", "tiny-chat-b", "tiny-embed"]


def test_ctrl_c_leaves_nothing_behind(program: Program) -> None:
    assert program.stop() == 0
    program.wait_until_none_is_left(within_s=1)
    assert "Traceback" not in program.log
