"""Where the bodies of requests are kept until they are sent on: in memory while they are few and small, else on disk.

A body on disk is a file without a name, mapped into memory: it costs pages that the kernel may take back at any time,
and is gone with its last view. Nothing of it is ever copied whole.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path

from penstock.core.calls.message import Body
from penstock.errors import BodyNotKept, TooLarge

LARGE_BYTES = 256 * 1024
"""A body of more takes long enough to read that others should not have to wait for it."""


class BodyStore:
    """The bodies of all connections of a gateway, and how much memory they take."""

    def __init__(self, folder: Path, *, above_bytes: int, memory_bytes: int) -> None:
        """Bodies above `above_bytes` go to disk, and all that would take more than `memory_bytes` together."""
        self.held_bytes = 0  # in memory now
        self._folder = folder
        self._above_bytes = above_bytes
        self._memory_bytes = memory_bytes

    def add(
        self, body: bytes | bytearray | SpooledBody, data: bytes, most_bytes: int
    ) -> bytes | bytearray | SpooledBody:
        """The body with more of it. Raises TooLarge, and BodyNotKept when the disk does not take it."""
        size, held_bytes = len(body) + len(data), self.held_bytes + len(data)
        if size > most_bytes:
            raise TooLarge(limit_bytes=most_bytes)
        if size > self._above_bytes or held_bytes > self._memory_bytes or isinstance(body, SpooledBody):
            return self._add_on_disk(body, data)
        self.held_bytes = held_bytes
        if not body:
            return data
        if isinstance(body, bytes):
            body = bytearray(body)
        body += data
        return body

    def _add_on_disk(self, body: bytes | bytearray | SpooledBody, data: bytes) -> SpooledBody:
        try:
            if isinstance(body, SpooledBody):
                body.write(data)
                return body
            spooled = SpooledBody(self._folder)
            spooled.write(body)
            spooled.write(data)
        except OSError as exc:
            raise BodyNotKept(reason=exc.strerror) from exc
        self.held_bytes -= len(body)
        return spooled

    def release(self, body: bytes | bytearray | SpooledBody) -> None:
        """The body is no longer needed. What is on disk goes with its last view."""
        if isinstance(body, SpooledBody):
            body.close()
        else:
            self.held_bytes -= len(body)


class SpooledBody:
    """A body in a file: written as it comes, then viewed."""

    __slots__ = ("_file", "_size")

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            self._file = os.dup(file.fileno())
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def write(self, data: bytes | bytearray) -> None:
        """Raises OSError when the disk is full."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self._size += len(data)

    def view(self) -> memoryview:
        """The whole body. The file is closed; the view keeps what it needs of it."""
        mapped = mmap.mmap(self._file, self._size, prot=mmap.PROT_READ)
        self.close()
        return memoryview(mapped)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def whole(body: bytes | bytearray | SpooledBody) -> Body:
    """What a request's handler gets to see: a view of what is large, wherever it is kept."""
    if isinstance(body, SpooledBody):
        return body.view()
    return memoryview(body) if len(body) > LARGE_BYTES else body
