"""One reading of a host, its devices and the engines on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from penstock.core.accounting.fields import BYTES, DEVICE, EPOCH, GATEWAY, SYSTEM, WALL_CLOCK, Doc

_NOT_MEASURED = "this platform does not measure it"
_NO_GPU = "no GPU, or it does not say"


@dataclass(frozen=True, slots=True)
class DeviceSample:
    """One GPU. None = it does not say. product: what its maker calls it."""

    name: str
    use_pct: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    power_w: float | None = None
    temperature_c: float | None = None
    clock_mhz: float | None = None
    product: str | None = None


@dataclass(frozen=True, slots=True)
class EngineSample:
    """One engine with its descendants. None = the platform does not measure it.

    cpu_pct, gpu_use_pct: of one core, of one GPU. footprint_bytes: of the host's memory, mapped files included.
    """

    engine: str
    model: str
    pid: int
    cpu_pct: float | None = None
    resident_bytes: int | None = None
    footprint_bytes: int | None = None
    device_memory_bytes: int | None = None
    gpu_use_pct: float | None = None


@dataclass(slots=True, eq=False)
class HostSample:
    """One reading, taken within a moment. A gap between two readings is a gap: nothing is filled in."""

    id: Annotated[str, Doc("UUIDv7 of the reading.", GATEWAY)]
    gateway_id: Annotated[str, Doc("Which gateway.", GATEWAY)]
    boot_id: Annotated[str, Doc("Which start of that gateway.", GATEWAY)]
    host: Annotated[str, Doc("The machine's name.", SYSTEM)]
    sampled_at: Annotated[float, Doc("When it was taken.", WALL_CLOCK, EPOCH)]
    cpu_pct: Annotated[float | None, Doc("Use of all cores since the reading before.", SYSTEM, "%", _NOT_MEASURED)] = (
        None
    )
    cpu_load1: Annotated[float | None, Doc("Load average of a minute.", SYSTEM, "", _NOT_MEASURED)] = None
    cpu_load5: Annotated[float | None, Doc("Load average of five minutes.", SYSTEM, "", _NOT_MEASURED)] = None
    ram_total_bytes: Annotated[int | None, Doc("Memory of the host.", SYSTEM, BYTES, _NOT_MEASURED)] = None
    ram_available_bytes: Annotated[
        int | None, Doc("What could be had without swapping.", SYSTEM, BYTES, _NOT_MEASURED)
    ] = None
    ram_free_bytes: Annotated[int | None, Doc("What nobody uses.", SYSTEM, BYTES, _NOT_MEASURED)] = None
    ram_active_bytes: Annotated[int | None, Doc("Used lately.", SYSTEM, BYTES, _NOT_MEASURED)] = None
    ram_inactive_bytes: Annotated[int | None, Doc("Not used lately.", SYSTEM, BYTES, _NOT_MEASURED)] = None
    ram_wired_bytes: Annotated[int | None, Doc("Cannot be paged out.", SYSTEM, BYTES, _NOT_MEASURED)] = None
    ram_compressed_bytes: Annotated[int | None, Doc("Held compressed.", SYSTEM, BYTES, _NOT_MEASURED)] = None
    swap_total_bytes: Annotated[int | None, Doc("Swap space.", SYSTEM, BYTES, _NOT_MEASURED)] = None
    swap_used_bytes: Annotated[int | None, Doc("Swap space in use.", SYSTEM, BYTES, _NOT_MEASURED)] = None
    gpu_pct: Annotated[float | None, Doc("Use of the GPUs, their mean.", DEVICE, "%", _NO_GPU)] = None
    gpu_clock_mhz: Annotated[float | None, Doc("Clock of the GPUs, their highest.", DEVICE, "MHz", _NO_GPU)] = None
    gpu_memory_used_bytes: Annotated[int | None, Doc("In use on the GPUs, their sum.", DEVICE, BYTES, _NO_GPU)] = None
    gpu_memory_total_bytes: Annotated[int | None, Doc("Memory of the GPUs, their sum.", DEVICE, BYTES, _NO_GPU)] = None
    power_w: Annotated[float | None, Doc("Power of the GPUs, their sum.", DEVICE, "W", _NO_GPU)] = None
    devices: Annotated[list[DeviceSample], Doc("Each GPU, as a JSON array of objects.", DEVICE)] = field(
        default_factory=list
    )
    engines: Annotated[list[EngineSample], Doc("Each engine, as a JSON array of objects.", SYSTEM)] = field(
        default_factory=list
    )
