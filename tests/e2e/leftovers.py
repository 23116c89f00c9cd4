"""Processes known by a mark in their environment, and their end. Linux, for /proc and pidfds."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

from penstock.launch.living import living


def marked(mark: str) -> list[int]:
    """The numbers of the living processes that were started with this mark, `NAME=VALUE`, by whomever."""
    return [each.pid for each in living() if mark.encode() in _environ_of(each.pid)]


def _environ_of(pid: int) -> list[bytes]:
    """What a process was started with; nothing if it is gone or somebody else's."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def ends_until(pid: int, end_s: float) -> bool:
    """Wait for the end of a process; False = it lives on."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ends = select.poll()
        ends.register(handle, select.POLLIN)
        return bool(ends.poll(1000 * max(0.0, end_s - time.monotonic())))
    finally:
        os.close(handle)
