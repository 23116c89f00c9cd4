"""The account of loads: one record for each start of an engine, from the first victim's end until it is ready.

Everything is told by the dispatcher, in the order in which it happens; nothing here waits. What was in use on the
devices before and after, and what the engine has read, comes from the sampling thread a moment later: until then the
record's last line is held back, because nothing changes a record that has ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from penstock.core.accounting.load_record import LoadCause, LoadOutcome, LoadRecord
from penstock.core.model import Replica
from penstock.runtime.machine.readings import Ids, used_bytes
from penstock.runtime.records.recorder import uuid7
from penstock.sample.base import Reading

Note = Callable[[LoadRecord], None]
Look = Callable[[], Coroutine[None, None, Reading | None]]


@dataclass(slots=True, eq=False)
class _Load:
    """One that is under way. generation 0 = its engine is not started yet."""

    record: LoadRecord
    began_s: float
    generation: int = 0
    victims_left: set[str] = field(default_factory=set)
    before: asyncio.Task[None] | None = None


class Loads:
    """`last`: by model, the load that it had last, or that is under way."""

    def __init__(
        self,
        note: Note,
        ids: Ids,
        *,
        devices: tuple[str, ...],
        tasks: asyncio.TaskGroup,
        clock: Callable[[], float],
        look: Look | None = None,
    ) -> None:
        """note: keeps a record as it is now. look None: memory is not measured."""
        self.last: dict[str, LoadRecord] = {}
        self.preloading: set[str] = set()
        self._note, self._ids, self._devices = note, ids, devices
        self._tasks, self._clock, self._look = tasks, clock, look
        self._under_way: dict[str, _Load] = {}
        self._held_back: dict[str, LoadRecord] = {}  # ended, but not yet measured
        self._asked: dict[str, LoadCause] = {}  # by whom a model was asked for that nobody waits for
        self._died: set[str] = set()
        self._measuring: set[asyncio.Task[None]] = set()

    # What the operator wants.

    def asked(self, model: str, *, is_wanted: bool) -> None:
        """By an operator, or at the start of the gateway: that it be loaded, or that it not be."""
        self._asked.pop(model, None)
        if is_wanted:
            self._asked[model] = LoadCause.PRELOAD if model in self.preloading else LoadCause.COMMAND
        self.preloading.discard(model)

    # Deeds and facts.

    def makes_room(self, target: Replica, victim: str, ticket_id: str | None) -> None:
        """The victim is being stopped for the target."""
        load = self._under_way.get(target.id) or self._begin(target, ticket_id)
        load.record.victims.append(victim)
        load.victims_left.add(victim)

    def starting(self, replica: Replica, generation: int, ticket_id: str | None) -> None:
        load = self._under_way.get(replica.id) or self._begin(replica, ticket_id)
        load.generation = generation
        record = load.record
        if record.victims:
            record.release_s = self._clock() - load.began_s - (record.stop_s or 0.0)
        if self._look is not None:
            load.before = self._measure(self._measure_before(load, self._look))
        self._note(record)

    def answered(self, replica_id: str, generation: int) -> None:
        """Its process answered something, for the first time."""
        if (load := self._started(replica_id, generation)) is not None and load.record.start_s is None:
            load.record.start_s = self._clock() - load.began_s - _before_start_s(load.record)

    def ready(self, replica_id: str, generation: int, calls_waiting: int) -> None:
        load = self._started(replica_id, generation)
        if load is None:
            return
        record = load.record
        self._end(load, LoadOutcome.READY, calls_waiting)
        assert record.done_s is not None
        record.ready_s = record.done_s - _before_start_s(record) - (record.start_s or 0.0)
        if self._look is None:
            self._note(record)
        else:
            self._held_back[record.id] = record
            self._measure(self._measure_after(load, self._look))

    def failed(self, replica_id: str, generation: int, reason: str, calls_waiting: int) -> None:
        if (load := self._started(replica_id, generation)) is not None:
            load.record.error_detail = reason
            self._end(load, LoadOutcome.FAILED, calls_waiting)
            self._note(load.record)

    def gone(self, replica_id: str, generation: int, reason: str | None, calls_waiting: int) -> None:
        """Its process is no more; a reason = by itself. Before it was ready: nobody wanted it any more."""
        for load in self._under_way.values():
            if replica_id in load.victims_left:
                load.victims_left.discard(replica_id)
                if not load.victims_left:
                    load.record.stop_s = self._clock() - load.began_s
        if reason is not None:
            self._died.add(replica_id)
        if (load_of := self._started(replica_id, generation)) is None:
            return
        if reason is not None:
            self.failed(replica_id, generation, reason, calls_waiting)
            return
        self._end(load_of, LoadOutcome.CANCELLED, calls_waiting)
        self._note(load_of.record)

    def look(self, is_wanted: Callable[[str], bool]) -> None:
        """Room was made for a model that nobody wants any more. `is_wanted`: by calls, or for good."""
        for load in list(self._under_way.values()):
            model = load.record.model
            if not load.generation and not load.victims_left and not (model in self._asked or is_wanted(model)):
                self._end(load, LoadOutcome.CANCELLED, 0)
                self._note(load.record)

    def close(self) -> None:
        """Keep what was held back: nothing will be measured any more. Idempotent."""
        for task in self._measuring:
            task.cancel()
        for record in self._held_back.values():
            self._note(record)
        self._held_back.clear()

    # Inside.

    def _begin(self, replica: Replica, ticket_id: str | None) -> _Load:
        now = time.time()
        record = LoadRecord(
            uuid7(now), self._ids.gateway_id, self._ids.boot_id, replica.model.name, now, engine=replica.id
        )
        record.devices = [device for device, _ in replica.model.footprint or ()] or list(self._devices)
        record.cause, record.call_id = self._cause(replica, ticket_id).value, ticket_id
        load = self._under_way[replica.id] = _Load(record, self._clock())
        self.last[replica.id] = record
        self._note(record)
        return load

    def _cause(self, replica: Replica, ticket_id: str | None) -> LoadCause:
        if ticket_id is not None:
            return LoadCause.REQUEST
        if (asked := self._asked.get(replica.id)) is not None:
            return asked
        return LoadCause.RESTART if replica.id in self._died else LoadCause.PIN

    def _started(self, replica_id: str, generation: int) -> _Load | None:
        load = self._under_way.get(replica_id)
        return load if load is not None and load.generation == generation else None

    def _end(self, load: _Load, outcome: LoadOutcome, calls_waiting: int) -> None:
        record = load.record
        record.outcome, record.done_s = outcome.value, self._clock() - load.began_s
        record.calls_waiting = calls_waiting
        self._under_way.pop(record.engine or "", None)
        if outcome is not LoadOutcome.FAILED:  # else it is tried again, for the same reason
            self._asked.pop(record.engine or "", None)
            self._died.discard(record.engine or "")

    def _measure(self, measuring: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self._tasks.create_task(measuring)
        self._measuring.add(task)
        task.add_done_callback(self._measuring.discard)
        return task

    async def _measure_before(self, load: _Load, look: Look) -> None:
        if (reading := await look()) is not None:
            load.record.memory_before_bytes = used_bytes(reading, load.record.devices)

    async def _measure_after(self, load: _Load, look: Look) -> None:
        record = load.record
        if load.before is not None:
            await load.before
        reading = await look()
        del self._held_back[record.id]
        own = () if reading is None else (each for each in reading.engines if each.process.engine == record.engine)
        engine = next((each for each in own if each.process.generation == load.generation), None)
        if reading is not None and engine is not None:  # else it is gone already, and what is in use is another's
            record.memory_after_bytes = used_bytes(reading, record.devices)
            record.read_bytes = engine.read_bytes
        self._note(record)


def _before_start_s(record: LoadRecord) -> float:
    return (record.stop_s or 0.0) + (record.release_s or 0.0)
