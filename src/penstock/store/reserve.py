"""Disk space set aside while there is some, to be given up piece by piece when there is none."""

from __future__ import annotations

import os
from pathlib import Path

STEP_BYTES = 1 << 20


class Reserve:
    """One file that holds space and nothing else."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self.held_bytes = 0

    def fill(self) -> None:
        """Take as much of the promised space as the disk has; the rest stays missing."""
        if self.held_bytes >= self._size_bytes:
            return
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return
        try:
            self.held_bytes = _extend(fd, self._size_bytes)
        finally:
            os.close(fd)

    def give_up_some(self) -> bool:
        """Hand one step back to the disk; False = nothing is left.

        Stepwise, so that whoever else filled the disk cannot take all of it at once.
        """
        if not self.held_bytes:
            return False
        self.held_bytes = max(0, self.held_bytes - STEP_BYTES)
        try:
            os.truncate(self._path, self.held_bytes)
        except OSError:
            self.held_bytes = 0
        return True


def _extend(fd: int, size_bytes: int) -> int:
    """Allocate up to `size_bytes`; return how much the file holds."""
    held = os.fstat(fd).st_size
    if held > size_bytes:  # a smaller reserve is asked for than last time
        os.ftruncate(fd, size_bytes)
    while held < size_bytes:
        step = min(STEP_BYTES, size_bytes - held)
        try:
            _allocate(fd, held, step)
        except OSError:
            os.ftruncate(fd, held)
            break
        held += step
    return min(held, size_bytes)


def _allocate(fd: int, offset: int, length: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, offset, length)
        return
    written = os.pwrite(fd, bytes(length), offset)  # macOS has no posix_fallocate
    if written < length:
        raise OSError("the disk is full")
