"""A disk that is soon full: a tmpfs of a few pages. Only root can make one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def a_small_disk(disk: Path, *, size_bytes: int) -> Iterator[Path]:
    """Mounted at `disk`, which is made. Skips where it cannot be mounted."""
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=755", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can make a small disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def enlarge(disk: Path, size_bytes: int) -> None:
    """There is room again."""
    subprocess.run(["mount", "-o", f"remount,size={size_bytes}", str(disk)], check=True)


def fill_up(path: Path) -> None:
    """Take all that is left of the disk on which `path` is."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return
