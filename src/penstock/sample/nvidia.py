"""NVIDIA's GPUs, as NVML tells of them (nvidia-ml-py, the extra `nvidia`).

Every figure may be one that a card, a driver or a virtual machine does not give: each is asked for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import ParamSpec, Protocol, TypeVar, cast

from penstock.core.accounting.host_sample import DeviceSample
from penstock.sample.base import GpuReading

RETRY_AFTER_S = 60.0
"""How long a driver that does not answer at all is left alone."""

P = ParamSpec("P")
T = TypeVar("T")


class Memory(Protocol):
    total: int
    used: int


class Rates(Protocol):
    gpu: int


class GpuProcess(Protocol):
    """usedGpuMemory: None = not told (in some virtual machines)."""

    pid: int
    usedGpuMemory: int | None  # noqa: N815 - NVML's name


class Use(Protocol):
    """smUtil: percent. timeStamp: microseconds."""

    pid: int
    smUtil: int  # noqa: N815
    timeStamp: int  # noqa: N815


class Nvml(Protocol):
    """The part of the module `pynvml` that is used."""

    NVMLError: type[Exception]
    NVML_TEMPERATURE_GPU: int
    NVML_CLOCK_SM: int

    def nvmlInit(self) -> None: ...  # noqa: N802
    def nvmlShutdown(self) -> None: ...  # noqa: N802
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: N802
    def nvmlDeviceGetHandleByIndex(self, index: int) -> object: ...  # noqa: N802
    def nvmlDeviceGetName(self, handle: object) -> str: ...  # noqa: N802
    def nvmlDeviceGetMemoryInfo(self, handle: object) -> Memory: ...  # noqa: N802
    def nvmlDeviceGetUtilizationRates(self, handle: object) -> Rates: ...  # noqa: N802
    def nvmlDeviceGetPowerUsage(self, handle: object) -> int: ...  # noqa: N802
    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object) -> int: ...  # noqa: N802
    def nvmlDeviceGetTemperature(self, handle: object, sensor: int) -> int: ...  # noqa: N802
    def nvmlDeviceGetClockInfo(self, handle: object, clock: int) -> int: ...  # noqa: N802
    def nvmlDeviceGetComputeRunningProcesses(self, handle: object) -> Sequence[GpuProcess]: ...  # noqa: N802
    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: object) -> Sequence[GpuProcess]: ...  # noqa: N802
    def nvmlDeviceGetProcessUtilization(self, handle: object, since_us: int) -> Sequence[Use]: ...  # noqa: N802


def load_nvml() -> Nvml | None:
    """None = the extra is not installed."""
    try:
        import pynvml
    except ImportError:
        return None
    return cast("Nvml", pynvml)


class Nvidia:
    """A Sampler. Its GPUs are named `gpu0`, `gpu1`, … in NVML's order, which is that of nvidia-smi."""

    def __init__(self, nvml: Nvml, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._nvml = nvml
        self._clock = clock
        self._is_open = False
        self._retry_at_s = 0.0
        self._told_us: dict[int, int] = {}  # by index: until when the use of its processes was told

    def read(self, pids: Collection[int]) -> list[GpuReading]:
        if not self._is_open and not self._open():
            return []
        count = self._ask(self._nvml.nvmlDeviceGetCount)
        if count is None:  # the driver has gone, or was replaced
            self._close()
            return []
        readings = (self._device(index) for index in range(count))
        return [reading for reading in readings if reading is not None]

    def _open(self) -> bool:
        now_s = self._clock()
        if now_s < self._retry_at_s:
            return False
        self._retry_at_s = now_s + RETRY_AFTER_S
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError:
            return False
        self._is_open = True
        return True

    def _close(self) -> None:
        self._is_open = False
        self._ask(self._nvml.nvmlShutdown)

    def _device(self, index: int) -> GpuReading | None:
        """None = it says nothing at all: it has fallen off the bus."""
        nvml = self._nvml
        if (handle := self._ask(nvml.nvmlDeviceGetHandleByIndex, index)) is None:
            return None
        memory, rates = (
            self._ask(nvml.nvmlDeviceGetMemoryInfo, handle),
            self._ask(nvml.nvmlDeviceGetUtilizationRates, handle),
        )
        milliwatts = self._ask(nvml.nvmlDeviceGetPowerUsage, handle)
        celsius = self._ask(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU)
        if memory is None and rates is None and milliwatts is None and celsius is None:
            return None
        clock_mhz = self._ask(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM)
        millijoules = self._ask(nvml.nvmlDeviceGetTotalEnergyConsumption, handle)
        sample = DeviceSample(
            name=f"gpu{index}",
            use_pct=None if rates is None else float(rates.gpu),
            memory_used_bytes=None if memory is None else memory.used,
            memory_total_bytes=None if memory is None else memory.total,
            power_w=None if milliwatts is None else milliwatts / 1000,
            temperature_c=None if celsius is None else float(celsius),
            clock_mhz=None if clock_mhz is None else float(clock_mhz),
            product=self._ask(nvml.nvmlDeviceGetName, handle),
        )
        energy_j = None if millijoules is None else millijoules / 1000
        return GpuReading(sample, energy_j, self._memory_by_pid(handle), self._use_by_pid(index, handle))

    def _memory_by_pid(self, handle: object) -> dict[int, int] | None:
        """A process that computes and draws is in both lists, with the same figure."""
        computing = self._ask(self._nvml.nvmlDeviceGetComputeRunningProcesses, handle)
        drawing = self._ask(self._nvml.nvmlDeviceGetGraphicsRunningProcesses, handle)
        processes = [*(computing or ()), *(drawing or ())]
        if computing is None or any(process.usedGpuMemory is None for process in processes):
            return None
        return {process.pid: process.usedGpuMemory or 0 for process in processes}

    def _use_by_pid(self, index: int, handle: object) -> dict[int, float] | None:
        """The mean of what was noted since the last time. Nothing noted = nobody used it, or it is not told."""
        since_us = self._told_us.get(index, 0)
        uses = self._ask(self._nvml.nvmlDeviceGetProcessUtilization, handle, since_us)
        fresh = [use for use in uses or () if use.timeStamp > since_us]
        if not fresh:
            return None
        self._told_us[index] = max(use.timeStamp for use in fresh)
        by_pid: dict[int, list[int]] = {}
        for use in fresh:
            by_pid.setdefault(use.pid, []).append(use.smUtil)
        return {pid: sum(percents) / len(percents) for pid, percents in by_pid.items()}

    def _ask(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return function(*args, **kwargs)
        except self._nvml.NVMLError:
            return None
