"""Engines that never start, die, hang up or talk nonsense: what the caller is told, and what the record says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator

import pytest

from tests.e2e.program import CHAT, Program, chat_body, engine_cmd, error_of, header, until
from tests.fakes import exchange, get, in_loop, request

CONFIG = f"""
penstock: 1
models:
  never: {{cmd: {engine_cmd("--never-ready", "--say", "still thinking")}, memory: 1MiB, load_timeout: 0.7s}}
  exits: {{cmd: {engine_cmd("--exit", "3", "--say", "no memory left")}, memory: 1MiB}}
  missing: {{cmd: "/no/such/program --port ${{PORT}}", memory: 1MiB}}
  naps: {{cmd: {engine_cmd("--script", '[{}, {"kind": "nothing"}, {}]')}, memory: 1MiB}}
  mortal: {{cmd: {engine_cmd()}, memory: 1MiB}}
  heir: {{cmd: {engine_cmd("--fork", "--ignore-sigterm")}, memory: 1MiB}}
  honest: {{cmd: {engine_cmd()}, memory: 1MiB, parallel: 4}}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("engines"), CONFIG) as program:
        yield program


@in_loop
async def test_an_engine_that_is_never_ready_is_given_up_after_its_load_timeout(program: Program) -> None:
    answer = await program.chat("never")
    assert answer.status == 503
    error = error_of(answer)
    assert error["code"] == "engine_start_failed"
    assert "load_timeout" in error["message"]
    assert "still thinking" in error["detail"]
    record = await program.record(answer)
    assert (record.outcome, record.error_code) == ("rejected_start_failed", "engine_start_failed")
    assert record.admitted_s is record.sent_s is record.first_byte_s is record.completion_tokens is None
    assert record.wait_reasons["loading"] > 0.5
    assert (await program.phase("never")) == "failed"


@in_loop
async def test_an_engine_that_exits_at_once_is_tried_three_times_then_rests_until_it_is_reset(program: Program) -> None:
    first, second = await asyncio.gather(program.chat("exits"), program.chat("exits", stream=True))
    for answer in (first, second):
        assert answer.status == 503
        assert error_of(answer)["code"] == "engine_start_failed"
        assert error_of(answer)["detail"].count("no memory left") == 1, "the log of the last attempt alone"
        assert 1 <= int(header(answer, "retry-after") or 0) <= 120
        assert header(answer, "x-should-retry") == "false"
    later = await program.chat("exits")
    log = (await program.get("/api/v1/models/log?model=exits")).content.decode()
    assert log.count("no memory left") == 3, "no further attempt while it rests"
    assert int(header(later, "retry-after") or 0) >= 1
    assert (await program.record(later)).wait_reasons == {}
    reset = await program.post("/api/v1/models/reset", {"model": "exits"})
    assert (reset.json()["model"], reset.json()["phase"]) == ("exits", "stopped")
    async with program.talk(program.request(CHAT, chat_body("exits"))):
        await program.until_phase("exits", "backoff")  # at once, and not when the pause is over


@in_loop
async def test_a_command_that_does_not_exist_is_tried_once_and_told_by_its_name(program: Program) -> None:
    answer = await program.chat("missing")
    assert answer.status == 503
    assert "/no/such/program: command not found; correct the path in `cmd`" in error_of(answer)["message"]
    assert "detail" not in error_of(answer)
    assert program.log.count("engine_failed replica=missing") == 1
    assert await program.phase("missing") == "failed"


@in_loop
async def test_an_engine_that_died_while_idle_is_started_by_the_next_request(program: Program) -> None:
    await program.chat("mortal")
    seen = await program.seen("mortal")
    os.kill(seen["pid"], signal.SIGKILL)
    await program.until_phase("mortal", "stopped")
    assert (await program.chat("mortal")).status == 200
    assert (await program.seen("mortal"))["pid"] != seen["pid"]


@in_loop
async def test_while_a_dead_engines_children_linger_requests_wait_for_the_next_one(program: Program) -> None:
    await program.chat("heir")
    seen, port = await program.seen("heir"), await program.engine_port("heir")
    os.kill(seen["pid"], signal.SIGKILL)

    async def is_deaf() -> bool:
        try:
            await get(port, "/health")
        except OSError:
            return True
        return False

    await until(is_deaf)
    assert await program.phase("heir") == "ready", "its child is still there"
    answer = await program.chat("heir")
    assert answer.status == 200
    assert (await program.seen("heir"))["pid"] != seen["pid"]
    record = await program.record(answer)
    assert record.outcome == "completed"
    assert record.wait_reasons["loading"] > 0
    assert (record.enqueued_s or 0) < 1 < (record.admitted_s or 0)


@in_loop
async def test_an_engine_that_dies_within_a_stream_ends_it_with_an_error_and_without_done(program: Program) -> None:
    answer = await program.chat("mortal", stream=True, fake={"stop_after": 2, "ending": "exit"})
    assert answer.status == 200
    *tokens, last = answer.events
    assert len(tokens) == 2
    assert json.loads(last)["error"]["code"] == "engine_died"
    assert answer.body.endswith(b"0\r\n\r\n"), "the framing itself is whole"
    record = await program.record(answer)
    assert (record.outcome, record.error_code, record.http_status) == ("upstream_error", "engine_died", 200)
    assert record.completion_tokens is None
    assert record.done_s is not None
    assert (await program.chat("mortal")).status == 200, "the next one has a new engine"


@in_loop
async def test_an_engine_that_dies_within_a_json_answer_leaves_it_visibly_incomplete(program: Program) -> None:
    answer = await program.chat("honest", fake={"piece_bytes": 20, "stop_after": 2, "ending": "close"})
    assert int(header(answer, "content-length") or 0) > len(answer.body)
    assert (await program.record(answer)).outcome == "upstream_error"


@in_loop
async def test_an_engine_that_hangs_up_without_a_byte_is_a_502(program: Program) -> None:
    answer = await program.chat("honest", fake={"kind": "nothing"})
    assert (answer.status, error_of(answer)["code"]) == (502, "engine_died")
    record = await program.record(answer)
    assert (record.outcome, record.http_status, record.first_byte_s) == ("upstream_error", 502, None)


@in_loop
async def test_an_engine_that_answers_garbage_is_a_502(program: Program) -> None:
    answer = await program.chat("honest", fake={"kind": "garbage"})
    assert (answer.status, error_of(answer)["code"]) == (502, "engine_bad_reply")
    assert (await program.record(answer)).outcome == "upstream_error"


@pytest.mark.parametrize(("status", "outcome"), [(400, "upstream_refused"), (503, "upstream_error")])
@in_loop
async def test_an_engines_own_error_is_relayed_byte_for_byte(program: Program, status: int, outcome: str) -> None:
    fake = {"status": status, "reply": {"error": {"message": "the engine's own  words", "odd": [1.50]}}}
    relayed = await program.chat("honest", fake=fake)
    direct = await exchange(await program.engine_port("honest"), request(CHAT, chat_body("honest", fake=fake)))
    assert (relayed.status, relayed.body) == (status, direct.body)
    record = await program.record(relayed)
    assert (record.outcome, record.http_status, record.error_code) == (outcome, status, None)
    assert record.response_bytes == len(direct.body)


@in_loop
async def test_a_request_that_met_a_stale_connection_is_sent_once_more_and_nobody_notices(program: Program) -> None:
    await program.chat("naps")
    answer = await program.chat("naps")  # on the idle connection, which is closed under it
    assert answer.status == 200
    assert len((await program.seen("naps"))["requests"]) == 3
    assert (await program.record(answer)).outcome == "completed"


@in_loop
async def test_a_request_is_sent_twice_at_most(program: Program) -> None:
    await program.chat("honest")
    before = len((await program.seen("honest"))["requests"])
    answer = await program.chat("honest", fake={"kind": "nothing"})
    assert answer.status == 502
    assert len((await program.seen("honest"))["requests"]) == before + 2


@in_loop
async def test_no_engine_was_left_with_a_slot_taken(program: Program) -> None:
    async def is_idle() -> bool:
        state = await program.state()
        return all(model["running"] == 0 for model in state["models"].values()) and not state["calls"]

    await until(is_idle)
