"""What is asked of a running gateway's records: soon there, also of what runs; and harmless to calls."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from penstock.config.access import hashed
from tests.e2e.program import Program, chat_body, engine_cmd, until

CONFIG = f"""penstock: 1
models:
  a: {{cmd: {engine_cmd()}, parallel: 1}}
"""


async def usage(program: Program, question: str) -> Any:
    """Its answer; None while there is none."""
    answer = await program.get(f"/usage/{question}")
    return answer.json() if answer.status == 200 else None


def bookkeeper_of(program: Program) -> int:
    return next(
        pid for pid in program.processes() if b"records.bookkeeper" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )


def test_what_runs_and_what_waits_is_soon_in_every_answer(tmp_path: Path) -> None:
    async def ask(program: Program) -> None:
        assert (await program.chat("a")).status == 200
        holding = program.request("/v1/chat/completions", chat_body("a", fake={"delay_s": 60}))
        async with program.talk(holding), program.talk(program.request("/v1/chat/completions", chat_body("a"))):

            async def is_told() -> bool:
                found = await usage(program, "models?last=1h")
                rows = [] if found is None else found["models"]
                return [(row["completed"], row["running"], row["waiting"]) for row in rows] == [(1, 1, 1)]

            await until(is_told)
            now = await usage(program, "now")
            assert now["queue_available"] is True
            assert now["totals"] == {"in_flight": 1, "queue_depth": 1}
            assert now["queued"][0]["wait_reason"] == "model_cap"

    with Program(tmp_path, CONFIG) as program:
        asyncio.run(ask(program))


def test_a_bookkeeper_that_is_stuck_or_killed_is_a_refusal_and_calls_go_on(tmp_path: Path) -> None:
    async def ask(program: Program) -> None:
        async def answers() -> bool:
            return await usage(program, "now") is not None

        await until(answers)
        bookkeeper = bookkeeper_of(program)
        os.kill(bookkeeper, signal.SIGSTOP)
        asking = asyncio.create_task(program.get("/usage/models?last=90d"))
        assert (await program.chat("a")).status == 200
        assert not asking.done()
        os.kill(bookkeeper, signal.SIGKILL)
        refused = await asking
        assert refused.status == 503
        assert b'"usage_unavailable"' in refused.body
        assert (await program.chat("a")).status == 200
        await until(answers)

    with Program(tmp_path, CONFIG) as program:
        asyncio.run(ask(program))


def test_a_question_needs_a_key_that_may_look_once_there_are_keys(tmp_path: Path) -> None:
    keys = f'keys:\n  ann: {{hash: "{hashed("sk-ann")}"}}\n  eve: {{hash: "{hashed("sk-eve")}", role: viewer}}\n'

    async def ask(program: Program) -> None:
        statuses = {}
        for key in ("none", "ann", "eve"):
            headers = f"authorization: Bearer sk-{key}\r\nconnection: close\r\n"
            statuses[key] = (await program.send(program.request("/usage/now", method="GET", headers=headers))).status
        assert (statuses["none"], statuses["ann"]) == (401, 403)
        assert statuses["eve"] in (200, 503)  # 503: its bookkeeper has only just begun

    with Program(tmp_path, CONFIG + keys) as program:
        asyncio.run(ask(program))
