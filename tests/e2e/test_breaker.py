"""An engine that keeps failing is left alone for a while; what clients do wrong never counts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.e2e.program import Program, engine_cmd, error_of, header
from tests.fakes import in_loop

CONFIG = f"""
penstock: 1
breaker: {{failures: 3, pause: 60s}}
models:
  a: {{cmd: {engine_cmd()}, parallel: 4, memory: 1MiB}}
  b: {{cmd: {engine_cmd()}, parallel: 4, memory: 1MiB, breaker: {{failures: 2, pause: 1s}}}}
  c: {{cmd: {engine_cmd()}, parallel: 4, memory: 1MiB, breaker: off}}
preload: ["*"]
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("breaker"), CONFIG) as program:
        yield program


async def breaker(program: Program, model: str) -> tuple[object, bool]:
    view = (await program.state())["models"][model]
    return view["breaker"], view["breaker_until"] is not None


@in_loop
async def test_faults_in_a_row_open_it_and_a_reset_closes_it(program: Program) -> None:
    for status in (500, 503, 400, 500, 501, 429, 502, 504):  # a 4xx is an answer: the engine works
        assert (await program.chat("a", fake={"status": status})).status == status
    assert await breaker(program, "a") == ("closed", False)
    assert (await program.chat("a", fake={"status": 500})).status == 500
    assert await breaker(program, "a") == ("open", True)
    before = len((await program.seen("a"))["requests"])
    refusal = await program.chat("a")
    assert (refusal.status, error_of(refusal)["code"]) == (503, "breaker_open")
    assert 55 <= int(header(refusal, "retry-after") or 0) <= 60
    assert len((await program.seen("a"))["requests"]) == before
    record = await program.record(refusal)
    assert (record.outcome, record.admitted_s) == ("rejected_breaker", None)
    assert (await program.post("/api/v1/models/reset", {"model": "a"})).status == 202
    assert await breaker(program, "a") == ("closed", False)
    assert (await program.chat("a")).status == 200


@in_loop
async def test_after_the_pause_one_call_tries_the_engine_again(program: Program) -> None:
    await program.until_phase("b", "ready")
    for _ in range(2):
        assert (await program.chat("b", fake={"ending": "close", "stop_after": 0, "kind": "nothing"})).status == 502
    assert await breaker(program, "b") == ("open", True)
    while (probe := await program.chat("b", fake={"status": 500})).status == 503:
        pass
    assert probe.status == 500
    assert error_of(await program.chat("b"))["code"] == "breaker_open"  # for two seconds now
    while (await program.chat("b")).status == 503:
        pass
    assert await breaker(program, "b") == ("closed", False)


@in_loop
async def test_clients_that_leave_and_models_without_a_breaker_open_none(program: Program) -> None:
    for _ in range(4):
        call = asyncio.create_task(program.chat("a", fake={"gate_at": 0}))
        seen = await program.seen("a", busy=1)
        call.cancel()
        await program.seen("a", left=seen["left"] + 1)
        assert (await program.chat("c", fake={"status": 500})).status == 500
    assert await breaker(program, "a") == ("closed", False)
    assert await breaker(program, "c") == (None, False)
