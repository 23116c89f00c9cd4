"""Captures: what calls said and were answered, collected as it passes, kept for a while in bounded memory.

A call is collected on the loop, by references to the bytes that pass. Ten times a second those that have ended go to
one thread, which masks and compresses them; when more end than it may take, the first are kept, and beside them the
first that failed.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from penstock.core.accounting.outcomes import COMPLETED
from penstock.core.accounting.record import CallRecord
from penstock.core.calls.capture import OFF, CaptureLevel, KeptCapture, Room, Summary
from penstock.core.calls.conversation import Conversation
from penstock.core.calls.message import Head
from penstock.protocols.endpoints import Endpoint
from penstock.runtime.captures.collecting import CALL_BYTES, Capture
from penstock.runtime.captures.keeping import Keeper, packed, unpacked
from penstock.runtime.captures.shelf import Entry, Shelf

log = logging.getLogger("penstock.captures")

P = ParamSpec("P")
T = TypeVar("T")

KEEP_EVERY_S = 0.1
MOST_AT_ONCE = 16
"""So many of the calls that ended since the thread had its last are kept: the cost does not grow with the load."""
REST_AFTER_S = 30.0
"""With nothing to keep for so long, the compressor gives its memory back."""
WORK_S = 0.0005
PAUSES = 30
"""After so long at a stretch the thread pauses so many times as long, unless somebody waits for it: it shares the
interpreter with the loop, and whatever it takes of that is felt by every call."""


@dataclass(frozen=True, slots=True)
class Page:
    """Captures, newest first. next: where the following page begins; None = this is the last."""

    captures: list[Summary]
    next: int | None


class Captures:
    """All captures of a gateway. Of the loop's thread, but for what stands under "The thread"."""

    def __init__(
        self, keeper: Keeper, *, buffer_bytes: int, level: CaptureLevel, model_levels: Iterable[CaptureLevel] = ()
    ) -> None:
        """Must be called on the running loop. buffer_bytes: 0 = nothing is kept. level: while a model is not known."""
        wanted = {level, *model_levels} - {OFF}
        self.is_on = buffer_bytes > 0 and bool(wanted)
        self.level = level
        self.room = Room(2 * buffer_bytes)
        self.missed = 0
        """Calls that found no room, or ended at once with too many others, and are not kept."""
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._shelf = Shelf(buffer_bytes)
        self._open: dict[str, Capture] = {}
        self._failed: dict[str, Capture] = {}
        self._succeeded: dict[str, Capture] = {}
        self._keeping: dict[str, Capture] = {}  # the thread has them
        self._timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(1, "captures")  # begins with the first task it gets
        self._hurry = threading.Event()  # somebody waits for what the thread is to say

    # What the relay tells.

    def begin(self, record: CallRecord, endpoint: Endpoint, level: CaptureLevel | None, head: Head) -> Capture | None:
        """A call is opened. `level` None = its model is not known yet. None = nothing of it is kept."""
        if not self.is_on or level is OFF:
            return None
        room = self.room
        if room.most_bytes - room.held_bytes < CALL_BYTES:
            self.missed += 1
            return None
        room.held_bytes += CALL_BYTES
        capture = self._open[record.id] = Capture(self, record, endpoint, level, head)
        return capture

    def drop(self, capture: Capture) -> None:
        """Keep nothing of it. Idempotent."""
        if self._open.pop(capture.record.id, None) is not None:
            capture.give_back()

    def ended(self, capture: Capture) -> None:
        """Its record is closed. Idempotent."""
        record = capture.record
        if self._open.pop(record.id, None) is None:
            return
        waiting = self._succeeded if record.outcome == COMPLETED else self._failed
        is_wanted = capture.level is not OFF
        if len(waiting) >= MOST_AT_ONCE or not is_wanted:
            self.missed += is_wanted
            capture.give_back()
            return
        capture.settle()
        waiting[record.id] = capture
        if self._timer is None:
            self._timer = self._loop.call_later(KEEP_EVERY_S, self._tick)

    # What the operator asks.

    def has(self, call_id: str) -> bool:
        """Whether something is kept of a call, which may still run."""
        return (
            call_id in self._shelf.ids
            or call_id in self._open
            or call_id in self._succeeded
            or call_id in self._failed
            or call_id in self._keeping
        )

    async def page(self, *, before: int | None, limit: int) -> Page:
        """Captures of calls that have ended, newest first; `before`: an earlier page's `next`."""
        self._hand_over()
        found = await self._in_thread(self._entries, before, limit + 1)
        following = found[limit - 1].place if len(found) > limit else None
        return Page([entry.summary for entry in found[:limit]], following)

    async def one(self, call_id: str) -> KeptCapture | None:
        """What is kept of a call; of one that still runs, what there is by now."""
        waiting = self._open.get(call_id) or self._succeeded.get(call_id) or self._failed.get(call_id)
        if waiting is not None:
            return await self._in_thread(self._keeper.kept, waiting.raw())
        return await self._in_thread(self._read, call_id)

    async def retold(self, capture: KeptCapture) -> Conversation | None:
        """A capture put together for reading; None = it is no conversation."""
        return await self._in_thread(self._keeper.retold, capture)

    async def clear(self) -> None:
        """Throw away what is kept of calls that have ended."""
        for waiting in (self._failed, self._succeeded):
            for capture in waiting.values():
                capture.give_back()
            waiting.clear()
        await self._in_thread(self._shelf.clear)

    def close(self) -> None:
        """Nothing is kept any more."""
        self.is_on = False
        for timer in (self._timer, self._rest_timer):
            if timer is not None:
                timer.cancel()
        self._hurry.set()
        self._thread.shutdown(wait=False, cancel_futures=True)

    # From the loop to the thread.

    def _tick(self) -> None:
        self._timer = None
        if self._keeping:  # the thread is behind
            self._timer = self._loop.call_later(KEEP_EVERY_S, self._tick)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        batch = {**self._failed, **self._succeeded}
        if not batch or not self.is_on:
            return
        self._failed.clear()
        self._succeeded.clear()
        self._keeping |= batch
        kept = self._loop.run_in_executor(self._thread, self._keep, batch)
        kept.add_done_callback(lambda done: self._kept(batch, done))
        if self._rest_timer is not None:
            self._rest_timer.cancel()
        self._rest_timer = self._loop.call_later(REST_AFTER_S, self._rest)

    def _kept(self, batch: dict[str, Capture], done: asyncio.Future[None]) -> None:
        for call_id, capture in batch.items():
            self._keeping.pop(call_id, None)
            capture.give_back()
        if not done.cancelled() and (error := done.exception()) is not None:
            self.missed += len(batch)
            log.error("captures_lost count=%d", len(batch), exc_info=error)

    def _rest(self) -> None:
        self._rest_timer = None
        self._loop.run_in_executor(self._thread, self._shelf.rest)

    async def _in_thread(self, task: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        def asked() -> T:
            self._hurry.clear()
            return task(*args, **kwargs)

        self._hurry.set()
        return await self._loop.run_in_executor(self._thread, asked)

    # The thread: one task after the other, so what is asked for is seen after what was handed over before.

    def _keep(self, batch: dict[str, Capture]) -> None:
        began_s = time.perf_counter()
        for capture in sorted(batch.values(), key=_ended_at):  # which nothing changes any more
            kept = self._keeper.kept(capture.raw())
            self._shelf.put(kept.summary, packed(kept))
            worked_s = time.perf_counter() - began_s
            if worked_s > WORK_S:
                self._hurry.wait(PAUSES * worked_s)
                began_s = time.perf_counter()

    def _entries(self, before: int | None, limit: int) -> list[Entry]:
        return self._shelf.entries(before=before, limit=limit)

    def _read(self, call_id: str) -> KeptCapture | None:
        content = self._shelf.read(call_id)
        return None if content is None else unpacked(content)


def _ended_at(capture: Capture) -> float:
    return capture.record.received_at + (capture.record.done_s or 0.0)
