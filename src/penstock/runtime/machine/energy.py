"""Charges what the devices used to the calls that ran on them, from one reading to the next.

A call ends between two readings. What it used is known with the second one, a few seconds after its record was closed:
then the record is written once more, with its energy. To guess it at the end would charge a short call with the power
of a moment before it had begun.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from penstock.core.accounting.energy import Span, shares_j
from penstock.core.accounting.record import CallRecord
from penstock.sample.base import EngineReading, GpuReading, Reading

MAX_ENDED = 100_000
"""So many calls may end between two readings; of earlier ones nobody will know what they used."""
GAP_READINGS = 3.0
"""Readings that are so many times further apart than they should be have a gap between them: nothing is measured."""


@dataclass(slots=True)
class _Account:
    """What one call has used so far. is_whole: all of the time in which it was at work was measured."""

    energy_j: float = 0.0
    is_whole: bool = True


@dataclass(slots=True)
class _Interval:
    """Between two readings. energy_j: by device; absent = not measured."""

    span: Span
    energy_j: dict[str, float] = field(default_factory=dict)


class EnergyMeter:
    """Is told of the end of every call (`end`), and of every reading."""

    def __init__(
        self,
        every_s: float,
        running: Callable[[], Iterable[CallRecord]],
        is_loading: Callable[[], bool],
        amend: Callable[[CallRecord], None],
    ) -> None:
        """running: calls that are at work. is_loading: does an engine start just now? amend: writes a record again."""
        self._ended: deque[CallRecord] | None = None  # since the last reading; None = nothing is measured
        self._every_s, self._running, self._is_loading, self._amend = every_s, running, is_loading, amend
        self._last: Reading | None = None
        self._was_loading = False
        self._idle_w: dict[str, float] = {}  # by device: when it was seen last with nothing to do
        self._devices: dict[str, frozenset[str]] = {}  # by engine: those it was last seen on
        self._accounts: dict[str, _Account] = {}  # by call

    def end(self, record: CallRecord) -> None:
        """A call has ended; cheap where nothing is measured."""
        if self._ended is not None:
            self._ended.append(record)

    def read(self, reading: Reading) -> None:
        """Another reading has come."""
        last, self._last = self._last, reading
        if not any(gpu.sample.power_w is not None or gpu.energy_j is not None for gpu in reading.gpus):
            self._ended = None
            self._accounts.clear()
            return
        for engine in reading.engines:
            self._devices[engine.process.engine] = devices_of(engine, reading.gpus)
        ended, self._ended = self._ended, deque(maxlen=MAX_ENDED)
        if last is not None and ended is not None:
            self._charge(_interval(last, reading, self._every_s * GAP_READINGS), list(ended))

    def _charge(self, interval: _Interval, ended: list[CallRecord]) -> None:
        running = [record for record in self._running() if record.sent_s is not None]
        records = [*running, *(record for record in ended if record.sent_s is not None)]
        for record in records:
            if record.id not in self._accounts:  # of one that is older than our first reading, a part is missing
                is_whole = _work(record, interval.span).start_s >= interval.span.start_s
                self._accounts[record.id] = _Account(is_whole=is_whole)
        was_loading, self._was_loading = self._was_loading, self._is_loading()
        for device in {device for record in records for device in self._on(record)} | interval.energy_j.keys():
            work = {record.id: _work(record, interval.span) for record in records if device in self._on(record)}
            self._charge_device(device, interval, work, is_quiet=not (work or was_loading or self._was_loading))
        late = [record for record in ended if _work(record, interval.span).end_s > interval.span.end_s]
        for record in ended:
            if record in late:  # it ended while the reading was on its way to us
                continue
            account = self._accounts.pop(record.id, None)
            if account is not None and account.is_whole and self._on(record):
                record.energy_j = account.energy_j
                self._amend(record)
        assert self._ended is not None
        self._ended.extend(late)
        known = {record.id for record in (*running, *late)}
        self._accounts = {call_id: account for call_id, account in self._accounts.items() if call_id in known}

    def _charge_device(self, device: str, interval: _Interval, work: Mapping[str, Span], *, is_quiet: bool) -> None:
        energy_j = interval.energy_j.get(device)
        if energy_j is None:
            for call_id in work:
                self._accounts[call_id].is_whole = False
            return
        if is_quiet:
            self._idle_w[device] = energy_j / interval.span.length_s
        for call_id, share_j in shares_j(energy_j, interval.span, work, self._idle_w.get(device)).items():
            self._accounts[call_id].energy_j += share_j

    def _on(self, record: CallRecord) -> frozenset[str]:
        return self._devices.get(record.engine or "", frozenset())


def devices_of(engine: EngineReading, gpus: Iterable[GpuReading]) -> frozenset[str]:
    """The GPUs it works on, as far as they tell; one that has no memory of its own tells nothing, and may be it."""
    return frozenset(
        gpu.sample.name
        for gpu in gpus
        if not gpu.sample.memory_total_bytes or any(pid in (gpu.memory_by_pid or {}) for pid in engine.pids)
    )


def _work(record: CallRecord, span: Span) -> Span:
    """When it was at work, on the clock on the wall; until now if it still is."""
    end_s = span.end_s if record.done_s is None else record.received_at + record.done_s
    return Span(record.received_at + (record.sent_s or 0.0), end_s)


def _interval(last: Reading, now: Reading, at_most_s: float) -> _Interval:
    interval = _Interval(Span(last.at, now.at))
    if not 0 < now.at_s - last.at_s <= at_most_s or interval.span.length_s <= 0:
        return interval
    before = {gpu.sample.name: gpu for gpu in last.gpus}
    for gpu in now.gpus:
        earlier = before.get(gpu.sample.name)
        energy_j = None if earlier is None else used_j(earlier, gpu, now.at_s - last.at_s)
        if energy_j is not None:
            interval.energy_j[gpu.sample.name] = energy_j
    return interval


def used_j(before: GpuReading, after: GpuReading, span_s: float) -> float | None:
    """By its own counter, else by the mean of its power at both ends; None = it measures neither."""
    if before.energy_j is not None and after.energy_j is not None and after.energy_j >= before.energy_j:
        return after.energy_j - before.energy_j
    if before.sample.power_w is None or after.sample.power_w is None:
        return None
    return (before.sample.power_w + after.sample.power_w) / 2 * span_s
