"""What samplers are asked, and what they answer. Everything in this room runs on the sampling thread, and may wait.

A sampler never raises: what it cannot measure is None, and a device that does not answer is not in the answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from penstock.core.accounting.host_sample import DeviceSample


@dataclass(frozen=True, slots=True)
class EngineProcess:
    """An engine that runs on this machine. pid: of its first process. port: where it answers; None = nobody knows.

    is_ready: it serves calls; before that, what it takes is on its way.
    """

    engine: str
    model: str
    generation: int
    pid: int
    port: int | None = None
    is_ready: bool = False


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One GPU. energy_j: a counter that only grows, from any beginning.

    memory_by_pid, use_by_pid: bytes and percent of each process that uses it; None = it does not tell them apart. One
    that has no memory but the host's holds none for anybody.
    """

    sample: DeviceSample
    energy_j: float | None = None
    memory_by_pid: Mapping[int, int] | None = None
    use_by_pid: Mapping[int, float] | None = None


@dataclass(frozen=True, slots=True)
class HostReading:
    """The host itself. cpu_pct: since the reading before; None = it is the first."""

    cpu_pct: float | None = None
    cpu_load1: float | None = None
    cpu_load5: float | None = None
    ram_total_bytes: int | None = None
    ram_available_bytes: int | None = None
    ram_free_bytes: int | None = None
    ram_active_bytes: int | None = None
    ram_inactive_bytes: int | None = None
    ram_wired_bytes: int | None = None
    ram_compressed_bytes: int | None = None
    swap_total_bytes: int | None = None
    swap_used_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class EngineReading:
    """One engine with its descendants. None = this platform does not measure it.

    own_bytes: memory that nobody else could have while it runs. mapped_bytes: pages of files that it has mapped, a
    model's weights above all: the system counts them as available, but whoever takes them makes the engine read them
    again and again. read_bytes: read from disk since it began; only of processes that still live.
    is_whole: it is ready, and the one that answers is among these processes: they are all that it takes.
    """

    process: EngineProcess
    pids: tuple[int, ...]
    cpu_pct: float | None = None
    resident_bytes: int | None = None
    own_bytes: int | None = None
    mapped_bytes: int | None = None
    read_bytes: int | None = None
    is_whole: bool = False

    @property
    def taken_bytes(self) -> int | None:
        """What the engine takes of the host's memory; its mapped files count, as they must stay for it to be quick."""
        return None if self.own_bytes is None else self.own_bytes + (self.mapped_bytes or 0)


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything, read within a moment. at: epoch seconds; at_s: monotonic."""

    at: float
    at_s: float
    host: HostReading = HostReading()
    gpus: tuple[GpuReading, ...] = ()
    engines: tuple[EngineReading, ...] = ()


class Sampler(Protocol):
    """The GPUs of one make."""

    def read(self, pids: Collection[int]) -> list[GpuReading]:
        """pids: of the engines' processes, in which we are interested."""
