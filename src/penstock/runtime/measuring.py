"""Ties together what is measured: samples, loads and energy, from the machine to the journal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from penstock.config.schema import Settings
from penstock.core.accounting.host_sample import HostSample
from penstock.core.accounting.load_record import LoadRecord
from penstock.core.accounting.record import CallRecord
from penstock.core.model import Phase
from penstock.runtime.calls.call import Interruptible
from penstock.runtime.engines.dispatcher import Dispatcher
from penstock.runtime.engines.loads import Loads
from penstock.runtime.engines.observed import Observed
from penstock.runtime.machine.energy import EnergyMeter
from penstock.runtime.machine.readings import Ids
from penstock.runtime.machine.sampling import Devices, Engine, Machine, Sampling
from penstock.runtime.records.recorder import Recorder
from penstock.sample.base import Reading


class Journal(Protocol):
    """What is needed of store.journal.Journal."""

    def note(self, record: LoadRecord | HostSample) -> None: ...
    def amended(self, record: CallRecord) -> None: ...


class Measuring:
    """serving: calls that have a slot; on_change: somebody may want to be told of a sample. Both are set later."""

    def __init__(
        self,
        machine: Machine,
        settings: Settings,
        engines: Mapping[str, Engine],
        dispatcher: Dispatcher,
        recorder: Recorder,
        journal: Journal,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self.serving: Mapping[str, Interruptible] = {}
        self.on_change: Callable[[], None] = lambda: None
        self._dispatcher, self._recorder, self._journal = dispatcher, recorder, journal
        ids, devices, every_s = Ids(recorder.gateway_id, recorder.boot_id), Devices.of(settings), settings.sample_every
        self.sampling = Sampling(machine, engines, dispatcher, devices, ids, every_s)
        self.sampling.on_sample = self._sampled
        look = None if every_s is None else self.sampling.look
        self.loads = Loads(self._note, ids, devices=devices.names, tasks=tasks, clock=time.monotonic, look=look)
        self.observed = Observed(self._note, ids, time.monotonic)
        self._meter = EnergyMeter(every_s or 0.0, self._at_work, self._is_loading, self._amend)
        recorder.on_end = self._meter.end
        dispatcher.loads = self.loads

    def close(self) -> None:
        """Nothing is measured any more. Idempotent."""
        self.sampling.close()
        self.loads.close()

    def _sampled(self, sample: HostSample, reading: Reading) -> None:
        self._meter.read(reading)
        self._note(sample)
        self.on_change()

    def _note(self, noted: LoadRecord | HostSample) -> None:
        self._journal.note(noted)
        self._recorder.wake()

    def _amend(self, record: CallRecord) -> None:
        self._journal.amended(record)
        self._recorder.wake()

    def _at_work(self) -> list[CallRecord]:
        return [each.call.record for each in self.serving.values()]

    def _is_loading(self) -> bool:
        return any(replica.phase is Phase.STARTING for replica in self._dispatcher.replicas.values())
