"""Who never came to a queue has not waited in it; who waited for two models has waited for both."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.config.access import hashed
from tests.e2e.program import Program, engine_cmd
from tests.fakes import in_loop

CONFIG = f"""penstock: 1
keys:
  ann: {{hash: "{hashed("sk-ann")}", role: admin, quotas: ["100 requests per 1d"]}}
  bob: {{hash: "{hashed("sk-bob")}", models: [broken], quotas: ["1 requests per 1d"]}}
selectors: {{either: {{strategy: failover, targets: [broken, a]}}}}
models:
  a: {{cmd: {engine_cmd()}, max_prompt_tokens: 100}}
  broken: {{cmd: {engine_cmd("--exits-with=3")}}}
"""


def shown(key: str) -> str:
    return f"authorization: Bearer {key}\r\n"


@in_loop
async def test_a_call_that_is_refused_at_once_has_not_waited(tmp_path: Path) -> None:
    with Program(tmp_path, CONFIG) as program:
        long = [{"role": "user", "content": "word " * 500}]
        answers = {
            "rejected_forbidden": await program.chat("a", headers=shown("sk-bob")),
            "rejected_too_large": await program.chat("a", headers=shown("sk-ann"), messages=long),
            "rejected_auth": await program.chat("a", headers=shown("sk-nobody")),
        }
        for outcome, answer in answers.items():
            record = await program.record(answer)
            assert (record.outcome, record.enqueued_s, record.admitted_s) == (outcome, None, None)


@in_loop
async def test_the_wait_for_a_model_that_failed_and_for_the_next_one_adds_up(tmp_path: Path) -> None:
    with Program(tmp_path, CONFIG) as program:
        before = await program.record(await program.chat("a", headers=shown("sk-ann")))
        assert before.wait_reasons["loading"] > 0
        record = await program.record(await program.chat("either", headers=shown("sk-ann")))
        assert (record.outcome, record.model) == ("completed", "a")
        assert record.admitted_s is not None
        assert record.enqueued_s is not None
        waited_s = record.admitted_s - record.enqueued_s
        assert sum(record.wait_reasons.values()) == pytest.approx(waited_s, abs=0.1)
