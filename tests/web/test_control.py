"""What an operator can do to the calls and models of a running gateway, seen from outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import CHAT, Program, chat_body, engine_cmd, error_of, id_of, until
from tests.fakes import Answer, in_loop

CONFIG = f"""
penstock: 1
residency: groups
groups: {{all: {{members: [a, b, kept], swap: false}}}}
models:
  a: {{cmd: {engine_cmd()}, parallel: 1, aliases: [alpha]}}
  b: {{cmd: {engine_cmd()}, parallel: 1}}
  kept: {{cmd: {engine_cmd()}, pin: true}}
  far: {{upstream: "http://127.0.0.1:9"}}
preload: [a, b]
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("control"), CONFIG) as program:
        yield program


async def held(program: Program, model: str, **fake: object) -> asyncio.Task[Answer]:
    """A call that keeps the model's only slot until `program.release(model)`."""
    await program.until_phase(model, "ready")
    call = asyncio.create_task(program.chat(model, fake={"gate_at": 0, **fake}, stream=bool(fake)))
    await program.seen(model, busy=1)
    return call


@asynccontextmanager
async def waiting(
    program: Program, model: str, count: int, headers: str = ""
) -> AsyncIterator[list[asyncio.Task[Answer]]]:
    """So many calls that wait one behind the other, behind one that keeps the slot until the end."""
    holder = await held(program, model)
    calls: list[asyncio.Task[Answer]] = []
    for _ in range(count):
        calls.append(asyncio.create_task(program.chat(model, headers=headers)))
        await program.until_waiting(len(calls))
    try:
        yield calls
    finally:
        if not holder.done():
            await program.release(model)
        await asyncio.gather(holder, *calls)


async def queue(program: Program, query: str = "") -> Any:
    return (await program.get(f"/api/v1/queue{query}")).json()["calls"]


async def command(program: Program, path: str, **body: object) -> Any:
    answer = await program.post(f"/api/v1/{path}", body)
    assert answer.status in (200, 202), answer.content
    return answer.json()


async def cancelled(program: Program, **body: object) -> tuple[int, int]:
    """How many that waited, and how many that ran."""
    answer = await command(program, "calls/cancel", **body)
    assert answer["count"] == len(answer["queued"]) + len(answer["running"])
    return len(answer["queued"]), len(answer["running"])


@in_loop
async def test_the_queue_lists_who_waits_in_order_and_why(program: Program) -> None:
    async with waiting(program, "a", 3):
        calls = await queue(program)
        assert [call["position"] for call in calls] == [0, 1, 2]
        assert {(call["model"], call["priority"], call["wait_reason"]) for call in calls} == {
            ("a", "normal", "model_cap")
        }
        assert all(0 < call["estimate_s"] < call["bound_s"] for call in calls)
        assert [call["id"] for call in await queue(program, "?limit=1&model=alpha")] == [calls[0]["id"]]
        assert (await program.get("/api/v1/queue?model=b")).json() == {"waiting": 0, "calls": []}
        assert (await program.get("/api/v1/queue?limit=0")).status == 400


@in_loop
async def test_one_that_waits_is_cancelled_and_told_so_and_the_next_moves_up(program: Program) -> None:
    async with waiting(program, "a", 2) as calls:
        first, second = await queue(program)
        assert await cancelled(program, id=first["id"]) == (1, 0)
        victim = await calls[0]
        assert (victim.status, error_of(victim)["code"]) == (503, "cancelled")
        assert [(call["id"], call["position"]) for call in await queue(program)] == [(second["id"], 0)]
    served = await program.record(second["id"])
    assert served.estimated_wait_s is not None
    assert served.estimated_wait_s > 0
    estimates = (await program.get("/health/detail")).json()["wait_estimates"]
    assert isinstance(estimates, dict)
    assert estimates["count"] >= 1
    assert estimates["mean_absolute_error_s"] >= 0
    record = await program.record(first["id"])
    assert (record.outcome, record.http_status, record.admitted_s) == ("cancelled_queued", 503, None)
    assert record.wait_reasons["model_cap"] > 0
    assert (await calls[1]).status == 200


@in_loop
async def test_all_of_a_key_or_a_model_that_wait_are_cancelled_and_what_runs_goes_on(program: Program) -> None:
    async with waiting(program, "a", 2, headers="authorization: Bearer one\r\n") as calls:
        key = (await queue(program))[0]["key"]
        assert await cancelled(program, key="nobody's") == (0, 0)
        assert await cancelled(program, key=key, model="b") == (0, 0)
        assert await cancelled(program, key=key) == (2, 0)
        assert [(await call).status for call in calls] == [503, 503]
        calls.append(asyncio.create_task(program.chat("a")))
        await program.until_waiting(1)
        assert await cancelled(program, model="alpha") == (1, 0)
        calls.append(asyncio.create_task(program.chat("a")))
        await program.until_waiting(1)
        assert await cancelled(program, all=True) == (1, 0)


@in_loop
async def test_one_that_runs_is_cancelled_only_on_request_and_its_engine_learns_of_it(program: Program) -> None:
    call = await held(program, "b")
    [running] = [each for each in (await program.state())["calls"].values() if each["model"] == "b"]
    refusal = await program.post("/api/v1/calls/cancel", {"id": running["id"]})
    assert (refusal.status, error_of(refusal)["code"]) == (409, "call_runs")
    assert "`penstock cancel --running`" in str(error_of(refusal)["message"])
    raised = await program.post("/api/v1/calls/priority", {"id": running["id"], "priority": "high"})
    assert (raised.status, error_of(raised)["code"]) == (409, "call_runs")
    before = (await program.seen("b"))["left"]
    assert await cancelled(program, id=running["id"], running=True) == (0, 1)
    answer = await call
    assert (answer.status, error_of(answer)["code"]) == (503, "cancelled")
    await program.seen("b", left=before + 1)
    assert (await program.record(answer)).outcome == "cancelled_running"
    assert (await program.chat("b")).status == 200  # the slot is back


@in_loop
async def test_a_stream_that_is_cancelled_says_so_in_the_stream(program: Program) -> None:
    await program.until_phase("b", "ready")
    body = chat_body("b", stream=True, fake={"gate_at": 2})
    async with program.talk(program.request(CHAT, body)) as reader:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"\n\n")
        assert await cancelled(program, all=True, running=True) == (0, 1)
        rest = await reader.readuntil(b"\r\n0\r\n\r\n")
    assert b'"code":"cancelled"' in rest
    assert b"[DONE]" not in rest
    record = await program.record(id_of(head))
    assert (record.outcome, record.http_status, record.error_code) == ("cancelled_running", 200, "cancelled")


@in_loop
async def test_a_paused_model_keeps_who_comes_waiting_and_others_go_on(program: Program) -> None:
    assert await command(program, "models/pause", model="alpha") == {"paused": ["a"]}
    call = asyncio.create_task(program.chat("a"))
    await program.until_waiting(1)
    [waiter] = await queue(program)
    assert (waiter["wait_reason"], waiter["bound_s"]) == ("paused", None)
    assert (await program.chat("b")).status == 200
    assert (await program.state())["models"]["a"]["is_paused"]
    assert await command(program, "models/resume", model="a") == {"paused": []}
    answer = await call
    assert answer.status == 200
    record = await program.record(answer)
    assert list(record.wait_reasons) == ["paused"]


@in_loop
async def test_everything_can_be_paused_and_resumed(program: Program) -> None:
    assert (await command(program, "models/pause", all=True))["paused"] == ["a", "b", "far", "kept"]
    calls = [asyncio.create_task(program.chat(model)) for model in ("a", "b")]
    await program.until_waiting(2)
    assert await command(program, "models/resume", all=True) == {"paused": []}
    assert [(await call).status for call in calls] == [200, 200]


@in_loop
async def test_who_is_raised_is_served_before_who_came_earlier(program: Program) -> None:
    async with waiting(program, "a", 2, headers="x-request-priority: low\r\n") as calls:
        _, second = await queue(program)
        raised = await command(program, "calls/priority", id=second["id"], priority="high")
        assert (raised["priority"], raised["position"]) == ("high", 0)
        assert (await queue(program))[0]["id"] == second["id"]
        await program.release("a")
        answers = await asyncio.gather(*calls)
    records = [await program.record(answer) for answer in answers]
    order = sorted(records, key=lambda record: record.received_at + (record.admitted_s or 0.0))
    assert [record.priority for record in order] == ["high", "low"]


@in_loop
async def test_a_pinned_model_is_loaded_at_start_and_can_be_let_go(program: Program) -> None:
    await program.until_phase("kept", "ready")
    assert (await program.state())["models"]["kept"]["is_pinned"]
    assert (await command(program, "models/unpin", model="kept"))["pinned"] is False
    await command(program, "models/unload", model="kept")
    await program.until_phase("kept", "stopped")
    assert (await command(program, "models/pin", model="kept"))["pinned"] is True
    await program.until_phase("kept", "ready")
    answer = await program.post("/api/v1/models/pin", {"model": "far"})
    assert (answer.status, error_of(answer)["code"]) == (409, "not_launched")


@in_loop
async def test_what_pinned_models_leave_no_room_for_is_neither_pinned_nor_loaded(tmp_path: Path) -> None:
    models = "\n".join(f"  {name}: {{cmd: {engine_cmd()}, memory: 1MiB}}" for name in "xy")
    with Program(tmp_path, f"penstock: 1\ndevices: {{box: {{memory: 1MiB}}}}\nmodels:\n{models}\n") as program:
        await command(program, "models/pin", model="x")
        for deed in ("pin", "load"):
            answer = await program.post(f"/api/v1/models/{deed}", {"model": "y"})
            assert (answer.status, error_of(answer)["code"]) == (409, "pinned_out")
            assert "beside the pinned x" in error_of(answer)["message"]
        assert not (await program.state())["models"]["y"]["is_pinned"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("calls/cancel", {}),
        ("calls/cancel", {"runing": True, "all": True}),
        ("calls/priority", {"id": "x", "priority": "urgent"}),
        ("models/pause", {}),
        ("models/pause", {"model": "a", "all": True}),
        ("models/pin", {"modle": "a"}),
        ("models/pin", b"no json"),
    ],
)
@in_loop
async def test_what_is_not_clear_is_refused_and_changes_nothing(program: Program, path: str, body: object) -> None:
    answer = await program.post(f"/api/v1/{path}", body)
    assert (answer.status, error_of(answer)["code"]) == (400, "invalid_request")
    assert not any(model["is_paused"] for model in (await program.state())["models"].values())


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("calls/cancel", {"id": "x", "running": True}, "call_not_found"),
        ("calls/priority", {"id": "x", "priority": "high"}, "call_not_found"),
        ("models/pause", {"model": "x"}, "model_not_found"),
        ("models/unpin", {"model": "x"}, "model_not_found"),
    ],
)
@in_loop
async def test_what_is_not_there_is_a_404(program: Program, path: str, body: object, code: str) -> None:
    answer = await program.post(f"/api/v1/{path}", body)
    assert (answer.status, error_of(answer)["code"]) == (404, code)


@in_loop
async def test_cancelling_hundreds_is_quick_and_leaves_nothing_behind(program: Program) -> None:
    holder = await held(program, "a")
    calls = [asyncio.create_task(program.chat("a")) for _ in range(300)]
    await program.until_waiting(300)
    assert await cancelled(program, model="a") == (300, 0)
    assert {(await call).status for call in calls} == {503}
    await program.release("a")
    assert (await holder).status == 200
    await until(lambda: _is_quiet(program))


async def _is_quiet(program: Program) -> bool:
    return bool((await program.state())["counts"] == {"running": 0, "waiting": 0})


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("queue?modle=a", ["model", "limit"]),
        ("queue?limit=1&limit=2", ["twice"]),
        ("captures?befor=3", ["before", "limit"]),
        ("calls?model=a", ["without"]),
        ("models/log?model=a&tail=9", ["model"]),
        ("session?key=k", ["without"]),
    ],
)
@in_loop
async def test_a_member_of_a_query_that_nobody_reads_is_refused_with_those_that_are_read(
    path: str, known: list[str], program: Program
) -> None:
    refused = await program.get(f"/api/v1/{path}")
    assert (refused.status, error_of(refused)["code"]) == (400, "invalid_request")
    misspelt = path.partition("?")[2].split("&")[-1].partition("=")[0]
    assert all(
        f"`{word}`" in error_of(refused)["message"] or word in ("twice", "without") for word in [*known, misspelt]
    )
    assert (await program.post("/api/v1/models/unpin?model=b", {"model": "a"})).status == 400


@pytest.mark.parametrize(
    "path", ["/health", "/v1/models", "/models/", "/v1/models/a", "/__queue/status", "/api/profiles"]
)
@in_loop
async def test_what_other_systems_clients_ask_may_have_more_in_its_query(path: str, program: Program) -> None:
    assert (await program.get(f"{path}?limit=20&_=1")).status == 200


@in_loop
async def test_refusals_are_in_the_openapi_document_as_they_are_answered(program: Program) -> None:
    described: Any = (await program.get("/api/openapi.json")).json()
    operations = [operation for path in described["paths"].values() for operation in path.values()]
    assert len(operations) > 20
    assert all(
        {"4XX", "5XX"} <= operation["responses"].keys() and "422" not in operation["responses"]
        for operation in operations
    )
    told = described["components"]["schemas"]["Fault"]["properties"].keys()
    assert error_of(await program.get("/api/v1/queue?limit=0")).keys() == told
