"""The dispatcher: what the scheduler asks for is done, and what it waits for is told to it."""

from __future__ import annotations

import asyncio
import time

from penstock.core.fitting.memory import MemoryResidency
from penstock.core.model import Model, Ticket
from penstock.core.scheduling.plan import Plan, Policy
from penstock.core.scheduling.scheduler import Scheduler
from penstock.errors import GatewayError
from penstock.runtime.engines.dispatcher import Dispatcher
from tests.fakes import in_loop


class Waits:
    """A call that waits, and is told what became of it."""

    def __init__(self) -> None:
        self.told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def admitted(self, replica_id: str, now_s: float) -> None:
        self.told.set_result(replica_id)

    def refused(self, error: GatewayError, now_s: float) -> None:
        self.told.set_result(error.code)


class FailsAtOnce:
    """An engine that cannot be started."""

    def __init__(self) -> None:
        self.starts = 0
        self.reports: Dispatcher

    def start(self, generation: int) -> None:
        self.starts += 1
        self.reports.engine_failed("m", generation, "no", is_final=False)

    def stop(self) -> None:
        """There is nothing."""


@in_loop
async def test_a_timer_that_fires_early_does_not_end_the_waiting_for_it() -> None:
    model = Model("m")
    plan = Plan((model,), MemoryResidency((), (model,)), policy=Policy(start_attempts=2, backoff_s=(0.01,)))
    engine, waits = FailsAtOnce(), Waits()
    dispatcher = Dispatcher(Scheduler(plan), {"m": engine}, lambda: time.monotonic() / 2)  # half as fast as the loop's
    engine.reports = dispatcher
    dispatcher.enter(Ticket("t", "m", "", time.monotonic() / 2), waits)
    async with asyncio.timeout(5):
        assert await waits.told == "engine_start_failed"
    assert engine.starts == 2
