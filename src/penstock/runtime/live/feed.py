"""The live state as a stream: a snapshot, then what changed, with ids to resume by.

Nothing is computed while nobody watches. While somebody does, the state is gathered at most
ten times a second, compared with what was told last, and only differences are sent; a reader
too slow for its buffer gets a fresh snapshot instead of a gap.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from penstock.runtime.live.live import Live
from penstock.runtime.live.views import State

PUBLISH_EVERY_S = 0.1
HEARTBEAT_S = 10.0
REMEMBERED = 200
BUFFERED = 100

_encode = msgspec.json.Encoder().encode


@dataclass(eq=False)
class _Reader:
    frames: deque[bytes] = field(default_factory=deque)
    is_behind: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def give(self, frame: bytes) -> None:
        if len(self.frames) >= BUFFERED:
            self.frames.clear()
            self.is_behind = True
        self.frames.append(frame)
        self.wake.set()


class Feed:
    """Publishes to any number of readers."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._readers: set[_Reader] = set()
        self._seq = 0
        self._told: State | None = None
        self._told_closed = 0
        self._frames: deque[tuple[int, bytes]] = deque(maxlen=REMEMBERED)
        self._timer: asyncio.TimerHandle | None = None
        self._boot = live.gateway().boot_id[:8]

    def changed(self) -> None:
        """Something happened. Cheap when nobody watches."""
        if self._readers and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PUBLISH_EVERY_S, self._publish)

    async def read(self, last_event_id: str | None) -> AsyncIterator[bytes]:
        """Frames of server-sent events, without end."""
        reader = _Reader()
        self._readers.add(reader)
        try:
            for frame in self._first_frames(last_event_id):
                yield frame
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        await reader.wake.wait()
                except TimeoutError:
                    yield b": heartbeat\n\n"
                    continue
                reader.wake.clear()
                if reader.is_behind:
                    reader.is_behind = False
                    reader.frames.clear()
                    yield self._snapshot()
                while reader.frames:
                    yield reader.frames.popleft()
        finally:
            self._readers.discard(reader)
            if not self._readers:
                self._told = None  # nobody is told of changes now: whoever comes next needs a snapshot
                self._frames.clear()

    def _first_frames(self, last_event_id: str | None) -> list[bytes]:
        boot, _, number = (last_event_id or "").partition(".")
        if boot == self._boot and number.isdecimal() and self._frames:
            missed = [frame for seq, frame in self._frames if seq > int(number)]
            if self._frames[0][0] <= int(number) + 1:
                return missed
        return [self._snapshot()]

    def _snapshot(self) -> bytes:
        """The state as all readers know it; the first reader makes it the thing that changes are told against."""
        if self._told is None:
            self._seq += 1
            self._told = self._live.state(self._seq)
            self._told_closed = self._live.closed_count()
        return self._frame(self._seq, b"snapshot", _encode(self._told))

    def _publish(self) -> None:
        self._timer = None
        if not self._readers or self._told is None:
            return
        now, before = self._live.state(self._seq + 1), self._told
        delta = _difference(before, now, new_records=self._live.closed_count() - self._told_closed)
        self._told_closed = self._live.closed_count()
        if not delta:
            return
        self._seq += 1
        self._told = now
        frame = self._frame(self._seq, b"delta", _encode({"seq": self._seq, "now": now.now, **delta}))
        self._frames.append((self._seq, frame))
        for reader in self._readers:
            reader.give(frame)

    def _frame(self, seq: int, event: bytes, text: bytes) -> bytes:
        return b"id: %b.%d\nevent: %b\ndata: %b\n\n" % (self._boot.encode("ascii"), seq, event, text)


def _difference(before: State, now: State, *, new_records: int) -> dict[str, Any]:
    """What to say to somebody who knows `before`; empty = nothing."""
    delta: dict[str, Any] = {}
    if now.gateway != before.gateway:
        delta["gateway"] = now.gateway
    for name in ("models", "calls"):
        old, new = getattr(before, name), getattr(now, name)
        changed = {key: view for key, view in new.items() if old.get(key) != view}
        changed |= {key: None for key in old if key not in new}
        if changed:
            delta[name] = changed
    if now.host is not before.host:
        delta["host"] = now.host
    if now.counts != before.counts:
        delta["counts"] = now.counts
    if new_records > 0:
        delta["recent"] = now.recent[:new_records]
    return delta
