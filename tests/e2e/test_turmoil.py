"""Whatever clients, engines and the operator do at once: nobody is stuck, and each call has one record."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.program import CHAT, Program, chat_body, engine_cmd, until
from tests.fakes import in_loop

CONFIG = f"""
penstock: 1
devices: {{ram: {{memory: 2MiB}}}}
models:
  large: {{cmd: {engine_cmd("--load-s", "0.05", "--fork")}, memory: 2MiB, parallel: 2}}
  brief: {{cmd: {engine_cmd("--load-s", "0.1")}, memory: 1MiB, parallel: 1, ttl: 0.2s}}
  wide: {{cmd: {engine_cmd()}, memory: 1MiB, parallel: 3}}
  broken: {{cmd: {engine_cmd("--exit", "1")}, memory: 1MiB, parallel: 3}}
"""
MODELS = ["large"] * 3 + ["brief"] * 3 + ["wide"] * 3 + ["broken"]
BEHAVIOURS: list[dict[str, object]] = [{}] * 14 + [{"delay_s": 0.03}] * 4
BEHAVIOURS += [{"stop_after": 1, "ending": "exit"}, {"kind": "nothing", "ending": "exit"}]


class Turmoil:
    """Clients that ask at random, some of them leaving at random, and an operator who meddles."""

    def __init__(self, program: Program, seed: int) -> None:
        self.program = program
        self.told: Counter[tuple[str, int]] = Counter()  # by model and status
        self.left = 0
        self._random = random.Random(seed)

    async def client(self, calls: int) -> None:
        for _ in range(calls):
            model, fake = self._random.choice(MODELS), self._random.choice(BEHAVIOURS)
            body = chat_body(model, stream=self._random.random() < 0.5, fake=fake)
            if self._random.random() < 0.3:
                await self._leave(body)
            else:
                self.told[model, (await self.program.post(CHAT, body)).status] += 1
            if self._random.random() < 0.1:
                command = self._random.choice(["load", "unload", "reset"])
                await self.program.post(f"/api/v1/models/{command}", {"model": self._random.choice(MODELS)})

    async def _leave(self, body: dict[str, object]) -> None:
        async with self.program.talk(self.program.request(CHAT, body)) as reader:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5 * self._random.random()):
                    await reader.read(-1)
        self.left += 1


async def stir(folder: Path, *, seed: int, clients: int, calls: int) -> None:
    with Program(folder, CONFIG) as program:
        turmoil = Turmoil(program, seed)
        await asyncio.gather(*(turmoil.client(calls) for _ in range(clients)))
        await until(lambda: is_at_rest(program))

        async def is_told() -> bool:  # the store is a moment behind the gateway
            return len(program.records()) >= clients * calls

        await until(is_told)
        await program.until_no_record_is_open()
        records = program.records().values()
        assert len(records) == clients * calls
        for record in records:
            waited_s = (record.admitted_s or record.done_s or 0) - (record.enqueued_s or 0)
            assert sum(record.wait_reasons.values()) <= waited_s + 0.01
            assert record.error_code in (None, "engine_died", "engine_start_failed"), "never `unreachable`"
        statuses = {status for (model, status) in turmoil.told if model != "broken"}
        assert statuses <= {200, 502}, "nobody is refused for want of a slot"
        assert {status for (model, status) in turmoil.told if model == "broken"} <= {503}
        assert program.stop() == 0
        program.wait_until_none_is_left()
        assert "Traceback" not in program.log


async def is_at_rest(program: Program) -> bool:
    state = await program.state()
    is_idle = state["counts"] == {"running": 0, "waiting": 0} and not state["calls"]
    return is_idle and all(model["running"] == 0 for model in state["models"].values())


@in_loop
async def test_turmoil_ends_with_everybody_answered_and_everything_told(tmp_path: Path) -> None:
    await stir(tmp_path, seed=1, clients=8, calls=6)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(10))
@in_loop
async def test_long_turmoil_ends_with_everybody_answered_and_everything_told(tmp_path: Path, seed: int) -> None:
    await stir(tmp_path, seed=seed, clients=16, calls=40)
