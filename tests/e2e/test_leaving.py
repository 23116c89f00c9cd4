"""Clients that leave: noticed at once in every phase, carried to the engine, and told by the record."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from penstock.core.accounting.record import CallRecord
from tests.e2e.program import CHAT, Program, chat_body, engine_cmd, until
from tests.fakes import in_loop

CONFIG = f"""
penstock: 1
models:
  single: {{cmd: {engine_cmd()}, memory: 1MiB, parallel: 1}}
  slow: {{cmd: {engine_cmd("--load-s", "60", "--fork")}, memory: 1MiB}}
  second: {{cmd: {engine_cmd("--load-s", "0.5")}, memory: 1MiB}}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("leaving"), CONFIG) as program:
        yield program


async def only_call(program: Program, phase: str) -> str:
    """The id of the one call in this phase, as soon as there is one."""
    found: list[str] = []

    async def is_there() -> bool:
        calls = (await program.state())["calls"].values()
        found[:] = [call["id"] for call in calls if call["phase"] == phase]
        return bool(found)

    await until(is_there)
    (call_id,) = found
    return call_id


def assert_never_served(record: CallRecord) -> None:
    assert record.outcome == "client_abandoned"
    assert record.admitted_s is record.sent_s is record.first_byte_s is record.first_token_s is None
    assert record.engine is None
    assert record.http_status is record.response_bytes is None
    assert record.prompt_tokens is record.completion_tokens is None
    assert record.done_s is not None


def chat(program: Program, model: str, **members: object) -> bytes:
    return program.request(CHAT, chat_body(model, **members))


@in_loop
async def test_while_queued_it_never_reaches_the_engine(program: Program) -> None:
    async with program.talk(chat(program, "single", fake={"gate_at": 0})) as first:
        before = len((await program.seen("single", busy=1))["requests"])
        async with program.talk(chat(program, "single")):
            call_id = await only_call(program, "queued")
        record = await program.record(call_id)
        await program.release("single")
        assert (await first.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
    assert (record.abandoned_in, record.position_at_entry) == ("queued", 0)
    assert record.wait_reasons["model_cap"] > 0
    assert_never_served(record)
    assert (await program.chat("single")).status == 200
    assert len((await program.seen("single"))["requests"]) == before + 1


@in_loop
async def test_while_its_model_loads_the_load_is_cancelled(program: Program) -> None:
    async with program.talk(chat(program, "slow")):
        call_id = await only_call(program, "loading")
        await program.engine_port("slow")
        (pid, child) = await pids(program, "slow")
        assert {pid, child} <= set(program.processes())
    record = await program.record(call_id)
    assert record.abandoned_in == "loading"
    assert_never_served(record)
    await program.until_phase("slow", "stopped")
    assert not {pid, child} & set(program.processes())


@in_loop
async def test_while_its_model_loads_for_others_too_the_load_goes_on(program: Program) -> None:
    stays = asyncio.create_task(program.chat("second"))
    await program.until_waiting(1)
    async with program.talk(chat(program, "second")):
        await program.until_waiting(2)
    await program.until_waiting(1)
    assert (await stays).status == 200
    assert program.log.count("engine_started replica=second") == 1


@in_loop
async def test_before_the_first_byte_the_engine_is_told_and_the_slot_is_free(program: Program) -> None:
    left = (await program.seen("single"))["left"]
    async with program.talk(chat(program, "single", fake={"gate_at": 0})):
        await program.seen("single", busy=1)
        call_id = await only_call(program, "sent")
    await program.seen("single", left=left + 1)
    record = await program.record(call_id)
    assert (record.outcome, record.abandoned_in) == ("client_abandoned", "sent")
    assert record.first_byte_s is record.http_status is record.completion_tokens is None
    assert record.sent_s is not None
    assert (await program.chat("single")).status == 200


@in_loop
async def test_within_a_stream_the_engine_is_told_and_the_slot_is_free(program: Program) -> None:
    left = (await program.seen("single"))["left"]
    async with program.talk(chat(program, "single", stream=True, fake={"gate_at": 2})) as reader:
        await reader.readuntil(b"\n\n")
        call_id = await only_call(program, "streaming")
    await program.seen("single", left=left + 1)
    record = await program.record(call_id)
    assert (record.outcome, record.abandoned_in, record.http_status) == ("client_abandoned", "streaming", 200)
    assert record.first_token_s is not None
    assert record.response_bytes is not None
    assert record.response_bytes > 0
    assert record.completion_tokens is None
    assert (await program.chat("single")).status == 200


@in_loop
async def test_while_its_body_arrives_it_leaves_a_record_that_knows_no_model(program: Program) -> None:
    whole = chat(program, "single")
    async with program.talk(whole[:-10]):
        call_id = await only_call(program, "reading")
    record = await program.record(call_id)
    assert record.abandoned_in == "reading"
    assert record.model is record.model_requested is None
    assert record.request_bytes is None
    assert record.enqueued_s is None
    assert_never_served(record)


async def pids(program: Program, model: str) -> tuple[int, int]:
    seen = await program.seen(model)
    return seen["pid"], seen["child_pid"]
