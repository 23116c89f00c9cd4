"""From a reading to the journal: the sample, the loads, and the energy of calls that ended in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from penstock.config.load import loads
from penstock.core.accounting.host_sample import DeviceSample, HostSample
from penstock.core.accounting.load_record import LoadRecord
from penstock.core.accounting.record import CallRecord, Outcome
from penstock.core.calls.message import Head
from penstock.core.fitting.memory import MemoryResidency
from penstock.core.model import Model
from penstock.core.scheduling.plan import Plan
from penstock.core.scheduling.scheduler import Scheduler
from penstock.runtime.engines.dispatcher import Dispatcher
from penstock.runtime.measuring import Measuring
from penstock.runtime.records.recorder import Recorder
from penstock.sample.base import EngineProcess, EngineReading, GpuReading, HostReading, Reading
from tests.fakes import in_loop


class Kept:
    """A journal that only remembers."""

    is_nearly_full = False

    def __init__(self) -> None:
        self.noted: list[LoadRecord | HostSample] = []
        self.amendments: list[CallRecord] = []
        self.amended_one = asyncio.Event()

    def opened(self, record: CallRecord) -> None: ...

    def closed(self, record: CallRecord) -> None: ...

    def flush(self) -> bool:
        return True

    def note(self, record: LoadRecord | HostSample) -> None:
        self.noted.append(record)

    def amended(self, record: CallRecord) -> None:
        self.amendments.append(record)
        self.amended_one.set()


class HotMachine:
    """A GPU of 100 W on which `m` runs; a second passes between two readings."""

    is_blind = False

    def __init__(self) -> None:
        self._began = time.time()
        self._count = 0

    def read(self, engines: Sequence[EngineProcess]) -> Reading:
        self._count += 1
        gpu = GpuReading(
            DeviceSample("gpu0", memory_total_bytes=100, memory_used_bytes=50, power_w=100.0), memory_by_pid={7: 50}
        )
        engine = EngineReading(EngineProcess("m", "m", 1, 7), (7,))
        return Reading(self._began + self._count, float(self._count), HostReading(), (gpu,), (engine,))


class NoEngine:
    process: EngineProcess | None = None

    def start(self, generation: int) -> None: ...

    def stop(self) -> None: ...


@in_loop
async def test_a_call_between_two_samples_gets_its_energy_and_every_sample_is_kept() -> None:
    model = Model("m")
    settings = loads("penstock: 1\nsample_every: 1s\n", name="test", environ={}).settings
    kept = Kept()
    recorder = Recorder(kept, gateway_id="g", boot_id="b", version="1")
    scheduler = Scheduler(Plan((model,), MemoryResidency((), (model,))))
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(20):
        dispatcher = Dispatcher(scheduler, {"m": NoEngine()}, time.monotonic)
        measuring = Measuring(HotMachine(), settings, {"m": NoEngine()}, dispatcher, recorder, kept, tasks)
        samples: asyncio.Queue[HostSample | None] = asyncio.Queue()
        measuring.on_change = lambda: samples.put_nowait(measuring.sampling.last)
        watching = asyncio.create_task(measuring.sampling.watch())
        await samples.get()
        record = recorder.open(Head(b"POST", b"/", [], "1.1", None, {}), "openai")
        record.engine, record.sent_s = "m", 0.0
        record.received_at = measuring.sampling.last.sampled_at if measuring.sampling.last else 0.0
        recorder.close(record, Outcome.COMPLETED, 0.5)
        await kept.amended_one.wait()
        watching.cancel()
        measuring.close()
    assert kept.amendments == [record]
    assert record.energy_j is not None
    assert abs(record.energy_j - 50.0) < 0.001
    samples_kept = [noted for noted in kept.noted if isinstance(noted, HostSample)]
    assert len(samples_kept) >= 2
    assert samples_kept[0].power_w == 100.0
