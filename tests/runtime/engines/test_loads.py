"""The account of loads, told as the dispatcher tells it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from penstock.core.accounting.load_record import LoadRecord
from penstock.core.model import Model, Replica
from penstock.runtime.engines.loads import Loads, Look
from penstock.runtime.machine.readings import Ids
from penstock.sample.base import EngineProcess, EngineReading, HostReading, Reading
from tests.fakes import in_loop

IDS = Ids("g", "b")
A = Replica("a", Model("a", footprint=(("ram", 10),)))


class Kept:
    """The records as they were each time they were kept."""

    def __init__(self) -> None:
        self.lines: list[LoadRecord] = []
        self.more = asyncio.Event()

    def note(self, record: LoadRecord) -> None:
        self.lines.append(replace(record, victims=list(record.victims)))
        self.more.set()

    @property
    def last(self) -> LoadRecord:
        return self.lines[-1]

    async def until_ended(self) -> LoadRecord:
        async with asyncio.timeout(5):
            while self.last.outcome is None:
                self.more.clear()
                await self.more.wait()
        return self.last


class Told:
    """Loads on a clock that is set by hand."""

    def __init__(self, tasks: asyncio.TaskGroup, look: Look | None) -> None:
        self.now_s = 0.0
        self.kept = Kept()
        self.loads = Loads(self.kept.note, IDS, devices=("ram",), tasks=tasks, clock=lambda: self.now_s, look=look)


@asynccontextmanager
async def told(look: Look | None = None) -> AsyncIterator[Told]:
    async with asyncio.TaskGroup() as tasks:
        yield Told(tasks, look)


@in_loop
async def test_a_load_is_told_in_phases_from_its_first_victim_on() -> None:
    async with told() as world:
        loads = world.loads
        loads.makes_room(A, "b", "t1")
        loads.makes_room(A, "c", "t1")
        world.now_s = 1.0
        loads.gone("b", 1, None, 0)
        world.now_s = 2.0
        loads.gone("c", 1, None, 0)
        world.now_s = 5.0
        loads.starting(A, 1, "t1")
        world.now_s = 9.0
        loads.answered("a", 1)
        loads.answered("a", 1)
        world.now_s = 17.0
        loads.ready("a", 1, 3)
    record = world.kept.last
    assert (record.stop_s, record.release_s, record.start_s, record.ready_s) == (2.0, 3.0, 4.0, 8.0)
    assert (record.done_s, record.outcome, record.calls_waiting) == (17.0, "ready", 3)
    assert (record.victims, record.cause, record.call_id) == (["b", "c"], "request", "t1")
    assert (record.devices, record.engine, record.model) == (["ram"], "a", "a")
    assert world.kept.lines[0].outcome is None  # it was kept when it began, in case we are killed


@in_loop
async def test_a_load_without_victims_has_no_seconds_for_them() -> None:
    async with told() as world:
        world.loads.starting(A, 1, None)
        world.now_s = 4.0
        world.loads.ready("a", 1, 0)
    record = world.kept.last
    assert (record.stop_s, record.release_s, record.start_s, record.ready_s) == (None, None, None, 4.0)


@in_loop
async def test_why_it_was_loaded() -> None:
    async with told() as world:
        loads, causes = world.loads, []
        loads.preloading.add("a")
        loads.asked("a", is_wanted=True)
        loads.starting(A, 1, None)
        causes.append(world.kept.last.cause)
        loads.ready("a", 1, 0)
        loads.asked("a", is_wanted=True)
        loads.starting(A, 2, None)
        causes.append(world.kept.last.cause)
        loads.failed("a", 2, "no", 0)
        loads.starting(A, 3, None)  # tried again, for the same reason
        causes.append(world.kept.last.cause)
        loads.ready("a", 3, 0)
        loads.gone("a", 3, "it died", 0)
        loads.starting(A, 4, None)
        causes.append(world.kept.last.cause)
        loads.ready("a", 4, 0)
        loads.gone("a", 4, None, 0)
        loads.starting(A, 5, None)
        causes.append(world.kept.last.cause)
        loads.ready("a", 5, 0)
    assert causes == ["preload", "command", "command", "restart", "pin"]


@in_loop
async def test_a_failed_start_says_why_and_the_next_is_a_load_of_its_own() -> None:
    async with told() as world:
        world.loads.starting(A, 1, "t")
        world.now_s = 2.0
        world.loads.failed("a", 1, "exit code 1", 1)
        first = world.kept.last
        world.loads.starting(A, 2, "t")
        world.loads.ready("a", 2, 1)
    assert (first.outcome, first.error_detail, first.done_s) == ("failed", "exit code 1", 2.0)
    assert world.kept.last.id != first.id
    assert world.loads.last["a"].outcome == "ready"


@in_loop
async def test_a_load_that_nobody_wants_any_more_is_cancelled() -> None:
    async with told() as world:
        world.loads.starting(A, 1, "t")
        world.loads.gone("a", 1, None, 0)
        assert world.kept.last.outcome == "cancelled"
        world.loads.makes_room(A, "b", "t")
        world.loads.look(lambda _model: False)
        assert world.kept.last.outcome is None  # its victim is still ending
        world.loads.gone("b", 1, None, 0)
        world.loads.look(lambda _model: True)
        assert world.kept.last.outcome is None
        world.loads.look(lambda _model: False)
    assert world.kept.last.outcome == "cancelled"
    assert world.kept.last.stop_s is not None


@in_loop
async def test_facts_about_another_start_change_nothing() -> None:
    async with told() as world:
        world.loads.starting(A, 2, "t")
        world.loads.ready("a", 1, 0)
        world.loads.failed("a", 1, "late", 0)
        world.loads.gone("a", 1, None, 0)
        world.loads.gone("never", 1, None, 0)
    assert world.kept.last.outcome is None


def reading(used_bytes: int, *engines: EngineReading) -> Reading:
    return Reading(0.0, 0.0, HostReading(ram_total_bytes=1000, ram_available_bytes=1000 - used_bytes), (), engines)


@in_loop
async def test_what_is_in_use_is_measured_before_the_start_and_when_it_is_ready() -> None:
    process = EngineProcess("a", "a", 1, 7)
    readings = [reading(100), reading(700, EngineReading(process, (7,), read_bytes=512))]

    async def look() -> Reading | None:
        return readings.pop(0)

    async with told(look) as world:
        world.loads.starting(A, 1, None)
        await asyncio.sleep(0)
        world.loads.ready("a", 1, 0)
        assert world.kept.last.outcome is None  # held back until it is measured
        record = await world.kept.until_ended()
    assert (record.memory_before_bytes, record.memory_after_bytes, record.read_bytes) == (100, 700, 512)


@in_loop
async def test_a_reading_that_does_not_come_leaves_the_record_without_it() -> None:
    async def look() -> Reading | None:
        return None

    async with told(look) as world:
        world.loads.starting(A, 1, None)
        world.loads.ready("a", 1, 0)
        record = await world.kept.until_ended()
    assert (record.outcome, record.memory_before_bytes, record.memory_after_bytes) == ("ready", None, None)


@in_loop
async def test_an_engine_that_is_gone_by_the_time_of_the_reading_has_no_memory_after() -> None:
    async def look() -> Reading | None:
        return reading(100)

    async with told(look) as world:
        world.loads.starting(A, 1, None)
        world.loads.ready("a", 1, 0)
        record = await world.kept.until_ended()
    assert (record.memory_before_bytes, record.memory_after_bytes) == (100, None)


@in_loop
async def test_the_end_of_the_gateway_waits_for_no_reading() -> None:
    async def look() -> Reading | None:
        await asyncio.Event().wait()
        return None

    async with told(look) as world, asyncio.timeout(5):
        world.loads.starting(A, 1, None)
        world.loads.ready("a", 1, 0)
        world.loads.close()
    assert world.kept.last.outcome == "ready"
