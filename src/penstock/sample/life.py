"""Whether a process that says nothing works or stands still: by the processor time that its first thread gets."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from penstock.sample.processes import PROC

AT_WORK = 0.01
"""Of the time between two looks. A thread that only looks now and then whether a server has answered takes far less."""
_PRESSED_FOR_TIME = b"RD"
"""As Linux has it: it runs or waits for a processor, or for a disk, which no restart would make any faster."""


@dataclass(frozen=True, slots=True)
class Life:
    """What was seen of it. is_pressed: at that moment it ran, or would have if it could."""

    cpu_s: float
    is_pressed: bool


def life_of(pid: int, proc: Path = PROC) -> Life | None:
    """None = it is gone, or nobody tells us."""
    return _on_linux(pid, proc) if sys.platform == "linux" else _elsewhere(pid)


def works(before: Life | None, now: Life | None, span_s: float) -> bool:
    """Has it worked between two looks, so many seconds apart? Not if nobody can tell."""
    if before is None or now is None:
        return False
    return now.is_pressed or now.cpu_s - before.cpu_s >= AT_WORK * span_s


def _on_linux(pid: int, proc: Path) -> Life | None:
    try:
        stat = (proc / str(pid) / "task" / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()  # from the third on: the second is a name, in which anything may be
    return Life((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), fields[0] in _PRESSED_FOR_TIME)


def _elsewhere(pid: int) -> Life | None:
    """Of all its threads: those of others are not told everywhere, nor whether they wait for a processor."""
    import psutil

    try:
        cpu = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return Life(cpu.user + cpu.system, is_pressed=False)
