"""Requests that find no free slot: they wait in order, and nobody is refused, overtaken or stopped for them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from penstock.core.accounting.record import CallRecord
from tests.e2e.program import Program, engine_cmd, id_of
from tests.fakes import Answer, in_loop

CONFIG = f"""
penstock: 1
residency: groups
groups:
  solo: {{members: [a, b, c], exclusive: false}}
  beside: {{members: [pair, single, upper], swap: false, exclusive: false, persistent: true}}
models:
  a: {{cmd: {engine_cmd()}, parallel: 1}}
  b: {{cmd: {engine_cmd()}, parallel: 1}}
  c: {{cmd: {engine_cmd()}, parallel: 1}}
  pair: {{cmd: {engine_cmd()}, parallel: 2}}
  single: {{cmd: {engine_cmd()}, parallel: 1}}
  upper: {{cmd: {engine_cmd()}, parallel: 1}}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("waiting"), CONFIG) as program:
        yield program


def admitted_at(record: CallRecord) -> float:
    assert record.admitted_s is not None
    return record.received_at + record.admitted_s


async def held(program: Program, model: str) -> asyncio.Task[Answer]:
    """A call that keeps a slot of the model's engine until `program.release(model)`."""
    busy = (await program.seen(model))["busy"] if await program.phase(model) == "ready" else 0
    call = asyncio.create_task(program.chat(model, fake={"gate_at": 0}))
    await program.until_phase(model, "ready")
    await program.seen(model, busy=busy + 1)
    return call


@in_loop
async def test_a_cap_of_two_is_never_exceeded_and_all_ten_are_answered(program: Program) -> None:
    answers = await asyncio.gather(*(program.chat("pair", fake={"delay_s": 0.03}) for _ in range(10)))
    assert [answer.status for answer in answers] == [200] * 10
    seen = await program.seen("pair")
    assert (seen["busy_max"], len(seen["requests"])) == (2, 10)


@in_loop
async def test_models_that_exclude_each_other_are_served_together_and_not_by_turns(program: Program) -> None:
    first = await held(program, "a")
    pid = (await program.seen("a"))["pid"]
    later = []
    for number, model in enumerate("bcabc", start=1):
        later.append(asyncio.create_task(program.chat(model)))
        await program.until_waiting(number)
    assert (await program.seen("a"))["pid"] == pid, "nobody's work is stopped for the others"
    await program.release("a")
    answers = await asyncio.gather(first, *later)
    assert [answer.status for answer in answers] == [200] * 6
    records = await program.closed_records({id_of(answer) for answer in answers})
    assert "".join(record.model or "" for record in sorted(records, key=admitted_at)) == "aabbcc"
    assert program.log.count("engine_started replica=b") == program.log.count("engine_started replica=c") == 1
    by_model = {record.model: record for record in records}
    assert by_model["a"].wait_reasons.keys() <= {"model_cap", "aged_in", "draining"}
    assert by_model["b"].wait_reasons["loading"] > 0


@in_loop
async def test_three_hundred_wait_in_the_order_in_which_they_came(program: Program) -> None:
    first = await held(program, "single")
    others = [asyncio.create_task(program.chat("single")) for _ in range(300)]
    await program.until_waiting(300)
    await program.release("single")
    answers = await asyncio.gather(first, *others)
    assert {answer.status for answer in answers} == {200}
    records = await program.closed_records({id_of(answer) for answer in answers[1:]})
    records.sort(key=lambda record: record.position_at_entry or 0)
    assert [record.position_at_entry for record in records] == list(range(300))
    assert sorted(records, key=admitted_at) == records
    for record in records:
        assert record.wait_reasons.keys() == {"model_cap"}
        waited_s = (record.admitted_s or 0) - (record.enqueued_s or 0)
        assert record.wait_reasons["model_cap"] == pytest.approx(waited_s, abs=0.05)
        assert record.waited_for_load is False


@in_loop
async def test_a_higher_priority_is_served_first_and_both_spellings_are_kept(program: Program) -> None:
    first = await held(program, "upper")
    low = asyncio.create_task(program.chat("upper", headers="x-request-priority: low\r\n"))
    await program.until_waiting(1)
    high = asyncio.create_task(program.chat("upper", headers="X-Request-Priority: 1\r\n"))
    await program.until_waiting(2)
    await program.release("upper")
    _, behind, before = await asyncio.gather(first, low, high)
    slow, fast = await program.record(behind), await program.record(before)
    assert admitted_at(fast) < admitted_at(slow)
    assert (slow.priority_asked, slow.priority) == ("low", "low")
    assert (fast.priority_asked, fast.priority) == ("1", "high")


@in_loop
async def test_what_waits_shows_its_reason_and_its_place(program: Program) -> None:
    first = await held(program, "single")
    others = [asyncio.create_task(program.chat("single")) for _ in range(2)]
    await program.until_waiting(2)
    waiting = [call for call in (await program.state())["calls"].values() if call["phase"] == "queued"]
    assert sorted(call["position"] for call in waiting) == [0, 1]
    assert {call["wait_reason"] for call in waiting} == {"model_cap"}
    await program.release("single")
    await asyncio.gather(first, *others)
