"""What engines take, on processes that are made up and on real ones."""

from __future__ import annotations

import mmap
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from penstock.sample.base import EngineProcess
from penstock.sample.engines import Engines
from penstock.sample.processes import LinuxProcesses, OtherProcesses, Taken, listens, processes

MIB = 2**20
A = EngineProcess("a", "a", 1, 10, port=5001, is_ready=True)


class MadeUp:
    """Trees and what their processes take."""

    def __init__(self, trees: dict[int, tuple[int, ...]], taken: dict[int, Taken]) -> None:
        self._trees = trees
        self.by_pid = taken

    def trees(self, roots: Iterable[int]) -> dict[int, tuple[int, ...]]:
        return {root: self._trees.get(root, (root,)) for root in roots}

    def taken(self, pid: int) -> Taken | None:
        return self.by_pid.get(pid)


def taken(cpu_s: float = 0.0, *, own: int = 0, shared: int = 0, mapped: int = 0, read: int | None = None) -> Taken:
    return Taken(cpu_s, own + shared + mapped, own, shared, mapped, read)


def test_an_engine_is_its_process_and_all_that_descend_from_it() -> None:
    made_up = MadeUp({10: (10, 11)}, {10: taken(own=100, read=5), 11: taken(own=30, read=None)})
    [reading] = Engines(made_up, listens=lambda *_: True).read([A])
    assert reading.pids == (10, 11)
    assert (reading.own_bytes, reading.read_bytes) == (130, 5)


def test_what_several_processes_share_or_map_counts_once() -> None:
    each = taken(own=10, shared=200, mapped=1000)
    [reading] = Engines(MadeUp({10: (10, 11)}, {10: each, 11: each}), listens=lambda *_: True).read([A])
    assert (reading.own_bytes, reading.mapped_bytes, reading.taken_bytes) == (220, 1000, 1220)


def test_use_of_the_cpu_is_told_from_the_second_reading_on() -> None:
    now_s, made_up = 0.0, MadeUp({}, {10: taken(1.0)})
    engines = Engines(made_up, listens=lambda *_: True, clock=lambda: now_s)
    assert engines.read([A])[0].cpu_pct is None
    now_s, made_up.by_pid = 5.0, {10: taken(8.5)}
    assert engines.read([A])[0].cpu_pct == 150.0


def test_an_engine_that_is_gone_is_no_row() -> None:
    assert Engines(MadeUp({}, {})).read([A]) == ()


def test_an_engine_whose_server_is_somebody_elses_child_is_not_whole_and_is_asked_once() -> None:
    asked: list[int] = []

    def nobody_listens(_: object, port: int) -> bool:
        asked.append(port)
        return False

    engines = Engines(MadeUp({}, {10: taken(own=1)}), listens=nobody_listens)
    assert not engines.read([A])[0].is_whole
    assert not engines.read([A])[0].is_whole
    assert asked == [5001]


def test_an_engine_that_still_loads_is_not_whole() -> None:
    loading = EngineProcess("a", "a", 1, 10, port=5001)
    engines = Engines(MadeUp({}, {10: taken(own=1)}), listens=lambda *_: True)
    assert not engines.read([loading])[0].is_whole
    assert engines.read([A])[0].is_whole


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_its_own_and_mapped_files_are_told_apart(tmp_path: Path) -> None:
    """Of this process: what it takes more after each step."""
    path = tmp_path / "weights"
    path.write_bytes(b"x" * (32 * MIB))
    proc = LinuxProcesses()
    before = proc.taken(os.getpid())
    own = mmap.mmap(
        -1, 32 * MIB, flags=mmap.MAP_PRIVATE
    )  # of the kernel, not of memory that this process has left over
    own.write(b"x" * (32 * MIB))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert sum(mapped[:: mmap.PAGESIZE])
        after = proc.taken(os.getpid())
    assert before is not None
    assert after is not None
    assert abs(after.own_bytes - before.own_bytes - len(own)) < 4 * MIB
    assert abs(after.mapped_bytes - before.mapped_bytes - 32 * MIB) < 4 * MIB
    assert after.cpu_s >= before.cpu_s


def test_descendants_are_found_and_the_one_that_listens_among_them() -> None:
    """A shell whose child listens."""
    child = "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)"
    argv = [sys.executable, "-c", child + "; time.sleep(60)"]
    parent = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    process = subprocess.Popen([sys.executable, "-c", parent, *argv], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        [tree] = processes().trees([process.pid]).values()
        assert len(tree) == 2
        assert set(OtherProcesses().trees([process.pid])[process.pid]) == set(tree)
        assert listens(tree, port)
        assert not listens([process.pid], port)
        portable = OtherProcesses().taken(tree[1])
        assert portable is not None
        assert portable.resident_bytes > MIB
    finally:
        for pid in reversed(tree):
            os.kill(pid, 9)
        process.communicate()
    assert processes().taken(process.pid) is None


def test_nobody_listens_for_a_process_that_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mine:
        port = mine.getsockname()[1]
        assert listens([2**22 + 1, os.getpid()], port)
        assert not listens([2**22 + 1], port)
