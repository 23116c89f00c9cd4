"""Finished captures, compressed, the oldest thrown away when there are too many bytes of them.

Captures that follow one another are one zstd frame (a block), so that what a call repeats of those before it, as every
turn of a conversation does, takes next to nothing. A block is read from its beginning, and thrown away whole. Only one
thread may use a shelf; `ids` may be looked at from another.
"""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass, field
from itertools import islice

from penstock.core.calls.capture import Summary

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ENTRY_BYTES = 1024
"""What a capture is reckoned to take beside its compressed bytes: its summary and its place."""
BLOCK_BYTES = 8 * 1024 * 1024
"""Most that has to be read to get at one capture, before compression."""
BLOCKS = 8
"""A block takes no more than this part of the shelf, so that what is thrown away at once is little."""
STEP_BYTES = 256 * 1024

_OPTIONS: dict[int, int] = {
    zstd.CompressionParameter.compression_level: 3,
    zstd.CompressionParameter.window_log: 22,
    zstd.CompressionParameter.enable_long_distance_matching: 1,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One capture. `place` counts all that were ever put up."""

    place: int
    summary: Summary
    offset: int
    length: int


@dataclass(slots=True, eq=False)
class Block:
    """Some captures in one frame, which may be still open."""

    pieces: list[bytes] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    compressed_bytes: int = 0
    plain_bytes: int = 0

    @property
    def held_bytes(self) -> int:
        return self.compressed_bytes + ENTRY_BYTES * len(self.entries)


class Shelf:
    """At most `most_bytes` of captures."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.held_bytes = 0
        self.ids: set[str] = set()
        self._blocks: deque[Block] = deque()  # the newest last
        self._compressor: zstd.ZstdCompressor | None = None  # of the newest block, while it is open
        self._placed = 0

    def __len__(self) -> int:
        return len(self.ids)

    def put(self, summary: Summary, content: bytes) -> bool:
        """Keep a capture, at the cost of the oldest. False = it is larger than the shelf."""
        block, compressor = self._open(len(content))
        piece = compressor.compress(content, zstd.ZstdCompressor.FLUSH_BLOCK)
        self._evict(len(piece) + ENTRY_BYTES)
        if block is not self._newest():  # thrown away too, and with it what the piece leans on
            return self._put_alone(summary, content)
        if len(piece) + ENTRY_BYTES > self.most_bytes:
            self.rest()
            return False
        self._add(block, piece, summary, content)
        return True

    def read(self, capture_id: str) -> bytes | None:
        """The content of a capture; None = it is not here (any more)."""
        for block in reversed(self._blocks):
            for entry in block.entries:
                if entry.summary.id == capture_id:
                    return _read(block, entry)
        return None

    def entries(self, *, before: int | None, limit: int) -> list[Entry]:
        """The newest first, of those that were put up before the one with the place `before`."""
        newest_first = (entry for block in reversed(self._blocks) for entry in reversed(block.entries))
        return list(islice((entry for entry in newest_first if before is None or entry.place < before), limit))

    def rest(self) -> None:
        """Give back the compressor's memory: the next capture begins a block of its own."""
        self._compressor = None
        block = self._newest()
        if block is not None and not block.entries:
            self._blocks.pop()

    def clear(self) -> None:
        """Throw everything away."""
        self._compressor = None
        self._blocks.clear()
        self.ids.clear()
        self.held_bytes = 0

    def _newest(self) -> Block | None:
        return self._blocks[-1] if self._blocks else None

    def _open(self, coming_bytes: int) -> tuple[Block, zstd.ZstdCompressor]:
        block = self._newest()
        is_full = (
            block is not None
            and bool(block.entries)
            and (block.plain_bytes + coming_bytes > BLOCK_BYTES or block.held_bytes > self.most_bytes // BLOCKS)
        )
        if block is None or is_full or self._compressor is None:
            self.rest()
            block = Block()
            self._blocks.append(block)
            self._compressor = zstd.ZstdCompressor(options=_OPTIONS)
        return block, self._compressor

    def _put_alone(self, summary: Summary, content: bytes) -> bool:
        """In a block that is complete at once: what was thrown away for it may be what it would have repeated."""
        piece = zstd.compress(content, options=_OPTIONS)
        needed = len(piece) + ENTRY_BYTES
        if needed > self.most_bytes:
            return False
        self._evict(needed)
        block = Block()
        self._blocks.append(block)
        self._add(block, piece, summary, content)
        return True

    def _add(self, block: Block, piece: bytes, summary: Summary, content: bytes) -> None:
        block.entries.append(Entry(self._placed, summary, block.plain_bytes, len(content)))
        if piece:
            block.pieces.append(piece)
        block.plain_bytes += len(content)
        block.compressed_bytes += len(piece)
        self._placed += 1
        self.held_bytes += len(piece) + ENTRY_BYTES
        self.ids.add(summary.id)

    def _evict(self, needed_bytes: int) -> None:
        """Throw away the oldest blocks until so much more fits, or none with captures is left."""
        while self._blocks and self._blocks[0].entries and self.held_bytes + needed_bytes > self.most_bytes:
            block = self._blocks.popleft()
            self.held_bytes -= block.held_bytes
            self.ids.difference_update(entry.summary.id for entry in block.entries)
            if not self._blocks:
                self._compressor = None


def _read(block: Block, entry: Entry) -> bytes:
    """Inflate a block up to the end of a capture, in steps: what comes before it need not be held."""
    decompressor = zstd.ZstdDecompressor()
    found: list[bytes] = []
    at, end = 0, entry.offset + entry.length
    pieces = iter(block.pieces)
    while at < end:
        given = next(pieces, b"") if decompressor.needs_input else b""
        plain = decompressor.decompress(given, max_length=min(STEP_BYTES, end - at))
        assert plain or given, "a block holds all that its entries tell of"
        at += len(plain)
        if at > entry.offset:
            found.append(plain[max(0, len(plain) - (at - entry.offset)) :])
    return b"".join(found)
