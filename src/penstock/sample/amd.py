"""AMD's GPUs, as the amdgpu driver tells of them in files.

Of a device: `gpu_busy_percent`, `mem_info_vram_*` and its `hwmon` (docs.kernel.org/gpu/amdgpu). Of a process: what
`/proc/PID/fdinfo` says of each descriptor of a GPU (docs.kernel.org/gpu/drm-usage-stats.html). How much of the GPU a
process uses is not among that for computing, so it is not told.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from penstock.core.accounting.host_sample import DeviceSample
from penstock.sample.base import GpuReading

DRM = Path("/sys/class/drm")
PROC = Path("/proc")
_VENDOR = "0x1002"
_CARD = re.compile(r"card(\d+)$")
_RENDERER = "/dev/dri/"
_UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20}
_MEMORY_KEYS = ("drm-resident-vram", "drm-memory-vram")
"""The newer name first; the older one says what was asked for."""


class Amd:
    """A Sampler. Its GPUs are named `gpu0`, `gpu1`, … in the order of the kernel's cards."""

    def __init__(self, *, prefix: str = "gpu", drm: Path = DRM, proc: Path = PROC) -> None:
        """prefix: what the names begin with."""
        self._prefix, self._drm, self._proc = prefix, drm, proc

    def read(self, pids: Collection[int]) -> list[GpuReading]:
        devices = list(self._devices())
        if not devices:
            return []
        memory = self._memory_by_address(pids)
        return [
            GpuReading(_sample(f"{self._prefix}{index}", device), memory_by_pid=memory.get(device.resolve().name, {}))
            for index, device in enumerate(devices)
        ]

    def _devices(self) -> Iterator[Path]:
        """The PCI devices of AMD's cards; one without video memory of its own is part of a processor."""
        cards = [(int(found[1]), path) for path in self._drm.glob("card*") if (found := _CARD.match(path.name))]
        for _, card in sorted(cards):
            device = card / "device"
            if _text(device / "vendor") == _VENDOR and _number(device / "mem_info_vram_total") is not None:
                yield device

    def _memory_by_address(self, pids: Collection[int]) -> dict[str, dict[int, int]]:
        """By PCI address, then by process: bytes of video memory."""
        found: dict[str, dict[int, int]] = {}
        for pid in pids:
            seen: set[tuple[str, str]] = set()
            for facts in self._descriptors(pid):
                address, client = facts.get("drm-pdev", ""), facts.get("drm-client-id", "")
                held = next((facts[key] for key in _MEMORY_KEYS if key in facts), None)
                if held is None or (address, client) in seen:  # a descriptor may be there twice
                    continue
                seen.add((address, client))
                of_device = found.setdefault(address, {})
                of_device[pid] = of_device.get(pid, 0) + _bytes(held)
        return found

    def _descriptors(self, pid: int) -> Iterator[dict[str, str]]:
        folder = self._proc / str(pid)
        try:
            names = os.listdir(folder / "fd")
        except OSError:
            return
        for name in names:
            try:
                if os.readlink(folder / "fd" / name).startswith(_RENDERER):
                    lines = (folder / "fdinfo" / name).read_text().splitlines()
                    yield {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
            except OSError:  # closed meanwhile
                continue


def _sample(name: str, device: Path) -> DeviceSample:
    monitor = next(iter(sorted((device / "hwmon").glob("hwmon*"))), device)
    power = _number(monitor / "power1_average")
    if power is None:
        power = _number(monitor / "power1_input")
    return DeviceSample(
        name=name,
        use_pct=_number(device / "gpu_busy_percent"),
        memory_used_bytes=_whole(device / "mem_info_vram_used"),
        memory_total_bytes=_whole(device / "mem_info_vram_total"),
        power_w=_part(power, 1e6),
        temperature_c=_part(_number(monitor / "temp1_input"), 1e3),
        clock_mhz=_part(_number(monitor / "freq1_input"), 1e6),
        product=_text(device / "product_name"),
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _number(path: Path) -> float | None:
    try:
        return float(_text(path) or "")
    except ValueError:
        return None


def _whole(path: Path) -> int | None:
    number = _number(path)
    return None if number is None else int(number)


def _part(number: float | None, of: float) -> float | None:
    return None if number is None else number / of


def _bytes(text: str) -> int:
    """ "2048 KiB"; 0 for what is no such text."""
    count, _, unit = text.partition(" ")
    return int(count) * _UNITS.get(unit, 0) if count.isascii() and count.isdigit() else 0
