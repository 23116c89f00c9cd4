"""The gateway's side of the bookkeeper: it is started, watched, started anew when it dies or falls silent, and ended.

Nothing here waits for the store, and nothing that happens to the bookkeeper reaches a call.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from penstock.config.storage import StoreSettings
from penstock.config.store_address import FILE_NAME, STORE_VARIABLE, StoreAddress, sqlite_address
from penstock.sample.life import Life, life_of, works
from penstock.store.status import StoreStatus

ADDRESS_FILE = "store"
KEEP_AS_USUAL = StoreSettings()

SILENT_AFTER_S = 30.0
SILENT_AND_BUSY = 30
"""So many times as long it may be silent while it works; after that it is taken to turn in circles."""
RESTART_FIRST_S = 0.25
RESTART_AT_MOST_S = 10.0
HEALTHY_AFTER_S = 60.0
CLOSE_WITHIN_S = 8.0
"""A little more than the bookkeeper's own last pass may take."""

FAILING = "failing"
DOUBTING = "holding on"
"""How the store's words begin in its two troubles that the log tells of."""

log = logging.getLogger("penstock.bookkeeping")
_read_status = msgspec.json.Decoder(StoreStatus).decode


def command(
    state_dir: Path,
    *,
    gateway_id: str,
    boot_id: str,
    keep: StoreSettings = KEEP_AS_USUAL,
    usage_app: str | None = None,
) -> list[str]:
    """The argv of a bookkeeper; what `keep` says about where is not in it, see `environment`.

    usage_app: `module:function`, see runtime/records/usage_server.py; None = it answers no questions.
    """
    argv = [sys.executable, "-P", "-m", "penstock.runtime.records.bookkeeper"]
    argv += ["--state-dir", str(state_dir), "--gateway-id", gateway_id, "--boot-id", boot_id]
    limits = {"--keep-s": keep.keep, "--keep-samples-s": keep.keep_samples, "--keep-bytes": keep.keep_size}
    argv += [] if usage_app is None else ["--usage-app", usage_app]
    return argv + [f"{name}={value}" for name, value in limits.items() if value is not None]


def environment(address: StoreAddress | None) -> dict[str, str]:
    """What a bookkeeper finds the store by; None = SQLite in the state directory.

    The arguments of a process can be read by everybody on the machine, its environment cannot.
    """
    return {} if address is None else {STORE_VARIABLE: address.url}


def say_whose(state_dir: Path, address: StoreAddress | None) -> None:
    """Write down, for others, into which store the journal of this folder goes. Raises OSError."""
    (state_dir / ADDRESS_FILE).write_text(f"{address or sqlite_address(state_dir / FILE_NAME)}\n")


def whose(state_dir: Path) -> str | None:
    """The store into which the journal of a folder goes, without its password; None = no gateway has said so."""
    try:
        return (state_dir / ADDRESS_FILE).read_text().strip()
    except FileNotFoundError:
        return None


class Bookkeeping:
    """Owns the bookkeeper's process from start() to close(). `environ` is added to our own environment.

    status: its last word, None before the first. restarts: how often it had to be started again.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        environ: Mapping[str, str] | None = None,
        silent_after_s: float = SILENT_AFTER_S,
        close_within_s: float = CLOSE_WITHIN_S,
        on_status: Callable[[StoreStatus], None] = lambda _status: None,
    ) -> None:
        self.status: StoreStatus | None = None
        self.restarts = 0
        self.pid: int | None = None
        self._argv = argv
        self._environ = environ
        self._silent_after_s = silent_after_s
        self._close_within_s = close_within_s
        self._on_status = on_status
        self._heard_at_s: float | None = None
        self._process: Process | None = None
        self._is_closing = asyncio.Event()
        self._trouble = ""  # as the log has it
        self._task: asyncio.Task[None] | None = None

    @property
    def status_age_s(self) -> float | None:
        """Seconds since the bookkeeper was last heard of; None = never."""
        return None if self._heard_at_s is None else time.monotonic() - self._heard_at_s

    def start(self) -> None:
        """Begin to keep a bookkeeper running; returns at once."""
        self._task = asyncio.create_task(self._keep_running(), name="bookkeeping")

    async def close(self) -> None:
        """Let the bookkeeper carry over what the journal holds, and end; what takes too long waits for the next boot.

        To be called when the journal is closed. Idempotent.
        """
        if self._task is None:
            return
        self._is_closing.set()
        self._hang_up()
        await asyncio.wait([self._task], timeout=self._close_within_s)
        self._kill()
        await self._task
        self._task = None

    async def _keep_running(self) -> None:
        pause_s = RESTART_FIRST_S
        while True:
            started_at_s = time.monotonic()
            try:
                await self._run_one()
            except OSError as exc:  # no process to be had
                self.status = StoreStatus(store=f"{FAILING}: no bookkeeper: {exc}")
            if self._is_closing.is_set():
                return
            self.restarts += 1
            lived_s = time.monotonic() - started_at_s
            pause_s = RESTART_FIRST_S if lived_s > HEALTHY_AFTER_S else min(2 * pause_s, RESTART_AT_MOST_S)
            if await self._is_closed_within(pause_s):
                return

    async def _run_one(self) -> None:
        """From the start of one bookkeeper to its end, be it its own or because it fell silent."""
        # A session of its own: a Ctrl-C meant for the gateway must not take it before the last lines are written.
        process = await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,
            env={**os.environ, **(self._environ or {})},
        )
        self._process, self.pid = process, process.pid
        if self._is_closing.is_set():
            self._hang_up()
        try:
            await self._listen(process)
        finally:
            self._kill()
            await process.wait()
            self._process = self.pid = None

    async def _listen(self, process: Process) -> None:
        """Return when it has closed its output, which is when it ends, or was silent for too long."""
        assert process.stdout is not None
        while line := await self._next_line(process.stdout, process.pid):
            self._heard(line)

    async def _next_line(self, stdout: asyncio.StreamReader, pid: int) -> bytes:
        """What it says next; empty if it ends, or is taken for stuck.

        One step of its work may take long, the more so where others want the same cores; so it is looked at twice in
        the time that it may be silent, and given as much again as long as it works.
        """
        look_every_s = self._silent_after_s / 2
        seen: Life | None = None
        for looks in range(2 * SILENT_AND_BUSY):
            try:
                async with asyncio.timeout(look_every_s):
                    return await stdout.readline()
            except TimeoutError:
                before, seen = seen, life_of(pid)
                if looks and not works(before, seen, look_every_s):
                    break
        log.warning("bookkeeper_stuck pid=%d: it is silent, and killed; another one goes on where it was", pid)
        return b""

    def _heard(self, line: bytes) -> None:
        self._heard_at_s = time.monotonic()
        try:
            self.status = _read_status(line)
        except msgspec.DecodeError:
            return
        self._tell_troubles(self.status)
        self._on_status(self.status)

    def _tell_troubles(self, status: StoreStatus) -> None:
        """Once when one begins, once when the store is well again: its words may differ every second."""
        trouble = next((each for each in (FAILING, DOUBTING) if status.store.startswith(each)), "")
        if trouble == self._trouble or not (trouble or status.store == "ok"):
            return
        if trouble == FAILING:
            log.warning("store_failing store=%s: records wait in the journal (%r)", status.address, status.store)
        elif trouble == DOUBTING:
            log.warning("clock_doubted store=%s: it is %s", status.address, status.store)
        else:
            log.info("store_well_again store=%s", status.address)
        self._trouble = trouble

    def _hang_up(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def _is_closed_within(self, pause_s: float) -> bool:
        try:
            async with asyncio.timeout(pause_s):
                return await self._is_closing.wait()
        except TimeoutError:
            return False
