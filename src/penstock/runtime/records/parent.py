"""The gateway as its bookkeeper sees it: two pipes, one of which says nothing but that it is still there."""

from __future__ import annotations

import fcntl
import os
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from penstock.store.status import StoreStatus

REPORT_EVERY_S = 1.0
LOOK_EVERY_S = 0.5
"""How often it is looked whether the other bookkeeper has gone."""


class Parent:
    """The gateway, at the other end of two pipes."""

    def __init__(self, stdin: int, stdout: int, status: StoreStatus) -> None:
        self.is_gone = False
        self._stdin = stdin
        self._stdout = stdout
        self._status = status
        self._report_at_s = 0.0

    def wait(self, wait_s: float) -> None:
        """Let that much time pass, reporting when it is due; return early when the gateway is gone."""
        end_s = time.monotonic() + wait_s
        while not self.is_gone:
            self._report_if_due()
            left_s = min(end_s, self._report_at_s) - time.monotonic()
            if select.select([self._stdin], [], [], max(0.0, left_s))[0]:
                self.is_gone = not os.read(self._stdin, 4096)
            if time.monotonic() >= end_s:
                return

    @contextmanager
    def kept_informed(self) -> Iterator[None]:
        """Report from a thread during work that may rightly take long: a migration of millions of rows."""
        is_over = threading.Event()

        def report() -> None:
            while not is_over.wait(REPORT_EVERY_S):
                self._report_if_due()

        thread = threading.Thread(target=report, name="report", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _report_if_due(self) -> None:
        now_s = time.monotonic()
        if now_s < self._report_at_s:
            return
        self._report_at_s = now_s + REPORT_EVERY_S
        if not select.select([], [self._stdout], [], 0)[1]:
            return  # the gateway does not read: what it misses is out of date anyway
        try:
            os.write(self._stdout, msgspec.json.encode(self._status) + b"\n")
        except BrokenPipeError:
            self.is_gone = True


def take_turn(state_dir: Path, parent: Parent, status: StoreStatus) -> bool:
    """Wait until no other bookkeeper writes for this folder; False = the gateway was gone first.

    The lock belongs to the process, and to nobody else once it is dead.
    """
    lock = os.open(state_dir / "bookkeeper.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while not parent.is_gone:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            status.store = "waiting for another bookkeeper"
            parent.wait(LOOK_EVERY_S)
        else:
            return True
    return False
