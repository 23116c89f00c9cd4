"""Everything that can be measured on this machine, read at once."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from penstock.sample.amd import DRM, Amd
from penstock.sample.apple import Apple
from penstock.sample.base import EngineProcess, Reading, Sampler
from penstock.sample.engines import Engines
from penstock.sample.host import Host
from penstock.sample.nvidia import Nvidia, load_nvml
from penstock.sample.processes import processes

NVIDIA_DRIVER = Path("/dev/nvidiactl")


class Machine:
    """Not for two threads at once. is_blind: there is a GPU whose memory cannot be read."""

    def __init__(
        self,
        samplers: Sequence[Sampler],
        engines: Engines,
        *,
        is_blind: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_blind = is_blind
        self._samplers, self._engines, self._host, self._clock = samplers, engines, Host(), clock

    def read(self, engines: Sequence[EngineProcess]) -> Reading:
        """engines: those that run now."""
        readings = self._engines.read(engines)
        pids = [pid for reading in readings for pid in reading.pids]
        gpus = tuple(gpu for sampler in self._samplers for gpu in sampler.read(pids))
        return Reading(time.time(), self._clock(), self._host.read(), gpus, readings)


def this_machine() -> Machine:
    """With a sampler for each make of GPU that is here.

    `gpu0`, `gpu1`, … are NVIDIA's where there are any: beside them, AMD's are most often a processor's own, and are
    called `amd0`, …
    """
    engines = Engines(processes())
    if sys.platform == "darwin":
        return Machine([Apple()], engines)
    samplers: list[Sampler] = []
    has_nvidia = NVIDIA_DRIVER.exists()
    if has_nvidia and (nvml := load_nvml()) is not None:
        samplers.append(Nvidia(nvml))
    if DRM.exists():
        samplers.append(Amd(prefix="amd" if has_nvidia else "gpu"))
    return Machine(samplers, engines, is_blind=has_nvidia and load_nvml() is None)
