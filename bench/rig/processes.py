"""Starts processes on a chosen core, and reads what they and their descendants cost, from /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

PROC = Path("/proc")
CORES = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
RIG_CORE, PROXY_CORE = (CORES[0], CORES[1]) if len(CORES) >= 2 else (None, None)
SPIN = "import os; os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\nwhile True: pass"


@contextmanager
def started(
    argv: Sequence[str], core: int | None, *, output: int | IO[bytes] = subprocess.DEVNULL, cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own group, alive for the length of the block; then the group is asked, then made to end."""
    with _on_core(core):
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=output, stderr=output if output != subprocess.PIPE else None,
            cwd=cwd, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=15)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


@contextmanager
def _on_core(core: int | None) -> Iterator[None]:
    """Children inherit the affinity of whoever starts them."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, before if core is None else {core})
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def cores_kept_awake() -> Iterator[None]:
    """Spin on every core at the lowest priority there is: waking an idle virtual core costs more than a proxy does."""
    spinners = []
    try:
        for core in CORES:
            with _on_core(core):
                spinners.append(subprocess.Popen([sys.executable, "-S", "-c", SPIN]))
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def tree(pid: int) -> list[int]:
    """A process and its living descendants, parents first."""
    children: list[int] = []
    for task in (PROC / str(pid) / "task").iterdir():
        children += map(int, (task / "children").read_text().split())
    return [pid, *(descendant for child in children for descendant in tree(child))]


def cpu_us_by_process(pid: int) -> dict[int, float]:
    """CPU time used so far, in microseconds, by process id."""
    return {member: _cpu_us(member) for member in tree(pid)}


def _cpu_us(pid: int) -> float:
    total_ns = 0
    for task in (PROC / str(pid) / "task").iterdir():
        with suppress(FileNotFoundError):
            total_ns += int((task / "schedstat").read_text().split()[0])
    return total_ns / 1000


def rss_bytes(pid: int) -> int:
    """Resident memory of one process; pages shared with others count fully."""
    pages = int((PROC / str(pid) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_mb_by_role(pid: int) -> dict[str, float]:
    """The most that each process of a tree ever had resident."""
    status = {role(member): (PROC / str(member) / "status").read_text() for member in tree(pid)}
    return {name: int(text.partition("VmHWM:")[2].split()[0]) / 1e3 for name, text in status.items()}


def role(pid: int) -> str:
    """What a process of a tree is, in a word, from its command line."""
    words = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    for known in ("bookkeeper", "guard", "resource_tracker", "nginx"):
        if known in words:
            return known
    return "gateway" if "penstock serve" in words else (words.split() or ["?"])[0].rpartition("/")[2]


def wait_until_calm(pid: int, limit_s: float = 4.0) -> None:
    """Return when the tree uses less than 2 % of a core: work put off by one round must not burden the next."""
    deadline = time.monotonic() + limit_s
    before = sum(cpu_us_by_process(pid).values())
    while time.monotonic() < deadline:
        time.sleep(0.2)
        after = sum(cpu_us_by_process(pid).values())
        if after - before < 4000:
            return
        before = after
