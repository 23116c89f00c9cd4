"""The GPU of a Mac, which shares the host's memory: as `macmon pipe` tells of it where that is installed, else `ioreg`.

macmon knows power, clock and temperature without being root (github.com/vladkens/macmon). Both are programs: each is
given a little time, and what does not answer by then is a gap.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable, Collection, Sequence

import msgspec

from penstock.core.accounting.host_sample import DeviceSample
from penstock.sample.base import GpuReading

WITHIN_S = 4.0
MACMON = ("macmon", "pipe", "-s", "1", "-i", "500")
IOREG = ("/usr/sbin/ioreg", "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator")

Run = Callable[[Sequence[str]], bytes | None]
"""What a program printed; None = it is not there, failed, or took too long."""

_USE = re.compile(rb'"Device Utilization %"=(\d+)')
_IN_USE = re.compile(rb'"In use system memory"=(\d+)')


class _Temperatures(msgspec.Struct):
    gpu_temp_avg: float | None = None


class _Macmon(msgspec.Struct):
    """gpu_usage: clock in MHz, and use as a share of 1."""

    gpu_usage: tuple[float, float] | None = None
    gpu_power: float | None = None
    temp: _Temperatures | None = None


_decode = msgspec.json.Decoder(_Macmon).decode


def run(argv: Sequence[str]) -> bytes | None:
    """A Run on this machine."""
    program = shutil.which(argv[0])
    if program is None:
        return None
    try:
        return subprocess.run([program, *argv[1:]], capture_output=True, timeout=WITHIN_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None


class Apple:
    """A Sampler of the one GPU, `gpu0`. What each process uses of it, nobody says without being root."""

    def __init__(self, run: Run = run) -> None:
        self._run = run

    def read(self, pids: Collection[int]) -> list[GpuReading]:
        registry = self._run(IOREG) or b""
        told = from_macmon(self._run(MACMON) or b"")
        use, memory = _USE.search(registry), _IN_USE.search(registry)
        if told is None and use is None:
            return []
        clock_mhz, share = told.gpu_usage if told is not None and told.gpu_usage is not None else (None, None)
        if share is None and use is not None:
            share = int(use[1]) / 100
        sample = DeviceSample(
            name="gpu0",
            use_pct=None if share is None else 100 * share,
            memory_used_bytes=None if memory is None else int(memory[1]),
            power_w=None if told is None else told.gpu_power,
            temperature_c=None if told is None or told.temp is None else told.temp.gpu_temp_avg,
            clock_mhz=clock_mhz,
        )
        return [GpuReading(sample, memory_by_pid={})]


def from_macmon(output: bytes) -> _Macmon | None:
    """The last whole line of what it printed; None = there is none that can be read."""
    for line in reversed(output.splitlines()):
        try:
            return _decode(line)
        except msgspec.DecodeError:
            continue
    return None


class _Usage(ctypes.Structure):
    """rusage_info_v2 of <sys/resource.h>."""

    _fields_ = (
        ("uuid", ctypes.c_uint8 * 16),
        ("user_time", ctypes.c_uint64),
        ("system_time", ctypes.c_uint64),
        ("pkg_idle_wkups", ctypes.c_uint64),
        ("interrupt_wkups", ctypes.c_uint64),
        ("pageins", ctypes.c_uint64),
        ("wired_size", ctypes.c_uint64),
        ("resident_size", ctypes.c_uint64),
        ("phys_footprint", ctypes.c_uint64),
        ("proc_start_abstime", ctypes.c_uint64),
        ("proc_exit_abstime", ctypes.c_uint64),
        ("child_user_time", ctypes.c_uint64),
        ("child_system_time", ctypes.c_uint64),
        ("child_pkg_idle_wkups", ctypes.c_uint64),
        ("child_interrupt_wkups", ctypes.c_uint64),
        ("child_pageins", ctypes.c_uint64),
        ("child_elapsed_abstime", ctypes.c_uint64),
        ("diskio_bytesread", ctypes.c_uint64),
        ("diskio_byteswritten", ctypes.c_uint64),
    )


def footprint_and_read_bytes(pid: int) -> tuple[int, int] | None:
    """What a process takes of memory, GPU memory included, and what it has read from disk; None = not told.

    The resident set misses what is wired for the GPU: of a model that runs there it shows less than half.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "proc_pid_rusage"):
        return None
    usage = _Usage()
    if library.proc_pid_rusage(ctypes.c_int(pid), ctypes.c_int(2), ctypes.byref(usage)) != 0:
        return None
    return int(usage.phys_footprint), int(usage.diskio_bytesread)
