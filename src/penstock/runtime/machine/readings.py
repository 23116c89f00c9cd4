"""What a reading of the machine says of devices and engines. Plain functions of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

from penstock.config.plan import HOST_DEVICE
from penstock.core.accounting.host_sample import EngineSample, HostSample
from penstock.runtime.records.recorder import uuid7
from penstock.sample.base import EngineReading, GpuReading, Reading

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Ids:
    """Whose samples and loads they are."""

    gateway_id: str
    boot_id: str


def sizes_of(engine: EngineReading, gpus: Sequence[GpuReading], devices: Sequence[str]) -> dict[str, int] | None:
    """What it takes of each of these devices; None = of one of them nobody knows.

    Where the host's memory is the only device, it stands for all there is: what is on a GPU counts as well.
    """
    on_gpus = {gpu.sample.name: _held(engine.pids, gpu) for gpu in gpus}
    if engine.taken_bytes is None or None in on_gpus.values():
        return None
    by_name: dict[str, int] = {name: count or 0 for name, count in on_gpus.items()}
    if tuple(devices) == (HOST_DEVICE,):
        return {HOST_DEVICE: engine.taken_bytes + sum(by_name.values())}
    by_name[HOST_DEVICE] = engine.taken_bytes
    elsewhere = any(count for name, count in by_name.items() if name not in {*devices, HOST_DEVICE})
    if elsewhere or any(device not in by_name for device in devices):
        return None
    return {device: by_name[device] for device in devices}


def _held(pids: Sequence[int], gpu: GpuReading) -> int | None:
    """None = the GPU does not tell whose memory it is."""
    return None if gpu.memory_by_pid is None else sum(gpu.memory_by_pid.get(pid, 0) for pid in pids)


def free_bytes(reading: Reading) -> dict[str, int]:
    """By device. What engines have mapped of files is not free: who takes it makes them read it again and again."""
    free = {
        gpu.sample.name: gpu.sample.memory_total_bytes - gpu.sample.memory_used_bytes
        for gpu in reading.gpus
        if gpu.sample.memory_total_bytes is not None and gpu.sample.memory_used_bytes is not None
    }
    if reading.host.ram_available_bytes is not None:
        mapped_bytes = sum(engine.mapped_bytes or 0 for engine in reading.engines)
        free[HOST_DEVICE] = max(0, reading.host.ram_available_bytes - mapped_bytes)
    return free


def used_bytes(reading: Reading, devices: Sequence[str]) -> int | None:
    """In use on these devices together; None = of one of them nobody knows."""
    totals = {gpu.sample.name: gpu.sample.memory_total_bytes or 0 for gpu in reading.gpus}
    totals[HOST_DEVICE] = reading.host.ram_total_bytes or 0
    free = free_bytes(reading)
    if not devices or any(device not in free for device in devices):
        return None
    return sum(totals[device] - free[device] for device in devices)


def sample_of(reading: Reading, ids: Ids, host_name: str) -> HostSample:
    """The row that is kept of a reading."""
    gpus = [gpu.sample for gpu in reading.gpus]
    return HostSample(
        id=uuid7(reading.at),
        gateway_id=ids.gateway_id,
        boot_id=ids.boot_id,
        host=host_name,
        sampled_at=reading.at,
        **asdict(reading.host),
        gpu_pct=_mean([gpu.use_pct for gpu in gpus]),
        gpu_clock_mhz=max((gpu.clock_mhz for gpu in gpus if gpu.clock_mhz is not None), default=None),
        gpu_memory_used_bytes=_sum([gpu.memory_used_bytes for gpu in gpus]),
        gpu_memory_total_bytes=_sum([gpu.memory_total_bytes for gpu in gpus]),
        power_w=_sum([gpu.power_w for gpu in gpus]),
        devices=gpus,
        engines=[_engine_sample(engine, reading.gpus) for engine in reading.engines],
    )


def _engine_sample(engine: EngineReading, gpus: Sequence[GpuReading]) -> EngineSample:
    memory = [None if gpu.memory_by_pid is None else _of(engine.pids, gpu.memory_by_pid) for gpu in gpus]
    use = [None if gpu.use_by_pid is None else _of(engine.pids, gpu.use_by_pid) for gpu in gpus]
    return EngineSample(
        engine=engine.process.engine,
        model=engine.process.model,
        pid=engine.process.pid,
        cpu_pct=engine.cpu_pct,
        resident_bytes=engine.resident_bytes,
        footprint_bytes=engine.taken_bytes,
        device_memory_bytes=None if None in memory else _sum(memory),
        gpu_use_pct=_sum(use),
    )


def _of(pids: Sequence[int], by_pid: Mapping[int, Number]) -> Number | int:
    return _sum([by_pid.get(pid) for pid in pids]) or 0


def _sum(counts: Sequence[Number | None]) -> Number | None:
    """Of those that are known; None = none is."""
    known = [count for count in counts if count is not None]
    return sum(known[1:], start=known[0]) if known else None


def _mean(counts: Sequence[float | None]) -> float | None:
    known = [count for count in counts if count is not None]
    return sum(known) / len(known) if known else None
