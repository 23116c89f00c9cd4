"""The gateway with a watch on its event loop: python -m bench.watched FILE serve …, everything else as `penstock`.

A timer of the loop is to fire each millisecond. When it is late, the clocks of the thread and of the process tell
why: the loop itself was at work, another thread had the interpreter, or the machine was busy with something else.
The longest of each since the file was last zeroed stand in it, as doubles.
"""

from __future__ import annotations

import asyncio
import mmap
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from penstock.cli.main import main

FIGURES = struct.Struct("ddd")
TICK_S = 0.001


@dataclass(frozen=True, slots=True)
class Longest:
    """Seconds for which the loop could do nothing else. own_s: of its own work. held_s: of its own and of other
    threads' work. late_s: with what the machine did meanwhile."""

    own_s: float
    held_s: float
    late_s: float


class Watch:
    """Set on a loop; writes to the file what it finds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, file: Path) -> None:
        self._loop = loop
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), FIGURES.size)
        self._last: tuple[float, float, float] | None = None
        loop.call_soon(self._tick)

    def _tick(self) -> None:
        now = time.perf_counter(), time.thread_time(), time.process_time()
        if self._last is not None:
            late_s, own_s, process_s = (each - last for each, last in zip(now, self._last, strict=True))
            late_s = max(0.0, late_s - TICK_S)
            own, held, late = FIGURES.unpack(self._shared[:])
            found = max(own, own_s), max(held, min(late_s, process_s)), max(late, late_s)
            self._shared[:] = FIGURES.pack(*found)
        self._last = now
        self._loop.call_later(TICK_S, self._tick)


@contextmanager
def watching(file: Path) -> Iterator[None]:
    """Zero the file for what the block does."""
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), FIGURES.size) as shared:
        shared[:] = bytes(FIGURES.size)
    yield


def longest(file: Path) -> Longest:
    return Longest(*FIGURES.unpack(file.read_bytes()))


if __name__ == "__main__":
    watched = Path(sys.argv.pop(1))

    def new_event_loop() -> asyncio.AbstractEventLoop:
        loop = uvloop.Loop()
        Watch(loop, watched)
        return loop

    uvloop.new_event_loop = new_event_loop  # type: ignore[assignment]
    main()
