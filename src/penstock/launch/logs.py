"""What an engine printed last: a bounded ring of bytes that any number of readers may follow at their own pace.

The ring is the only queue there is. A reader is a position in it, so that a slow one costs nothing and holds up
nobody: it loses what has left the ring meanwhile, and is told how much that was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

RING_BYTES = 256 * 1024
PIECE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the log, as it was printed. lost_bytes: what is missing before it because the reader came too late."""

    text: bytes
    lost_bytes: int = 0


class LogRing:
    """The last bytes of one engine's output, across its restarts."""

    def __init__(self, limit_bytes: int = RING_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._kept = bytearray()
        self._end = 0
        """How many bytes were ever appended: the position after the last of `_kept`."""
        self._began = 0
        """The position at which the latest start of the engine begins."""
        self._waiting: set[asyncio.Future[None]] = set()
        self._is_closed = False

    def __len__(self) -> int:
        """Bytes held in memory: up to twice the limit, so that seldom anything has to be moved."""
        return len(self._kept)

    def append(self, text: bytes) -> None:
        """Take what was printed; never waits, never fails."""
        self._kept += text
        self._end += len(text)
        if len(self._kept) > 2 * self._limit_bytes:
            del self._kept[: -self._limit_bytes]
        self._wake()

    def begin(self) -> None:
        """The engine is started, perhaps not for the first time."""
        self._began = self._end

    def close(self) -> None:
        """Nothing more will come: readers end after what is there."""
        self._is_closed = True
        self._wake()

    def tail(self, max_bytes: int = RING_BYTES) -> str:
        """The last lines, no more than `max_bytes` of them; of a longer single line its end."""
        max_bytes = min(max_bytes, self._limit_bytes)
        text = bytes(self._kept[max(0, len(self._kept) - max_bytes) :])
        if self._end > len(text):  # perhaps cut within a line
            before = len(self._kept) - len(text) - 1
            starts_a_line = before >= 0 and self._kept[before] == ord("\n")
            text = text if starts_a_line else text.partition(b"\n")[2] or text
        return text.decode(errors="replace")

    def latest(self, max_bytes: int = RING_BYTES) -> str:
        """The same of the latest start alone: what failed three times is not told three times."""
        own_bytes = self._end - self._began
        if own_bytes > min(max_bytes, self._limit_bytes):
            return self.tail(max_bytes)
        return bytes(self._kept[len(self._kept) - own_bytes :]).decode(errors="replace")

    def subscribe(self, *, from_start: bool) -> AsyncIterator[Piece]:
        """Follow the log until it is closed, from the oldest byte kept or from this moment on."""
        return self._follow(self._start if from_start else self._end)

    async def _follow(self, position: int) -> AsyncIterator[Piece]:
        while True:
            while position == self._end:
                if self._is_closed:
                    return
                await self._more()
            lost_bytes = max(0, self._start - position)
            begin = position + lost_bytes - (self._end - len(self._kept))
            text = bytes(self._kept[begin : begin + PIECE_BYTES])
            position += lost_bytes + len(text)
            yield Piece(text, lost_bytes)

    @property
    def _start(self) -> int:
        """The position of the oldest byte that still counts."""
        return self._end - min(len(self._kept), self._limit_bytes)

    async def _more(self) -> None:
        more = asyncio.get_running_loop().create_future()
        self._waiting.add(more)
        try:
            await more
        finally:
            self._waiting.discard(more)

    def _wake(self) -> None:
        for more in self._waiting:
            if not more.done():
                more.set_result(None)
