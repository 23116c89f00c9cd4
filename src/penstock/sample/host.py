"""The host: how busy it is, and how much of its memory a program that starts now could have without swapping."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from penstock.sample.base import HostReading

MEMINFO = Path("/proc/meminfo")
VM_STAT = ["/usr/bin/vm_stat"]
VM_STAT_WITHIN_S = 2.0

_AVAILABLE = re.compile(r"^MemAvailable:\s+(\d+) kB$", re.MULTILINE)
_PAGE_SIZE = re.compile(r"page size of (\d+) bytes")
_COMPRESSED = re.compile(r"^Pages occupied by compressor:\s+(\d+)\.$", re.MULTILINE)
_FREE_PAGES = re.compile(r"^Pages (?:free|inactive|speculative|purgeable):\s+(\d+)\.$", re.MULTILINE)

IS_QUICK = sys.platform == "linux"
"""Reading takes microseconds, so that it may be done where nothing may wait; elsewhere it runs a program."""


def free_bytes() -> int | None:
    """None = this system does not say."""
    if not IS_QUICK:
        return from_vm_stat(_vm_stat() or "")
    try:
        return from_meminfo(MEMINFO.read_text())
    except OSError:
        return None


def from_meminfo(text: str) -> int | None:
    """Linux: what is free, and what caches would give back."""
    found = _AVAILABLE.search(text)
    return None if found is None else 1024 * int(found[1])


def from_vm_stat(text: str) -> int | None:
    """macOS: pages that are free, or hold nothing that could not be read again."""
    size, counts = _PAGE_SIZE.search(text), _FREE_PAGES.findall(text)
    return int(size[1]) * sum(map(int, counts)) if size is not None and counts else None


class Host:
    """Reads the host through psutil, which is imported with the first reading: 4 MB that not everybody needs."""

    def __init__(self) -> None:
        self._was_read = False

    def read(self) -> HostReading:
        import psutil

        is_first, self._was_read = not self._was_read, True
        cpu_pct = psutil.cpu_percent()
        memory, swap, load = psutil.virtual_memory(), psutil.swap_memory(), psutil.getloadavg()
        return HostReading(
            cpu_pct=None if is_first else cpu_pct,
            cpu_load1=load[0],
            cpu_load5=load[1],
            ram_total_bytes=memory.total,
            ram_available_bytes=memory.available,
            ram_free_bytes=memory.free,
            ram_active_bytes=getattr(memory, "active", None),
            ram_inactive_bytes=getattr(memory, "inactive", None),
            ram_wired_bytes=getattr(memory, "wired", None),
            ram_compressed_bytes=None if IS_QUICK else compressed_bytes(_vm_stat() or ""),
            swap_total_bytes=swap.total,
            swap_used_bytes=swap.used,
        )


def compressed_bytes(vm_stat: str) -> int | None:
    """macOS: what the compressor holds its pages in."""
    size, count = _PAGE_SIZE.search(vm_stat), _COMPRESSED.search(vm_stat)
    return int(size[1]) * int(count[1]) if size is not None and count is not None else None


def _vm_stat() -> str | None:
    try:
        return subprocess.run(VM_STAT, capture_output=True, text=True, timeout=VM_STAT_WITHIN_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
