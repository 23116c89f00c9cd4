"""Who may wait: without a cap nobody needs to, and with a bound not everybody can."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.e2e.program import Program, engine_cmd, error_of, header
from tests.fakes import Behaviour, FakeEngine, in_loop


@in_loop
async def test_a_model_of_a_litellm_file_without_a_cap_is_admitted_as_it_enters(tmp_path: Path) -> None:
    file = "model_list: [{model_name: free, litellm_params: {model: openai/x}}]"
    async with FakeEngine([Behaviour(delay_s=0.05)]) as engine:
        with Program(tmp_path, file, "--upstream", engine.address) as program:
            answers = await asyncio.gather(*(program.chat("free") for _ in range(40)))
            assert engine.seen.busy_max > 10
            records = [await program.record(answer) for answer in answers]
    assert {(record.outcome, record.position_at_entry) for record in records} == {("completed", None)}
    assert all(record.admitted_s == record.enqueued_s is not None for record in records)
    assert all(record.wait_reasons == {} for record in records)


@in_loop
async def test_a_full_queue_refuses_with_503_and_a_time_to_come_back(tmp_path: Path) -> None:
    config = f"penstock: 1\nmodels: {{a: {{cmd: {engine_cmd()}, parallel: 1, max_queue: 2, memory: 1MiB}}}}"
    with Program(tmp_path, config) as program:
        holder = asyncio.create_task(program.chat("a", fake={"gate_at": 0}))
        await program.until_phase("a", "ready")
        await program.seen("a", busy=1)
        waiters = [asyncio.create_task(program.chat("a")) for _ in range(2)]
        await program.until_waiting(2)
        refusal = await program.chat("a")
        assert (refusal.status, error_of(refusal)["code"]) == (503, "queue_full")
        assert int(header(refusal, "retry-after") or 0) >= 1
        await program.release("a")
        assert [(await call).status for call in (holder, *waiters)] == [200] * 3
        record = await program.record(refusal)
    assert (record.outcome, record.http_status, record.admitted_s) == ("rejected_queue_full", 503, None)
