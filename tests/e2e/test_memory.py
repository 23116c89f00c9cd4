"""What other programs hold of the host's memory is not there for models."""

from __future__ import annotations

import asyncio
from pathlib import Path

from penstock.discovery.machine import host_memory_bytes
from tests.e2e.program import Program, engine_cmd
from tests.fakes import in_loop

NEARLY_ALL = host_memory_bytes() - 64 * 2**20
"""More than is free on a machine that runs anything at all."""


@in_loop
async def test_a_model_larger_than_the_memory_that_is_free_waits_and_says_so(tmp_path: Path) -> None:
    config = f"penstock: 1\nmodels: {{a: {{cmd: {engine_cmd()}, memory: {NEARLY_ALL}}}}}"
    with Program(tmp_path, config) as program:
        call = asyncio.create_task(program.chat("a", headers="x-request-priority: high\r\n"))
        await program.until_waiting(1)
        await program.post("/api/v1/models/load", {"model": "a"})  # as if its patience were over
        [waiter] = (await program.state())["calls"].values()
        assert (waiter["wait_reason"], waiter["bound_s"]) == ("memory", None)
        assert waiter["wait_until"] > waiter["received_at"]
        await program.post("/api/v1/calls/cancel", {"all": True})
        record = await program.record(await call)
    assert record.outcome == "cancelled_queued"
    assert "memory" in record.wait_reasons


@in_loop
async def test_a_device_that_is_named_is_as_large_as_its_owner_says(tmp_path: Path) -> None:
    model = f"a: {{cmd: {engine_cmd()}, memory: {NEARLY_ALL}}}"
    config = f"penstock: 1\ndevices: {{ram: {{memory: {host_memory_bytes()}}}}}\nmodels: {{{model}}}"
    with Program(tmp_path, config) as program:
        assert (await program.chat("a")).status == 200
