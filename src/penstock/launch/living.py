"""Which processes live on this machine, what hangs on what, and how to signal one without ever hitting another.

The guard imports this file and stays as long as the gateway: nothing of Penstock may be imported here, and little else.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable

MARK = "PENSTOCK_REPLICA"
"""The environment variable by which an engine's processes are known even after they have cut every other tie."""

_HAS_PROC = os.path.exists("/proc/self/stat")


class Living:
    """A living process. session: elsewhere than on Linux the process group. started: tells it from a later namesake."""

    __slots__ = ("parent", "pid", "session", "started")

    def __init__(self, pid: int, parent: int, session: int, started: int) -> None:
        self.pid = pid
        self.parent = parent
        self.session = session
        self.started = started


def living() -> list[Living]:
    """Every living process."""
    found = map(_read_stat, filter(str.isdigit, os.listdir("/proc"))) if _HAS_PROC else _read_ps()
    return [process for process in found if process is not None]


def _read_stat(pid: str) -> Living | None:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            stat = file.read(1024)
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    is_dead = fields[0] in b"XZ" and int(fields[17]) <= 1  # a process may live on without its first thread
    return None if is_dead else Living(int(pid), int(fields[1]), int(fields[3]), int(fields[19]))


def _read_ps() -> Iterable[Living]:
    with os.popen("ps -axo pid=,ppid=,pgid=,stat=") as table:  # noqa: S605 - a fixed command
        for line in table:
            pid, parent, group, state = line.split()
            if not state.startswith("Z"):
                yield Living(int(pid), int(parent), int(group), 0)


def with_descendants(roots: Iterable[Living], table: Iterable[Living]) -> list[Living]:
    """These processes and all that hang on them."""
    children: dict[int, list[Living]] = {}
    for process in table:
        children.setdefault(process.parent, []).append(process)
    found: dict[int, Living] = {}
    todo = list(roots)
    while todo:
        process = todo.pop()
        if process.pid not in found:
            found[process.pid] = process
            todo += children.get(process.pid, ())
    return list(found.values())


def mark_of(process: Living) -> str | None:
    """The mark in the environment that it began with; None = it has none, or may not be looked at, or no /proc."""
    try:
        with open(f"/proc/{process.pid}/environ", "rb") as file:
            environ = file.read()
    except OSError:
        return None
    prefix = f"{MARK}=".encode()
    return next((os.fsdecode(line[len(prefix) :]) for line in environ.split(b"\0") if line.startswith(prefix)), None)


def send(process: Living, number: int) -> bool:
    """Signal this process and no later one of the same number; False = it is not ours to signal."""
    handle = pidfd(process.pid)
    try:
        if _HAS_PROC:
            now = _read_stat(str(process.pid))
            if now is None or now.started != process.started:
                return True
        if sys.platform == "linux" and handle is not None:
            signal.pidfd_send_signal(handle, number)
        else:
            os.kill(process.pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        return False
    finally:
        if handle is not None:
            os.close(handle)
    return True


def pidfd(pid: int) -> int | None:
    """What keeps meaning this one process, whatever becomes of its number; readable when it ended.

    None = there is no such process, or this system has no such thing.
    """
    try:
        return os.pidfd_open(pid) if sys.platform == "linux" else None
    except OSError:
        return None


def send_group(pid: int, number: int) -> None:
    """Signal the process group that `pid` leads. Only for a child not yet waited for: its number is surely its own."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def kill(processes: Iterable[Living]) -> list[Living]:
    """Kill them; return those that had to be killed and may take a moment to go."""
    return [process for process in processes if send(process, signal.SIGKILL)]


def kill_marked(engines: dict[str, int | None]) -> None:
    """Kill all that is left of engines (mark: pid) whose guard died; return when it is gone. Blocks."""
    if not _HAS_PROC:
        for pid in filter(None, engines.values()):
            send_group(pid, signal.SIGKILL)
        return
    while True:
        table = living()
        if not kill(with_descendants([process for process in table if mark_of(process) in engines], table)):
            return
        time.sleep(0.005)
