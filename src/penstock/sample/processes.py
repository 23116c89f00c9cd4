"""What processes take: of Linux from /proc, of others through psutil. One that ended meanwhile takes nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.sample.apple import footprint_and_read_bytes

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Taken:
    """By one process. own: nobody else's, be it in memory or swapped out; shared: with processes; mapped: of files.

    read_bytes None = not ours to know.
    """

    cpu_s: float
    resident_bytes: int
    own_bytes: int
    shared_bytes: int
    mapped_bytes: int
    read_bytes: int | None


class LinuxProcesses:
    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._tells_children = (proc / str(os.getpid()) / "task" / str(os.getpid()) / "children").exists()
        self._ticks_per_s = os.sysconf("SC_CLK_TCK")

    def trees(self, roots: Iterable[int]) -> dict[int, tuple[int, ...]]:
        """Each of these processes, and all that descend from it."""
        roots = list(roots)
        if not roots:
            return {}
        children = {} if self._tells_children else self._children()
        return {root: tuple(self._tree(root, children)) for root in roots}

    def _tree(self, root: int, children: dict[int, list[int]]) -> list[int]:
        found, todo = [], [root]
        while todo:
            pid = todo.pop()
            found.append(pid)
            todo += self._told_children(pid) if self._tells_children else children.get(pid, ())
        return found

    def _told_children(self, pid: int) -> list[int]:
        """A process has the children of all its threads. Some kernels tell them without our looking at everybody."""
        folder = self._proc / str(pid) / "task"
        found: list[int] = []
        try:
            for thread in os.listdir(folder):
                found += map(int, (folder / thread / "children").read_text().split())
        except OSError:
            pass
        return found

    def _children(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for name in filter(str.isdigit, os.listdir(self._proc)):
            if (stat := self._stat(int(name))) is not None:
                found.setdefault(int(stat[1]), []).append(int(name))
        return found

    def _stat(self, pid: int) -> list[bytes] | None:
        """Its fields from the third on: the second is a name, in which anything may be."""
        try:
            stat = (self._proc / str(pid) / "stat").read_bytes()
        except OSError:
            return None
        return stat[stat.rindex(b")") + 2 :].split()

    def taken(self, pid: int) -> Taken | None:
        """None = it is gone."""
        stat = self._stat(pid)
        try:
            status = _fields(self._proc / str(pid) / "status")
        except OSError:
            return None
        if stat is None or "RssAnon" not in status:  # a zombie has none
            return None
        anonymous, mapped, shared = (status[name] for name in ("RssAnon", "RssFile", "RssShmem"))
        cpu_s = (int(stat[11]) + int(stat[12])) / self._ticks_per_s
        own = anonymous + status.get("VmSwap", 0)
        return Taken(cpu_s, anonymous + mapped + shared, own, shared, mapped, self._read_bytes(pid))

    def _read_bytes(self, pid: int) -> int | None:
        try:
            return _fields(self._proc / str(pid) / "io").get("read_bytes")
        except OSError:
            return None


class OtherProcesses:
    """Of other systems; a Mac tells by `phys_footprint` what its processes take."""

    def trees(self, roots: Iterable[int]) -> dict[int, tuple[int, ...]]:
        import psutil

        found = {}
        for root in roots:
            try:
                descendants = psutil.Process(root).children(recursive=True)
            except psutil.Error:
                descendants = []
            found[root] = (root, *(process.pid for process in descendants))
        return found

    def taken(self, pid: int) -> Taken | None:
        """None = it is gone, or not ours to look at."""
        import psutil

        try:
            process = psutil.Process(pid)
            with process.oneshot():
                cpu, resident_bytes = process.cpu_times(), process.memory_info().rss
        except psutil.Error:
            return None
        told = footprint_and_read_bytes(pid)
        own_bytes, read_bytes = (resident_bytes, None) if told is None else told
        return Taken(cpu.user + cpu.system, resident_bytes, own_bytes, 0, 0, read_bytes)


def processes() -> LinuxProcesses | OtherProcesses:
    """Those of this machine."""
    return LinuxProcesses() if sys.platform == "linux" else OtherProcesses()


def listens(pids: Sequence[int], port: int) -> bool:
    """Does one of these processes listen on a port? If none does, whoever answers there is somebody else's child.

    A container's server is one: of that, the processes that we know of are only the client.
    """
    import psutil

    for pid in pids:
        try:
            connections = psutil.Process(pid).net_connections("tcp")
        except psutil.Error:
            continue
        if any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in connections):
            return True
    return False


def _fields(path: Path) -> dict[str, int]:
    """Lines such as `VmSwap:  12 kB` and `read_bytes: 5`; those that are no numbers are left out."""
    found = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if words and words[0].isdigit():
            found[name] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
    return found
