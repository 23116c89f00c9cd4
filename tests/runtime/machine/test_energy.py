"""Energy by call: from readings that come now and then to records that have ended in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.accounting.host_sample import DeviceSample
from penstock.core.accounting.record import CallRecord
from penstock.runtime.machine.energy import EnergyMeter, devices_of, used_j
from penstock.sample.base import EngineProcess, EngineReading, GpuReading, HostReading, Reading

EVERY_S = 5.0
ENGINE = EngineReading(EngineProcess("a", "a", 1, 7), (7,))


def gpu(energy_j: float | None = None, power_w: float | None = 100.0, name: str = "gpu0") -> GpuReading:
    sample = DeviceSample(name, memory_total_bytes=1000, power_w=power_w)
    return GpuReading(sample, energy_j, memory_by_pid={7: 500})


def reading(at: float, *gpus: GpuReading, engines: tuple[EngineReading, ...] = (ENGINE,)) -> Reading:
    return Reading(at, at - 1000.0, HostReading(), gpus, engines)


def call(call_id: str, sent_at: float, done_at: float | None = None, engine: str = "a") -> CallRecord:
    """Received a second before it was sent."""
    record = CallRecord(call_id, "g", "b", "1", sent_at - 1.0, "POST", "/", "openai")
    record.engine, record.sent_s = engine, 1.0
    record.done_s = None if done_at is None else done_at - record.received_at
    return record


@dataclass
class World:
    running: list[CallRecord] = field(default_factory=list)
    amended: list[str] = field(default_factory=list)
    is_loading: bool = False

    def meter(self) -> EnergyMeter:
        return EnergyMeter(
            EVERY_S, lambda: self.running, lambda: self.is_loading, lambda record: self.amended.append(record.id)
        )


def test_a_call_that_ended_between_two_readings_is_charged_and_written_again() -> None:
    world = World()
    meter = world.meter()
    meter.read(reading(1000.0, gpu(0.0)))
    record = call("c", 1001.0, 1003.0)
    meter.end(record)
    meter.read(reading(1005.0, gpu(500.0)))
    assert record.energy_j == pytest.approx(200.0)  # two fifths of the span, as nothing is known of its idle power
    assert world.amended == ["c"]


def test_what_it_draws_when_idle_is_known_once_it_was_seen_with_nothing_to_do() -> None:
    world = World()
    meter = world.meter()
    meter.read(reading(1000.0, gpu(0.0)))
    meter.read(reading(1005.0, gpu(100.0)))  # 20 W
    record = call("c", 1006.0, 1008.0)
    meter.end(record)
    meter.read(reading(1010.0, gpu(660.0)))
    assert record.energy_j == pytest.approx(560.0 - 3 * 20.0)


def test_a_load_is_not_taken_for_idleness() -> None:
    world = World(is_loading=True)
    meter = world.meter()
    meter.read(reading(1000.0, gpu(0.0)))
    meter.read(reading(1005.0, gpu(100.0)))
    record = call("c", 1006.0, 1008.0)
    meter.end(record)
    meter.read(reading(1010.0, gpu(660.0)))
    assert record.energy_j == pytest.approx(560.0 * 2 / 5)


def test_a_long_call_is_charged_over_all_readings_it_has_seen() -> None:
    world = World()
    meter = world.meter()
    meter.read(reading(1000.0, gpu(0.0)))
    long = call("long", 1002.0)
    world.running = [long]
    meter.read(reading(1005.0, gpu(500.0)))
    meter.read(reading(1010.0, gpu(1500.0)))
    long.done_s, world.running = 1012.5 - long.received_at, []
    meter.end(long)
    meter.read(reading(1015.0, gpu(2000.0)))
    assert long.energy_j == pytest.approx(500.0 * 3 / 5 + 1000.0 + 500.0 / 2)


def test_calls_that_run_at_once_share_what_was_used() -> None:
    world = World()
    meter = world.meter()
    meter.read(reading(1000.0, gpu(0.0)))
    records = [call(name, 1000.0, 1005.0) for name in "xy"]
    for record in records:
        meter.end(record)
    meter.read(reading(1005.0, gpu(500.0)))
    assert [record.energy_j for record in records] == [pytest.approx(250.0)] * 2


def test_what_was_not_measured_all_the_time_is_unknown() -> None:
    world = World()
    meter = world.meter()
    early = call("early", 990.0)  # older than the first reading
    world.running = [early]
    meter.read(reading(1000.0, gpu(0.0)))
    through_gap = call("gap", 1006.0)
    world.running = [early, through_gap]
    meter.read(reading(1005.0, gpu(500.0)))
    meter.read(reading(1060.0, gpu(900.0)))  # the machine slept
    for record in world.running:
        record.done_s = 1062.0 - record.received_at
        meter.end(record)
    world.running = []
    meter.read(reading(1065.0, gpu(1400.0)))
    assert (early.energy_j, through_gap.energy_j) == (None, None)
    assert world.amended == []


def test_a_call_that_ended_while_the_reading_was_on_its_way_is_charged_with_the_next() -> None:
    world = World()
    meter = world.meter()
    meter.read(reading(1000.0, gpu(0.0)))
    late = call("late", 1004.0, 1005.5)
    meter.end(late)
    meter.read(reading(1005.0, gpu(500.0)))
    assert late.energy_j is None
    meter.read(reading(1010.0, gpu(1000.0)))
    assert late.energy_j == pytest.approx(100.0 + 50.0)


def test_a_call_to_an_engine_without_a_measured_device_is_unknown() -> None:
    world = World()
    meter = world.meter()
    meter.read(reading(1000.0, gpu(0.0)))
    record = call("far", 1001.0, 1002.0, engine="elsewhere")
    meter.end(record)
    meter.read(reading(1005.0, gpu(500.0)))
    assert record.energy_j is None


def test_an_engine_that_was_swapped_out_meanwhile_is_still_known_to_have_been_there() -> None:
    world = World()
    meter = world.meter()
    meter.read(reading(1000.0, gpu(0.0)))
    record = call("c", 1000.0, 1005.0)
    meter.end(record)
    meter.read(reading(1005.0, gpu(500.0), engines=()))
    assert record.energy_j == pytest.approx(500.0)


def test_where_no_power_is_measured_nothing_is_kept() -> None:
    world = World()
    meter = world.meter()
    meter.read(reading(1000.0, gpu(None, None)))
    record = call("c", 1001.0, 1003.0)
    meter.end(record)
    meter.read(reading(1005.0, gpu(None, None)))
    assert (record.energy_j, world.amended) == (None, [])


def test_energy_is_told_by_the_counter_or_by_power_at_both_ends() -> None:
    assert used_j(gpu(100.0), gpu(350.0), 5.0) == 250.0
    assert used_j(gpu(None, 100.0), gpu(None, 200.0), 5.0) == 750.0
    assert used_j(gpu(500.0, 100.0), gpu(3.0, 100.0), 5.0) == 500.0  # the driver was started anew
    assert used_j(gpu(None, None), gpu(None, 200.0), 5.0) is None


def test_an_engine_works_on_the_gpus_that_hold_its_memory() -> None:
    other = GpuReading(DeviceSample("gpu1", memory_total_bytes=1000), memory_by_pid={99: 5})
    shared = GpuReading(DeviceSample("gpu2"), memory_by_pid={})
    assert devices_of(ENGINE, [gpu(), other, shared]) == {"gpu0", "gpu2"}


# Any history, against looking at every tenth of a second.

Work = tuple[int, int]
"""Of one call, from and to, in tenths of seconds after the first reading; it may lie before that."""

works = st.lists(st.tuples(st.integers(-20, 400), st.integers(1, 150)).map(lambda each: (each[0], each[0] + each[1])))
uses = st.lists(st.tuples(st.integers(0, 900).map(float), st.sampled_from([True, True, False])), min_size=1, max_size=8)


def looked_at_every_tenth(calls: list[Work], used_j: list[float | None]) -> list[float | None]:
    """used_j: of the device between one reading and the next, 5 s each; None = one of them did not say."""
    told: list[float | None] = [0.0 if start >= 0 else None for start, _ in calls]
    idle_w: float | None = None
    for number, energy_j in enumerate(used_j):
        ticks = range(50 * number, 50 * number + 50)
        own = [sum(start <= tick < end for tick in ticks) for start, end in calls]
        if energy_j is None:
            told = [None if mine else known for mine, known in zip(own, told, strict=True)]
            continue
        if not any(own):
            idle_w = energy_j / 5
            continue
        quiet = sum(not any(start <= tick < end for start, end in calls) for tick in ticks) / 10
        charged_j = energy_j - quiet * (energy_j / 5 if idle_w is None else min(idle_w, energy_j / 5))
        told = [
            None if known is None else known + charged_j * mine / sum(own)
            for mine, known in zip(own, told, strict=True)
        ]
    return [known if end <= 50 * len(used_j) else None for known, (_, end) in zip(told, calls, strict=True)]


@given(works, uses)
def test_calls_are_charged_as_looking_at_every_tenth_of_a_second_says(
    calls: list[Work], read: list[tuple[float, bool]]
) -> None:
    """read: what was used until each reading, and whether that one says so."""
    world = World()
    meter = world.meter()
    records = [call(f"c{number}", 1000 + start / 10) for number, (start, _) in enumerate(calls)]
    counted_j = 0.0
    for number, (energy_j, is_told) in enumerate([(0.0, True), *read]):
        now = 50 * number
        for record, (start, end) in zip(records, calls, strict=True):
            if record.done_s is None and end <= now and (number > 0 or start < 0):
                record.done_s = 1000 + end / 10 - record.received_at
                meter.end(record)
        world.running = [
            record for record, (start, _) in zip(records, calls, strict=True) if record.done_s is None and start < now
        ]
        counted_j += energy_j
        meter.read(reading(1000.0 + 5 * number, gpu(counted_j) if is_told else gpu(None, None)))
    ends = pairwise([True, *(is_told for _, is_told in read)])
    used_j = [energy_j if all(both) else None for (energy_j, _), both in zip(read, ends, strict=True)]
    expected = looked_at_every_tenth(calls, used_j)
    assert [record.energy_j for record in records] == [
        None if each is None else pytest.approx(each) for each in expected
    ]
