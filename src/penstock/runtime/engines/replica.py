"""One replica's life: launch, probe until it answers, watch until it ends; one fact reported for each.

Readiness is found out here, the same way for every launcher: the engine's check endpoint is
asked often enough that a ready engine is noticed within 50 ms.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from penstock.launch.base import Exit, Launcher, LaunchFailed, LaunchSpec, Running
from penstock.launch.logs import LogRing
from penstock.sample.base import EngineProcess
from penstock.wire.fetch import FetchFailed, fetch
from penstock.wire.outbox import Outbox
from penstock.wire.upstream import Pool

log = logging.getLogger("penstock.replica")

PROBE_EVERY_S = 0.02
PROBE_TIMEOUT_S = 5.0
PROPS_TIMEOUT_S = 1.0
LOG_TAIL_BYTES = 4096
LOG_TEXT_BYTES = 64 * 1024
DEATH_IS_KNOWN_WITHIN_S = 0.25


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one replica is launched and recognised as ready. `check` None = ready as soon as it is launched."""

    launcher: Launcher
    spec: Callable[[], LaunchSpec]  # made anew for each start, because a port may be found for it
    check: str | None
    asks_slots: bool  # neither the settings nor the command say how many calls it serves at once
    load_timeout_s: float
    stop_timeout_s: float


class Reports(Protocol):
    """Where a replica tells its facts: the dispatcher."""

    def engine_answered(self, replica_id: str, generation: int) -> None: ...
    def engine_ready(self, replica_id: str, generation: int, load_s: float) -> None: ...
    def engine_failed(self, replica_id: str, generation: int, reason: str, *, is_final: bool) -> None: ...
    def engine_gone(self, replica_id: str, generation: int, reason: str | None) -> None: ...
    def engine_slots(self, replica_id: str, slots: int) -> None: ...


class RemoteEngine:
    """An `upstream:`: somebody else's server, simply there. Nothing to start, nothing to stop."""

    def __init__(self, address: str, outbox: Outbox) -> None:
        self.pool: Pool | None = Pool(address, outbox)
        self.pid: int | None = None
        self.process: EngineProcess | None = None
        self.load_s: float | None = None
        self.ready_at_s: float | None = None
        self.reports: Reports | None = None

    def start(self, generation: int) -> None:
        raise AssertionError("an upstream is never started")

    def stop(self) -> None:
        """It is not ours to stop."""

    async def is_ending(self, pool: Pool | None) -> bool:
        return False

    def log_tail(self) -> str:
        return ""

    def log_text(self) -> str:
        return ""


class ReplicaLife:
    """The process behind a replica. `start` and `stop` return at once."""

    def __init__(self, replica_id: str, recipe: Recipe, outbox: Outbox, tasks: asyncio.TaskGroup) -> None:
        self.id = replica_id
        self.recipe = recipe
        self.log = LogRing()
        self.pool: Pool | None = None  # connections to it; None = it is not up
        self.pid: int | None = None
        self.process: EngineProcess | None = None  # while it runs, if it does so on this machine
        self.load_s: float | None = None  # how long its last load took
        self.ready_at_s: float | None = None  # when that was over; monotonic
        self._outbox = outbox
        self._tasks = tasks
        self._running: Running | None = None
        self._stop_asked = asyncio.Event()
        self._last_ready: tuple[Pool | None, asyncio.Event] = (None, asyncio.Event())  # and: it is over, and reported
        self.reports: Reports

    def start(self, generation: int) -> None:
        self._stop_asked = asyncio.Event()
        self._tasks.create_task(self._live(generation, self._stop_asked))

    def stop(self) -> None:
        """Idempotent; `engine_gone` follows when all of it is gone."""
        self._stop_asked.set()

    async def is_ending(self, pool: Pool | None) -> bool:
        """Asked when `pool` gives no connection: is it dead? True when all of it is gone and it may be started anew."""
        last_pool, over = self._last_ready
        if pool is not None and pool is not last_pool:
            return True
        try:
            async with asyncio.timeout(DEATH_IS_KNOWN_WITHIN_S):
                await over.wait()
        except TimeoutError:
            if self.pid is not None and _is_alive(self.pid):
                return False
            await over.wait()  # what it has begotten may take a while
        return True

    async def _live(self, generation: int, stop_asked: asyncio.Event) -> None:
        began_s, over = time.monotonic(), asyncio.Event()
        self.log.begin()
        try:
            spec = await asyncio.to_thread(self.recipe.spec)  # it may read a model's header from a slow disk
            pool = Pool(spec.address, self._outbox)
            running = await self.recipe.launcher.start(spec, self.log.append)
        except (LaunchFailed, ValueError) as exc:
            log.warning("engine_failed replica=%s reason=%r", self.id, str(exc))
            is_final = not isinstance(exc, LaunchFailed) or exc.is_final
            self.reports.engine_failed(self.id, generation, str(exc), is_final=is_final)
            return
        self.pid = running.pid
        if running.pid is not None:
            self.process = EngineProcess(self.id, self.id, generation, running.pid, urlsplit(spec.address).port)
        log.info("engine_started replica=%s pid=%s address=%s", self.id, running.pid, spec.address)
        exited = asyncio.create_task(running.wait())
        try:
            failure = await self._become_ready(generation, pool, exited, stop_asked)
            if failure is not None:
                await self._end(running, exited)
                self._report_failure(generation, failure, is_asked=stop_asked.is_set())
                return
            self.ready_at_s = time.monotonic()
            self.load_s = self.ready_at_s - began_s
            if self.recipe.asks_slots and (slots := await _slots_of(pool)) is not None:
                self.reports.engine_slots(self.id, slots)
            self.pool = pool
            self.process = None if self.process is None else replace(self.process, is_ready=True)
            self._last_ready = pool, over
            log.info("engine_ready replica=%s load_s=%.3f", self.id, self.load_s)
            self.reports.engine_ready(self.id, generation, self.load_s)
            reason = await self._until_over(exited, stop_asked)
            self.pool = None
            await self._end(running, exited)
            log.log(
                logging.INFO if reason is None else logging.WARNING, "engine_gone replica=%s reason=%r", self.id, reason
            )
            self.reports.engine_gone(self.id, generation, reason)
        finally:  # also when the gateway is closing and this task is cancelled
            self.pool = self.pid = self.process = None
            pool.close()
            exited.cancel()
            over.set()

    async def _become_ready(
        self, generation: int, pool: Pool, exited: asyncio.Task[Exit], stop_asked: asyncio.Event
    ) -> tuple[str, bool] | None:
        """None = it answers; else why not, and whether trying again is useless."""
        if self.recipe.check is None:
            return None
        limit_s = self.recipe.load_timeout_s
        probing = asyncio.create_task(self._probe(generation, pool, self.recipe.check))
        stopping = asyncio.create_task(stop_asked.wait())
        try:
            await asyncio.wait({exited, probing, stopping}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                return "it was no longer wanted", False
            if exited.done():
                return f"it ended before it was ready ({exited.result()})", False
            if probing.done():
                return None
            return f"it was not ready after {limit_s:g} s (load_timeout)", True
        finally:
            probing.cancel()
            stopping.cancel()

    async def _probe(self, generation: int, pool: Pool, check: str) -> None:
        """Return when the engine answers 200."""
        has_answered = False
        while True:
            asked_s = time.monotonic()
            try:
                status, _ = await fetch(pool, check, timeout_s=PROBE_TIMEOUT_S)
            except FetchFailed:
                status = 0
            if status and not has_answered:
                has_answered = True
                self.reports.engine_answered(self.id, generation)
            if status == 200:
                return
            await asyncio.sleep(max(0.0, PROBE_EVERY_S - (time.monotonic() - asked_s)))

    async def _until_over(self, exited: asyncio.Task[Exit], stop_asked: asyncio.Event) -> str | None:
        """Why it is over: None = it was asked to stop."""
        stopping = asyncio.create_task(stop_asked.wait())
        try:
            await asyncio.wait({exited, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return None if stop_asked.is_set() else f"it died ({exited.result()})"
        finally:
            stopping.cancel()

    async def _end(self, running: Running, exited: asyncio.Task[Exit]) -> None:
        await running.stop(self.recipe.stop_timeout_s)
        await exited

    def _report_failure(self, generation: int, failure: tuple[str, bool], *, is_asked: bool) -> None:
        reason, is_final = failure
        if is_asked:
            self.reports.engine_gone(self.id, generation, None)
            return
        log.warning("engine_failed replica=%s reason=%r", self.id, reason)
        self.reports.engine_failed(self.id, generation, reason, is_final=is_final)

    def log_tail(self) -> str:
        """The last lines of its latest start."""
        return self.log.latest(LOG_TAIL_BYTES)

    def log_text(self) -> str:
        """The last lines, earlier starts included."""
        return self.log.tail(LOG_TEXT_BYTES)


class _Props(msgspec.Struct):
    """What llama-server says of itself at /props, as far as it concerns us."""

    total_slots: int


async def _slots_of(pool: Pool) -> int | None:
    """How many calls the engine serves at once, by its own account; None = it does not say."""
    try:
        status, body = await fetch(pool, "/props", timeout_s=PROPS_TIMEOUT_S)
        props = msgspec.json.decode(body, type=_Props)
    except (FetchFailed, msgspec.DecodeError):
        return None
    return props.total_slots if status == 200 and props.total_slots > 0 else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it changed its user
        return True
    return True
