"""How much of the host's memory a program that starts now could have without anybody being swapped out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
VM_STAT = ["/usr/bin/vm_stat"]
VM_STAT_WITHIN_S = 2.0

_AVAILABLE = re.compile(r"^MemAvailable:\s+(\d+) kB$", re.MULTILINE)
_PAGE_SIZE = re.compile(r"page size of (\d+) bytes")
_FREE_PAGES = re.compile(r"^Pages (?:free|inactive|speculative|purgeable):\s+(\d+)\.$", re.MULTILINE)

IS_QUICK = sys.platform == "linux"
"""Reading takes microseconds, so that it may be done where nothing may wait; elsewhere it runs a program."""


def free_bytes() -> int | None:
    """None = this system does not say."""
    try:
        if IS_QUICK:
            return from_meminfo(MEMINFO.read_text())
        return from_vm_stat(
            subprocess.run(VM_STAT, capture_output=True, text=True, timeout=VM_STAT_WITHIN_S, check=True).stdout
        )
    except (OSError, subprocess.SubprocessError):
        return None


def from_meminfo(text: str) -> int | None:
    """Linux: what is free, and what caches would give back."""
    found = _AVAILABLE.search(text)
    return None if found is None else 1024 * int(found[1])


def from_vm_stat(text: str) -> int | None:
    """macOS: pages that are free, or hold nothing that could not be read again."""
    size, counts = _PAGE_SIZE.search(text), _FREE_PAGES.findall(text)
    return int(size[1]) * sum(map(int, counts)) if size is not None and counts else None
