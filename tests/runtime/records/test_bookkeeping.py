from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from penstock.runtime.records.bookkeeping import Bookkeeping, command
from penstock.store.journal import Journal
from penstock.store.status import StoreStatus
from tests.fakes import in_loop
from tests.store.some_calls import FOR_EVER, an_open_call, ended

PATIENT_S = 30.0
SPEAKS_AND = "import sys, time; print('{\"records\": 1}', flush=True); "
STAYS_SILENT = SPEAKS_AND + "sys.stdin.read()"
DIES = SPEAKS_AND + "sys.exit(3)"
STAYS_FOR_EVER = SPEAKS_AND + "time.sleep(600)"  # no-sleep-needed: it plays a process that does not end

IS_BUSY = (
    SPEAKS_AND + "end = time.process_time() + 2\nwhile time.process_time() < end: pass\n"
    "print('{\"records\": 2}', flush=True); sys.stdin.read()"
)
TURNS_IN_CIRCLES = SPEAKS_AND + "\nwhile True: pass"


class Heard:
    """Collects what a bookkeeper says, for tests that wait for it."""

    def __init__(self) -> None:
        self._words: asyncio.Queue[StoreStatus] = asyncio.Queue()

    def __call__(self, status: StoreStatus) -> None:
        self._words.put_nowait(status)

    async def next(self) -> StoreStatus:
        async with asyncio.timeout(PATIENT_S):
            return await self._words.get()


@asynccontextmanager
async def keeping(
    argv: list[str], heard: Heard, *, silent_after_s: float = PATIENT_S, close_within_s: float = PATIENT_S
) -> AsyncIterator[Bookkeeping]:
    bookkeeping = Bookkeeping(argv, silent_after_s=silent_after_s, close_within_s=close_within_s, on_status=heard)
    bookkeeping.start()
    try:
        yield bookkeeping
    finally:
        await bookkeeping.close()


def playing(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@in_loop
async def test_closing_waits_until_the_journal_is_carried_over(tmp_path: Path) -> None:
    journal, heard = Journal(tmp_path, boot_id="b1", reserve_bytes=0), Heard()
    async with keeping(command(tmp_path, gateway_id="g", boot_id="b1", keep=FOR_EVER), heard) as bookkeeping:
        assert bookkeeping.status is None
        assert bookkeeping.status_age_s is None
        assert await heard.next() is bookkeeping.status
        journal.closed(ended(an_open_call("last")))
        journal.close()
        assert bookkeeping.status_age_s is not None
    with closing(sqlite3.connect(tmp_path / "penstock.db")) as database:
        assert database.execute("SELECT id FROM calls").fetchall() == [("last",)]
    assert bookkeeping.restarts == 0


@in_loop
async def test_a_bookkeeper_that_is_killed_is_followed_by_another(tmp_path: Path) -> None:
    heard = Heard()
    async with keeping(command(tmp_path, gateway_id="g", boot_id="b1", keep=FOR_EVER), heard) as bookkeeping:
        await heard.next()
        first = bookkeeping.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        while bookkeeping.pid in {first, None}:
            await heard.next()
        assert bookkeeping.restarts == 1


@in_loop
async def test_a_bookkeeper_that_dies_again_and_again_is_started_again_and_again() -> None:
    heard = Heard()
    async with keeping(playing(DIES), heard) as bookkeeping:
        for _ in range(3):
            assert (await heard.next()).records == 1
        assert bookkeeping.restarts == 2


@in_loop
async def test_a_silent_bookkeeper_is_taken_for_stuck_and_replaced() -> None:
    heard = Heard()
    async with keeping(playing(STAYS_SILENT), heard, silent_after_s=0.2) as bookkeeping:
        await heard.next()
        first = bookkeeping.pid
        await heard.next()
        assert bookkeeping.pid != first
        assert first is not None
        assert not is_alive(first)


@in_loop
async def test_a_bookkeeper_that_is_stopped_is_replaced_by_one_that_goes_on(tmp_path: Path) -> None:
    heard = Heard()
    argv = command(tmp_path, gateway_id="g", boot_id="b1", keep=FOR_EVER)
    async with keeping(argv, heard, silent_after_s=3.0) as bookkeeping:
        await heard.next()
        first = bookkeeping.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        while bookkeeping.pid in {first, None}:
            await heard.next()
        while (await heard.next()).store != "ok":
            pass
        assert (bookkeeping.restarts, is_alive(first)) == (1, False)


@in_loop
async def test_a_bookkeeper_that_is_busy_with_one_step_is_left_to_it() -> None:
    heard = Heard()
    async with keeping(playing(IS_BUSY), heard, silent_after_s=0.2) as bookkeeping:
        first = (await heard.next(), bookkeeping.pid)
        assert (await heard.next()).records == 2  # after ten times as long as it may be silent
        assert (bookkeeping.pid, bookkeeping.restarts) == (first[1], 0)


@in_loop
async def test_a_bookkeeper_that_turns_in_circles_is_replaced_in_the_end() -> None:
    heard = Heard()
    async with keeping(playing(TURNS_IN_CIRCLES), heard, silent_after_s=0.05) as bookkeeping:
        await heard.next()
        await heard.next()
        assert bookkeeping.restarts == 1


@in_loop
async def test_closing_does_not_wait_for_ever() -> None:
    heard = Heard()
    async with keeping(playing(STAYS_FOR_EVER), heard, close_within_s=0.1) as bookkeeping:
        await heard.next()
        pid = bookkeeping.pid
        assert pid is not None
    assert not is_alive(pid)
    await bookkeeping.close()


@in_loop
async def test_closing_between_two_tries_ends_at_once() -> None:
    bookkeeping = Bookkeeping(["/nowhere/bookkeeper"])
    bookkeeping.start()
    await asyncio.sleep(0)  # no-sleep-needed: lets it begin
    await bookkeeping.close()
    assert bookkeeping.status is not None
    assert bookkeeping.status.store.startswith("failing: no bookkeeper")


@in_loop
async def test_words_that_are_no_status_are_passed_over() -> None:
    heard = Heard()
    async with keeping(playing("print('hello'); " + STAYS_SILENT), heard) as bookkeeping:
        assert (await heard.next()).records == 1
        assert bookkeeping.restarts == 0


@in_loop
async def test_each_trouble_of_a_store_is_told_in_the_log_once_and_so_is_its_recovery(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "penstock.bookkeeping")
    stores = ("failing: no route", "failing: gone", "holding on to what is old: why", "locked", "ok", "ok")
    lines = [json.dumps({"store": store, "address": "postgresql://db"}) for store in stores]
    heard = Heard()
    async with keeping(playing(f"import sys; [print(line, flush=True) for line in {lines}]; sys.stdin.read()"), heard):
        for _ in lines:
            await heard.next()
    ours = [each.getMessage() for each in caplog.records if each.name == "penstock.bookkeeping"]
    assert ours == [
        "store_failing store=postgresql://db: records wait in the journal ('failing: no route')",
        "clock_doubted store=postgresql://db: it is holding on to what is old: why",
        "store_well_again store=postgresql://db",
    ]
