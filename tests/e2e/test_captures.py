"""Captures of a running gateway: of what is served, refused and running, and asked again by the exported command."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.program import CHAT, Program, engine_cmd, id_of, until
from tests.fakes import in_loop

SECRET = "a-client-key-0123456789"
OF_ONE_HOP = {"connection", "transfer-encoding"}
CONFIG = f"""
penstock: 1
residency: groups
groups: {{all: {{members: [a, quiet, heads], swap: false}}}}
models:
  a: {{cmd: {engine_cmd()}}}
  quiet: {{cmd: {engine_cmd()}, captures: off}}
  heads: {{cmd: {engine_cmd()}, captures: headers}}
preload: ["*"]
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("captures"), CONFIG) as program:
        yield program


async def capture(program: Program, call_id: str) -> Any:
    answer = await program.get(f"/api/v1/captures/one?id={call_id}")
    assert answer.status == 200, answer.content
    assert SECRET.encode() not in answer.content
    return answer.json()


async def is_told(program: Program, call_id: str) -> bool:
    """Whether the live state says that the call that ended has a capture."""
    recent: Any = (await program.get("/api/v1/state")).json()
    (found,) = (record["has_capture"] for record in recent["recent"] if record["id"] == call_id)
    return bool(found)


@in_loop
async def test_a_served_stream_reads_as_what_was_said(program: Program) -> None:
    answer = await program.chat("a", headers=f"authorization: Bearer {SECRET}\r\n", stream=True)
    found = await capture(program, id_of(answer))
    assert found["conversation"]["asked"] == [
        {"role": "user", "pieces": [{"kind": "text", "text": "hi", "name": "", "id": ""}]}
    ]
    assert found["conversation"]["answered"][0]["pieces"][0]["text"].startswith("water flows")
    assert found["response"]["body"]["text"].encode() == answer.content
    assert await is_told(program, id_of(answer))


@in_loop
async def test_the_head_of_an_answer_is_kept_as_the_client_got_it(program: Program) -> None:
    for said, stream in (({}, False), ({}, True), ({"status": 500}, False)):
        answer = await program.chat("a", headers="x-request-id: mine\r\n", stream=stream, fake=said)
        found = await capture(program, id_of(answer))
        lines = answer.raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        got = [line.split(": ", 1) for line in lines]
        assert sorted(found["response"]["headers"]) == sorted(each for each in got if each[0] not in OF_ONE_HOP)
        assert ["x-penstock-model", "a"] in found["response"]["headers"]
    refused = await program.chat("no-such-model")
    found = await capture(program, id_of(refused))
    assert ["x-penstock-id", id_of(refused)] in found["response"]["headers"]
    assert ["x-should-retry", "false"] in found["response"]["headers"]


@in_loop
async def test_a_refusal_is_kept_with_what_was_sent(program: Program) -> None:
    answer = await program.chat("no-such-model")
    found = await capture(program, id_of(answer))
    assert (found["call"]["outcome"], found["response"]["status"]) == ("rejected_unknown_model", 404)
    assert found["response"]["body"]["text"].encode() == answer.content
    assert "no-such-model" in found["request"]["body"]["text"]


@in_loop
async def test_a_model_keeps_what_its_level_says(program: Program) -> None:
    quiet, heads = await program.chat("quiet"), await program.chat("heads")
    assert (await program.get(f"/api/v1/captures/one?id={id_of(quiet)}")).status == 404
    assert not await is_told(program, id_of(quiet))
    found = await capture(program, id_of(heads))
    assert found["response"]["headers"]
    assert {found[side]["body"]["absence"] for side in ("request", "response")} == {"level"}
    assert found["conversation"] is None


@in_loop
async def test_a_call_that_runs_can_be_looked_at(program: Program) -> None:
    await program.until_phase("a", "ready")
    running = asyncio.create_task(program.chat("a", fake={"gate_at": 2}, stream=True))
    await program.seen("a", busy=1)

    async def has_begun() -> bool:
        return any(call["response_bytes"] for call in (await program.state())["calls"].values())

    await until(has_begun)
    ((call_id, call),) = (await program.state())["calls"].items()
    assert call["has_capture"]
    found = await capture(program, call_id)
    assert (found["call"]["outcome"], found["response"]["status"]) == (None, 200)
    assert found["conversation"]["answered"][0]["pieces"][0]["text"].startswith("water")
    await program.release("a")
    assert (await running).status == 200


@in_loop
async def test_the_exported_command_asks_the_same_again(program: Program) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not on this machine")
    answer = await program.chat("a", headers=f"authorization: Bearer {SECRET}\r\n", stream=True)
    command = (await program.get(f"/api/v1/captures/curl?id={id_of(answer)}")).content.decode()
    assert SECRET not in command
    shell = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", command, stdout=asyncio.subprocess.PIPE, env={"PENSTOCK_KEY": SECRET, "PATH": "/usr/bin:/bin"}
    )
    said, _ = await shell.communicate()
    assert said == answer.content
    listed: Any = (await program.get("/api/v1/captures?limit=2")).json()
    again, first = [await capture(program, each["id"]) for each in listed["captures"]]
    assert again["request"]["body"] == first["request"]["body"]
    assert again["request"]["target"] == CHAT
    assert ["authorization", "Bearer [redacted]"] in [
        [name.lower(), value] for name, value in again["request"]["headers"]
    ]
