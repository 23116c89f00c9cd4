"""Small engines that misbehave in one way each, and eyes to see what becomes of their processes."""

from __future__ import annotations

import asyncio
import os
import re
import select
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from penstock.launch.base import LaunchSpec, Running
from penstock.launch.logs import LogRing
from penstock.launch.process import ProcessLauncher

_PRELUDE = """
import os, signal, sys
deaf = lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN)
begun = []
def rest(word):
    print(word, os.getpid(), flush=True)
    for fd in begun: os.close(fd)
    while True: signal.pause()
def child(word, start=rest):
    hears, tells = os.pipe()
    if os.fork(): return os.close(tells), os.read(hears, 1)
    begun.append(tells)
    start(word)
def daemon(word, start=rest):
    def leave(word):
        os.setsid()
        if os.fork(): os._exit(0)
        start(word)
    child(word, leave)
"""
"""What an engine's code may use; `child` and `daemon` return when the new process has told its number, and rests."""


def engine(code: str) -> tuple[str, ...]:
    """The command of an engine that does this."""
    return (sys.executable, "-I", "-S", "-c", f"{_PRELUDE}\n{code}")


SERVES = engine("rest('ready')")
DEAF = engine("deaf(); rest('ready')")
EXITS_3 = engine("print('no model\\nno memory'); sys.exit(3)")


class Life:
    """One process, and whether it still lives; never mistaken for another with the same number."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._handle = os.pidfd_open(pid)

    def __del__(self) -> None:
        os.close(self._handle)

    @property
    def is_over(self) -> bool:
        return bool(select.select([self._handle], [], [], 0)[0])

    async def end(self) -> None:
        """Return when it is over."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._handle, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._handle)


@dataclass
class Started:
    """A running engine with what it prints."""

    running: Running
    log: LogRing

    async def says(self, word: str) -> str:
        """What stands behind this word, as soon as it was printed."""
        text = b""
        async for piece in self.log.subscribe(from_start=True):
            text += piece.text
            if (found := re.search(rf"{word} (.*)\n", text.decode())) is not None:
                return found[1]
        raise AssertionError(text)

    async def life(self, word: str) -> Life:
        """The process that told its number behind this word."""
        return Life(int(await self.says(word)))


async def start(
    launcher: ProcessLauncher,
    argv: tuple[str, ...],
    *,
    env: tuple[tuple[str, str], ...] = (),
    cwd: str | None = None,
    cmd_stop: tuple[str, ...] | None = None,
) -> Started:
    """Start a replica of that command."""
    log = LogRing()
    spec = LaunchSpec("m", argv, "http://127.0.0.1:1", env, cwd, cmd_stop)
    return Started(await launcher.start(spec, log.append), log)


@asynccontextmanager
async def launching(orphan_grace_s: float = 30.0) -> AsyncIterator[ProcessLauncher]:
    """A launcher that is closed at the end; its grace is longer than any test may take."""
    launcher = ProcessLauncher(orphan_grace_s)
    try:
        yield launcher
    finally:
        await launcher.close()


def parent_of(process: Life) -> Life:
    """The parent; of an engine or its daemon, the guard."""
    with open(f"/proc/{process.pid}/stat") as file:
        return Life(int(file.read().rpartition(")")[2].split()[1]))


def guard_of(started: Started) -> Life:
    """The guard that owns this engine."""
    assert started.running.pid is not None
    return parent_of(Life(started.running.pid))
