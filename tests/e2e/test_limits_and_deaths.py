"""Silent engines are given up, and what keeps the gateway company may die: nobody who calls notices."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.program import CHAT, Program, chat_body, engine_cmd, error_of, run, until
from tests.fakes import in_loop

CONFIG = f"""
penstock: 1
limits: {{idle: 1s, first_byte: 1s}}
models:
  a: {{cmd: {engine_cmd("--fork")}, memory: 1MiB, parallel: 4}}
  kept: {{cmd: {engine_cmd()}, memory: 1MiB, pin: true}}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("deaths"), CONFIG) as program:
        yield program


def started_as(program: Program, words: str) -> int:
    """The number of the one process of the program that has these words in its command line."""
    (pid,) = [pid for pid in program.processes() if words.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return pid


@in_loop
async def test_an_engine_that_falls_silent_is_given_up(program: Program) -> None:
    before, within = await asyncio.gather(
        program.chat("a", fake={"kind": "nothing", "ending": "hold"}),
        program.chat("a", stream=True, fake={"stop_after": 2, "ending": "hold"}),
    )
    assert (before.status, error_of(before)["code"]) == (504, "engine_timeout")
    assert "limits.first_byte" in error_of(before)["message"]
    assert (within.status, len(within.events)) == (200, 3)
    assert json.loads(within.events[-1])["error"]["code"] == "engine_timeout"
    await program.seen("a", left=2)
    for answer in (before, within):
        record = await program.record(answer)
        assert (record.outcome, record.error_code) == ("upstream_error", "engine_timeout")


@in_loop
async def test_a_client_that_does_not_read_is_not_taken_for_a_silent_engine(program: Program) -> None:
    sent = program.request(CHAT, chat_body("a", fake={"kind": "bytes", "size_bytes": 30_000_000}))
    async with program.talk(sent) as reader:
        await reader.readuntil(b"\r\n\r\n")
        await a_silence(program)
        assert len(await reader.readexactly(30_000_000)) == 30_000_000


async def a_silence(program: Program) -> None:
    """As long as it takes until a silent engine is given up."""
    assert (await program.chat("a", fake={"kind": "nothing", "ending": "hold"})).status == 504


@in_loop
async def test_a_killed_bookkeeper_loses_nothing_and_disturbs_nobody(program: Program) -> None:
    before = await program.chat("a")
    os.kill(started_as(program, "bookkeeper"), signal.SIGKILL)
    answers = await asyncio.gather(*(program.chat("a") for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    for answer in (before, *answers):
        assert (await program.record(answer)).outcome == "completed"
    assert (await program.get("/health/detail")).json()["bookkeeper_restarts"] == 1


@in_loop
async def test_a_killed_guard_takes_the_engines_along_and_the_next_request_has_new_ones(program: Program) -> None:
    await program.chat("a")
    seen = await program.seen("a")
    os.kill(started_as(program, "launch.guard"), signal.SIGKILL)
    await program.until_phase("a", "stopped")
    assert not {seen["pid"], seen["child_pid"]} & set(program.processes())
    assert (await program.chat("a")).status == 200


@in_loop
async def test_a_pinned_model_is_there_from_the_start_and_again_when_it_died(program: Program) -> None:
    await program.until_phase("kept", "ready")
    pid = (await program.seen("kept"))["pid"]
    os.kill(pid, signal.SIGKILL)

    async def is_another() -> bool:
        return (await program.state())["models"]["kept"]["pid"] not in (None, pid)

    await until(is_another)
    await program.until_phase("kept", "ready")


def test_stopping_starts_nothing_anew(program: Program) -> None:
    before = program.log.count("engine_started")
    assert program.stop() == 0
    assert program.log.count("engine_started") == before
    assert "engine_failed" not in program.log.partition("gateway_stopping")[2]
    assert "Traceback" not in program.log
    program.wait_until_none_is_left(within_s=1)


def test_a_state_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "c.yaml").write_text(CONFIG)
    state = str(tmp_path / "file" / "state")
    done = run("serve", "--config", str(tmp_path / "c.yaml"), "--listen", ":0", "--state-dir", state, home=tmp_path)
    assert done.returncode == 1
    assert state in done.stderr
    assert "Traceback" not in done.stderr
