"""Looks at the machine every so often, on a thread of its own, and tells everybody whom that concerns.

The scheduler is told what is free and what engines take, the journal gets the sample, the page shows it. A reading
that does not come, because a driver hangs, is a gap; nothing else waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from penstock.config.plan import HOST_DEVICE
from penstock.config.schema import Settings
from penstock.config.values import Residency
from penstock.core.accounting.host_sample import HostSample
from penstock.core.fitting.learning import Learning
from penstock.core.fitting.residency import Footprint
from penstock.core.model import HOLDS_MEMORY, Phase, Replica
from penstock.runtime.machine.aside import Aside
from penstock.runtime.machine.readings import Ids, free_bytes, sample_of, sizes_of
from penstock.sample import host
from penstock.sample.base import EngineProcess, EngineReading, GpuReading, Reading

log = logging.getLogger("penstock.sampling")


READ_WITHIN_S = 10.0
"""How long a reading is waited for."""
MAX_BACKLOG = 8
"""Readings that wait behind one that does not come; more of them are gaps at once."""
MEMORY_EVERY_S = 5.0
"""How often the host's free memory is read where nothing is sampled but models share that memory."""

_IN_USE = (Phase.READY, Phase.DRAINING)


class Machine(Protocol):
    """What is measured; see sample/machine.py."""

    @property
    def is_blind(self) -> bool: ...
    def read(self, engines: Sequence[EngineProcess]) -> Reading: ...


class Engine(Protocol):
    """A replica's process. `process` None = it does not run, or not on this machine."""

    process: EngineProcess | None


class Told(Protocol):
    """Who is told what is free and what engines take: the dispatcher."""

    read_memory: Callable[[], dict[str, int]]

    @property
    def replicas(self) -> dict[str, Replica]: ...
    def memory(self, device: str, free_bytes: int) -> None: ...
    def measured(self, replica_id: str, generation: int, footprint: Footprint) -> None: ...


@dataclass(frozen=True, slots=True)
class Devices:
    """Which devices models share, and which of them are looked at.

    A device that is named is as large as its owner says; only of GPUs it is known which they are, so what they have
    free is told. Without names, the host's memory is the one device.
    """

    names: tuple[str, ...]
    watched: frozenset[str]

    @classmethod
    def of(cls, settings: Settings) -> Devices:
        if settings.residency is Residency.GROUPS:
            return cls(tuple(settings.devices) or (HOST_DEVICE,), frozenset())
        if not settings.devices:
            is_shared = settings.residency is Residency.MEMORY
            return cls((HOST_DEVICE,), frozenset({HOST_DEVICE} if is_shared else ()))
        return cls(tuple(settings.devices), frozenset(settings.devices) - {HOST_DEVICE})

    @property
    def shares_host_memory(self) -> bool:
        return HOST_DEVICE in self.watched


class Sampling:
    """`last`: the last sample; None = there is none yet. `on_sample` is told of every one."""

    def __init__(
        self,
        machine: Machine,
        engines: Mapping[str, Engine],
        told: Told,
        devices: Devices,
        ids: Ids,
        every_s: float | None,
    ) -> None:
        """every_s None: nothing is sampled; the host's free memory is told all the same, where models share it."""
        self.last: HostSample | None = None
        self.on_sample: Callable[[HostSample, Reading], None] = lambda _sample, _reading: None
        self.every_s = every_s
        self._machine, self._engines, self._told = machine, engines, told
        self._devices, self._ids = devices, ids
        self._host_name = socket.gethostname()
        self._learning = Learning()
        self._thread = Aside("sampling")
        self._mapped_bytes: dict[str, int] = {}  # by engine: of the host's memory, what only seems to be free
        self._is_failing = False

    @property
    def is_on(self) -> bool:
        return self.every_s is not None

    def begin(self) -> None:
        """Before anything is loaded, while nobody is served: it may take its time."""
        if not self._devices.shares_host_memory:
            return
        if (free_bytes := host.free_bytes()) is not None:
            self._told.memory(HOST_DEVICE, free_bytes)
        if host.IS_QUICK:
            self._told.read_memory = self._free_now

    async def watch(self) -> None:
        """Ends only by being cancelled."""
        if self.every_s is None and not self._devices.shares_host_memory:
            return
        while True:
            await asyncio.sleep(self.every_s or MEMORY_EVERY_S)
            if self.every_s is None:
                self._tell_free(await self._thread.run(_free_of_host))
            elif (reading := await self.look()) is not None:
                self.last = sample_of(reading, self._ids, self._host_name)
                self.on_sample(self.last, reading)

    async def look(self) -> Reading | None:
        """Read everything now, and tell the scheduler; None = the reading did not come."""
        if self._thread.backlog > MAX_BACKLOG:
            return None
        holders = self._holders()
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                reading = await self._thread.run(self._machine.read, self._running())
        except TimeoutError:
            self._failed("it takes too long")
            return None
        except Exception as exc:  # noqa: BLE001 - whatever a driver does: it is a gap, and nothing else stops
            self._failed(f"{type(exc).__name__}: {exc}")
            return None
        self._is_failing = False
        self._mapped_bytes = {each.process.engine: each.mapped_bytes or 0 for each in reading.engines}
        if holders == self._holders():  # else it is about memory that others hold by now
            self._tell_free(free_bytes(reading))
        for engine in reading.engines:
            self._learn(engine, reading.gpus)
        return reading

    def close(self) -> None:
        self._thread.close()

    def _failed(self, reason: str) -> None:
        if not self._is_failing:
            log.warning("sampling_failed reason=%r", reason)
        self._is_failing = True

    def _running(self) -> list[EngineProcess]:
        return [engine.process for engine in self._engines.values() if engine.process is not None]

    def _holders(self) -> set[tuple[str, int, Phase]]:
        """Who holds memory: those whose phase says so."""
        replicas = self._told.replicas.values()
        return {(each.id, each.generation, each.phase) for each in replicas if each.phase in HOLDS_MEMORY}

    def _tell_free(self, free: Mapping[str, int]) -> None:
        for device, count in free.items():
            if device in self._devices.watched:
                self._told.memory(device, count)

    def _free_now(self) -> dict[str, int]:
        """Of the host, read at once: after an engine has gone. The others still have mapped what they had."""
        mapped_bytes = sum(self._mapped_bytes.get(engine.engine, 0) for engine in self._running())
        return {device: max(0, count - mapped_bytes) for device, count in _free_of_host().items()}

    def _learn(self, engine: EngineReading, gpus: Sequence[GpuReading]) -> None:
        process = engine.process
        replica = self._told.replicas.get(process.engine)
        if replica is None or replica.generation != process.generation or replica.phase not in _IN_USE:
            return
        if not engine.is_whole or self._machine.is_blind:
            return
        sizes = sizes_of(engine, gpus, self._devices.names)
        expected = dict(replica.model.footprint or ())
        if sizes is None or any(expected.get(device) and not count for device, count in sizes.items()):
            return  # it must be there; that it is not seen says that we cannot see it
        if (footprint := self._learning.learn(process.engine, process.generation, sizes)) is not None:
            log.info("size_learned model=%s %s", process.model, " ".join(f"{name}={size}" for name, size in footprint))
            self._told.measured(process.engine, process.generation, footprint)


def _free_of_host() -> dict[str, int]:
    count = host.free_bytes()
    return {} if count is None else {HOST_DEVICE: count}
