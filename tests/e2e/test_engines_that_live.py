"""Engines from their start to their end: started once, found ready at once, stopped with all they have begotten."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.program import CHAT, Program, chat_body, engine_cmd, id_of
from tests.fakes import engine_argv, in_loop

PREFACE = """
import os, sys
print("told", os.environ["WHERE"], sys.argv[1:3], flush=True)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""An engine that says with what it was started, and then becomes a fake engine."""

STOP = json.dumps('sh -c "echo ${PID} > stopped; kill -9 ${PID}"')


def told_cmd() -> str:
    preface = shlex.join([sys.executable, "-c", PREFACE, "--listen=0.0.0.0:${PORT}", "${MODEL_ID}"])
    return json.dumps(f"# a comment\n{preface} \\\n  {shlex.join(engine_argv('--port'))} ${{PORT}}")


CONFIG = f"""
penstock: 1
models:
  crowd: {{cmd: {engine_cmd("--load-s", "0.3")}, memory: 1MiB, parallel: 8}}
  prompt: {{cmd: {engine_cmd("--load-s", "0.1")}, memory: 1MiB}}
  told: {{cmd: {told_cmd()}, memory: 1MiB, env: {{WHERE: "port ${{PORT}}"}}, proxy: "http://127.0.0.1:${{PORT}}"}}
  family: {{cmd: {engine_cmd("--fork")}, memory: 1MiB}}
  deaf: {{cmd: {engine_cmd("--fork", "--ignore-sigterm")}, memory: 1MiB, stop_timeout: 0.3s}}
  polite: {{cmd: {engine_cmd("--ignore-sigterm")}, memory: 1MiB, cmd_stop: {STOP}}}
  brief: {{cmd: {engine_cmd()}, memory: 1MiB, parallel: 2, ttl: 0.4s}}
  slow: {{cmd: {engine_cmd("--load-s", "30", "--fork")}, memory: 1MiB}}
  kept: {{cmd: {engine_cmd()}, memory: 1MiB, parallel: 2}}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("lives"), CONFIG) as program:
        yield program


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@in_loop
async def test_twenty_first_requests_at_once_start_one_engine(program: Program) -> None:
    answers = await asyncio.gather(*(program.chat("crowd") for _ in range(20)))
    assert [answer.status for answer in answers] == [200] * 20
    assert program.log.count("engine_started replica=crowd") == 1
    assert (await program.seen("crowd"))["busy_max"] <= 8
    records = await program.closed_records({id_of(answer) for answer in answers})
    assert all(record.outcome == "completed" and record.waited_for_load for record in records)
    for record in records:
        assert 0 < (record.enqueued_s or 0) < (record.engine_ready_s or 0) <= (record.admitted_s or 0)
    assert Counter(record.caused_load for record in records) == {True: 1, False: 19}
    later = await program.record(await program.chat("crowd"))
    assert (later.waited_for_load, later.engine_ready_s, later.wait_reasons) == (False, None, {})


@in_loop
async def test_a_ready_engine_is_noticed_within_50_ms(program: Program) -> None:
    late_s = []
    for _ in range(5):
        await program.post("/api/v1/models/load", {"model": "prompt"})
        await program.until_phase("prompt", "ready")
        log = (await program.get("/api/v1/models/log?model=prompt")).content.decode()
        ready_at = float(log.rpartition("ready ")[2])
        late_s.append((await program.state())["models"]["prompt"]["since"] - ready_at)
        await program.post("/api/v1/models/unload", {"model": "prompt"})
        await program.until_phase("prompt", "stopped")
    assert -0.005 < statistics.median(late_s) < 0.05, late_s


@in_loop
async def test_the_port_is_filled_in_everywhere_and_the_environment_arrives(program: Program) -> None:
    assert (await program.chat("told")).status == 200
    port = await program.engine_port("told")
    log = (await program.get("/api/v1/models/log?model=told")).content.decode()
    assert f"told port {port} ['--listen=0.0.0.0:{port}', 'told']" in log


@pytest.mark.parametrize("model", ["family", "deaf"])
@in_loop
async def test_an_unloaded_engine_goes_with_its_children_also_when_it_ignores_sigterm(
    program: Program, model: str
) -> None:
    await program.chat(model)
    seen = await program.seen(model)
    assert is_alive(seen["pid"])
    assert is_alive(seen["child_pid"])
    await program.post("/api/v1/models/unload", {"model": model})
    await program.until_phase(model, "stopped")
    assert not is_alive(seen["pid"])
    assert not is_alive(seen["child_pid"])


@in_loop
async def test_cmd_stop_takes_the_place_of_sigterm_and_knows_the_process(program: Program) -> None:
    await program.chat("polite")
    pid = (await program.seen("polite"))["pid"]
    await program.post("/api/v1/models/unload", {"model": "polite"})
    await program.until_phase("polite", "stopped")
    assert (program.folder / "stopped").read_text() == f"{pid}\n"
    assert not is_alive(pid)


@in_loop
async def test_ttl_counts_from_the_end_of_the_last_request_and_never_during_one(program: Program) -> None:
    async with program.talk(program.request(CHAT, chat_body("brief", fake={"gate_at": 0}))) as reader:
        await program.seen("brief", busy=1)
        for _ in range(3):  # each ends an idle time that never was, because one is in flight
            assert (await program.chat("brief", fake={"delay_s": 0.2})).status == 200
        assert await program.phase("brief") == "ready"
        await program.release("brief")
        await reader.readuntil(b"\r\n\r\n")
        ended_s = time.monotonic()
    await program.until_phase("brief", "stopped")
    idle_s = time.monotonic() - ended_s
    assert 0.35 < idle_s < 5


@in_loop
async def test_an_engine_that_is_still_starting_is_stopped_with_its_children(program: Program) -> None:
    await program.post("/api/v1/models/load", {"model": "slow"})
    await program.until_phase("slow", "starting")
    seen = await program.seen("slow")
    await program.post("/api/v1/models/unload", {"model": "slow"})
    await program.until_phase("slow", "stopped")
    assert not is_alive(seen["pid"])
    assert not is_alive(seen["child_pid"])


@in_loop
async def test_unloading_lets_what_runs_finish_and_who_waits_has_it_loaded_again(program: Program) -> None:
    async with program.talk(program.request(CHAT, chat_body("kept", fake={"gate_at": 0}))) as reader:
        first = (await program.seen("kept", busy=1))["pid"]
        await program.post("/api/v1/models/unload", {"model": "kept"})
        assert await program.phase("kept") == "draining"
        later = asyncio.create_task(program.chat("kept"))
        await program.until_waiting(1)
        await program.release("kept")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        assert (await later).status == 200
    assert (await program.seen("kept"))["pid"] != first


@in_loop
async def test_stopping_the_program_leaves_no_process_behind(program: Program) -> None:
    engines = [int(pid) for pid in re.findall(r"engine_started replica=\S+ pid=(\d+)", program.log)]
    assert program.stop() == 0
    program.wait_until_none_is_left(within_s=1)
    assert not any(is_alive(pid) for pid in engines)
    assert os.path.exists(program.state_dir / "penstock.db")
