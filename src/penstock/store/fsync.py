"""A thread that carries what a journal wrote on to the disk itself, so that a loss of power costs little."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path


def fsync(path: Path) -> None:
    """Return when the disk itself has what was written to a file or a folder; one that is gone needs nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return  # carried over and deleted meanwhile: the store has it
    try:
        os.fsync(fd)
    except OSError:
        pass  # the journal's own next write tells of a broken disk
    finally:
        os.close(fd)


class Syncer:
    """Calls fsync for the files it was told of, once per period, away from the event loop.

    It opens them by name: a descriptor of the journal could be closed under its hands.
    """

    def __init__(self, period_s: float, sync: Callable[[Path], None] = fsync) -> None:
        self._period_s = period_s
        self._fsync = sync
        self._written: deque[Path] = deque()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-fsync", daemon=True)
        self._thread.start()

    def wrote(self, path: Path) -> None:
        """`path` holds bytes that the disk may not have yet."""
        self._written.append(path)

    def close(self) -> None:
        """Sync what is left and end."""
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(self._period_s):
            self._sync()
        self._sync()

    def _sync(self) -> None:
        for path in sorted({self._written.popleft() for _ in range(len(self._written))}):
            for entry in (path, path.parent):  # the folder too: a new file's name is not in it before that
                self._fsync(entry)
