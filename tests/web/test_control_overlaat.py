"""Overlaat's control routes answer in its shapes, and cancel only what waits."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.e2e.program import Program
from tests.fakes import Behaviour, FakeEngine, in_loop

FILE = """
overlaat: {pools: {default: {budget: 1.0}}}
model_list:
  - {model_name: m1, litellm_params: {max_parallel_requests: 1}}
  - {model_name: m4, litellm_params: {max_parallel_requests: 4}}
  - {model_name: free, litellm_params: {model: x}}
"""


@in_loop
async def test_status_and_cancel_have_overlaats_shapes(tmp_path: Path) -> None:
    async with FakeEngine([Behaviour(gate_at=0)]) as engine:
        with Program(tmp_path, FILE, "--upstream", engine.address) as program:
            key = "authorization: Bearer one\r\n"
            holder = asyncio.create_task(program.chat("m1", headers=key))
            await engine.seen.until(lambda seen: seen.busy == 1)
            waiters = []
            for _ in range(3):
                waiters.append(asyncio.create_task(program.chat("m1", headers=key)))
                await program.until_waiting(len(waiters))

            health: Any = (await program.get("/__queue/health")).json()
            assert (health["status"], health["caps"], health["scheduler"]) == ("ok", {"m1": 1, "m4": 4}, True)
            status: Any = (await program.get("/compat/overlaat/__queue/status")).json()
            assert (status["total_in_flight"], status["total_queue_depth"]) == (1, 3)
            budget = status["budget"]
            assert (budget["used"], budget["budget_pct"], budget["in_flight"]) == (1.0, 100.0, {"m1": 1})
            assert list(budget["pools"]) == ["default"]
            [m1] = [model for model in status["by_model"] if model["model"] == "m1"]
            assert (m1["cap"], m1["in_flight"], m1["queue_depth"]) == (1, 1, 3)
            first = m1["queued"][0]
            assert (first["wait_reason"], first["priority"], first["cost"]) == ("model_cap", 0, 1.0)

            [running] = [call for call in (await program.state())["calls"].values() if call["admitted_at"] is not None]
            for unknown in (running["id"], "nobody"):
                answer = await program.post(f"/__queue/cancel/{unknown}", None)
                assert answer.status == 404
                assert answer.json()["error"]["type"] == "queue_proxy_not_found"  # type: ignore[index]
            answer = await program.post(f"/__queue/cancel/{first['id']}", None)
            assert answer.json() == {"cancelled": first["id"], "model": "m1"}
            assert (await waiters[0]).status == 503
            nobody = await program.post("/__queue/cancel-all?model=m1&key_fp=other", None)
            assert nobody.json() == {"cancelled": [], "count": 0}
            rest: Any = (await program.post(f"/__queue/cancel-all?key_fp={first['key_fp']}", None)).json()
            assert rest["count"] == len(rest["cancelled"]) == 2
            await program.get("/__queue/status")
            engine.release()
            assert (await holder).status == 200
            await asyncio.gather(*waiters)
