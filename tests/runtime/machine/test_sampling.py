"""The sampling thread, and what becomes of its readings."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from penstock.config.load import loads
from penstock.core.accounting.host_sample import DeviceSample, HostSample
from penstock.core.fitting.residency import Footprint
from penstock.core.model import Model, Phase, Replica
from penstock.runtime.machine.readings import Ids, free_bytes, sample_of, sizes_of, used_bytes
from penstock.runtime.machine.sampling import MAX_BACKLOG, Devices, Sampling
from penstock.sample.base import EngineProcess, EngineReading, GpuReading, HostReading, Reading
from tests.fakes import in_loop

IDS = Ids("g", "b")
PROCESS = EngineProcess("a", "a", 1, 7, 5001, is_ready=True)
ENGINE = EngineReading(PROCESS, (7, 8), 12.0, resident_bytes=90, own_bytes=50, mapped_bytes=30, is_whole=True)
HOST = HostReading(cpu_pct=5.0, ram_total_bytes=1000, ram_available_bytes=600)
MATRIX = "models: {a: {gguf: m.gguf, memory: 1GiB}}\nresidency: matrix\nmatrix: {sets: {only: a}}"
RAM = Devices(("ram",), frozenset({"ram"}))


def gpu(name: str = "gpu0", used: int | None = 300, by_pid: dict[int, int] | None = None) -> GpuReading:
    sample = DeviceSample(name, 40.0, used, 1000, power_w=100.0, clock_mhz=1500.0)
    return GpuReading(sample, memory_by_pid=by_pid, use_by_pid={7: 30.0, 99: 10.0})


def reading(*gpus: GpuReading, engines: Sequence[EngineReading] = (ENGINE,)) -> Reading:
    return Reading(1000.0, 5.0, HOST, gpus, tuple(engines))


# What a reading says.


def test_files_that_engines_have_mapped_are_not_free() -> None:
    assert free_bytes(reading()) == {"ram": 570}
    assert free_bytes(reading(gpu(), gpu("gpu1", used=None))) == {"ram": 570, "gpu0": 700}


def test_what_is_in_use_of_devices_is_known_for_all_of_them_or_not_at_all() -> None:
    assert used_bytes(reading(gpu()), ["ram"]) == 430
    assert used_bytes(reading(gpu()), ["ram", "gpu0"]) == 730
    assert used_bytes(reading(gpu()), ["ram", "gpu1"]) is None
    assert used_bytes(reading(gpu()), []) is None


def test_an_engine_takes_of_each_device_what_its_processes_hold() -> None:
    gpus = [gpu(by_pid={7: 100, 8: 20, 99: 500}), gpu("gpu1", by_pid={})]
    assert sizes_of(ENGINE, gpus, ["gpu0", "gpu1", "ram"]) == {"gpu0": 120, "gpu1": 0, "ram": 80}
    assert sizes_of(ENGINE, gpus, ["gpu0", "gpu1"]) == {"gpu0": 120, "gpu1": 0}


def test_where_the_hosts_memory_is_the_only_device_it_stands_for_all_there_is() -> None:
    assert sizes_of(ENGINE, [gpu(by_pid={7: 100})], ["ram"]) == {"ram": 180}
    assert sizes_of(ENGINE, [], ["ram"]) == {"ram": 80}


@pytest.mark.parametrize(
    ("gpus", "devices"),
    [
        ([gpu(by_pid=None)], ["gpu0"]),  # it does not tell whose memory it is
        ([gpu(by_pid=None)], ["ram"]),
        ([gpu(by_pid={7: 1})], ["gpu1"]),  # no such device
        ([gpu(by_pid={7: 1})], ["ram", "ours"]),
        ([gpu(by_pid={7: 1}), gpu("gpu1", by_pid={7: 1})], ["gpu0"]),  # part of it is on a device that is not ours
    ],
)
def test_a_size_that_is_not_wholly_known_is_unknown(gpus: list[GpuReading], devices: list[str]) -> None:
    assert sizes_of(ENGINE, gpus, devices) is None


def test_a_sample_has_the_gpus_together_and_each_for_itself() -> None:
    two = reading(gpu(by_pid={7: 100}), gpu("gpu1", used=None, by_pid={8: 5}))
    sample = sample_of(two, IDS, "box")
    assert (sample.gpu_pct, sample.gpu_memory_used_bytes, sample.power_w) == (40.0, 300, 200.0)
    assert [device.name for device in sample.devices] == ["gpu0", "gpu1"]
    [engine] = sample.engines
    assert (engine.engine, engine.pid, engine.resident_bytes, engine.footprint_bytes) == ("a", 7, 90, 80)
    assert (engine.device_memory_bytes, engine.gpu_use_pct) == (105, 60.0)


def test_what_is_not_measured_is_unknown_in_a_sample() -> None:
    sample = sample_of(reading(), IDS, "box")
    assert (sample.gpu_pct, sample.power_w, sample.ram_wired_bytes, sample.devices) == (None, None, None, [])
    assert sample.engines[0].device_memory_bytes is None
    [engine] = sample_of(reading(gpu(by_pid=None)), IDS, "box").engines
    assert engine.device_memory_bytes is None


# Which devices are looked at.


@pytest.mark.parametrize(
    ("text", "names", "watched"),
    [
        ("", ("ram",), {"ram"}),
        ("residency: groups", ("ram",), set()),
        (MATRIX, ("ram",), set()),
        ("devices: {gpu0: {memory: 24GiB}, ram: {memory: 8GiB}}", ("gpu0", "ram"), {"gpu0"}),
        (f"{MATRIX}\ndevices: {{gpu0: {{memory: 24GiB}}}}", ("gpu0",), {"gpu0"}),
    ],
)
def test_the_hosts_memory_is_watched_unless_it_was_declared(
    text: str, names: tuple[str, ...], watched: set[str]
) -> None:
    settings = loads(f"penstock: 1\n{text}\n", name="test", environ={}).settings
    assert Devices.of(settings) == Devices(names, frozenset(watched))


# What becomes of it.


@dataclass
class Told:
    """A dispatcher's side of it."""

    replicas: dict[str, Replica]
    free: list[tuple[str, int]] = field(default_factory=list)
    sizes: list[tuple[str, int, Footprint]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.read_memory: Callable[[], dict[str, int]] = dict

    def memory(self, device: str, free_bytes: int) -> None:
        self.free.append((device, free_bytes))

    def measured(self, replica_id: str, generation: int, footprint: Footprint) -> None:
        self.sizes.append((replica_id, generation, footprint))


@dataclass
class Running:
    process: EngineProcess | None = PROCESS


class Machine:
    """Gives one reading after the other; an exception is raised."""

    def __init__(self, *readings: Reading | Exception, is_blind: bool = False) -> None:
        self.is_blind = is_blind
        self.meanwhile: Callable[[], None] = lambda: None
        self.asked: list[list[EngineProcess]] = []
        self._readings = list(readings)

    def read(self, engines: Sequence[EngineProcess]) -> Reading:
        self.asked.append(list(engines))
        self.meanwhile()
        answer = self._readings.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def ready(footprint: Footprint | None = (("ram", 500),)) -> Told:
    return Told({"a": Replica("a", Model("a", footprint=footprint), Phase.READY, generation=1)})


def sampling(machine: Machine, told: Told, devices: Devices = RAM, every_s: float | None = 0.01) -> Sampling:
    return Sampling(machine, {"a": Running(), "far": Running(None)}, told, devices, IDS, every_s)


@in_loop
async def test_the_scheduler_is_told_what_is_free_and_what_engines_take() -> None:
    machine, told = Machine(reading(), reading()), ready()
    looks = sampling(machine, told)
    await looks.look()
    await looks.look()
    assert told.free == [("ram", 570), ("ram", 570)]
    assert told.sizes == [("a", 1, (("ram", 80),))]  # once
    assert machine.asked == [[PROCESS], [PROCESS]]


@in_loop
async def test_a_device_that_was_declared_is_as_large_as_its_owner_says() -> None:
    told = ready()
    await sampling(Machine(reading()), told, Devices(("ram",), frozenset())).look()
    assert told.free == []
    assert len(told.sizes) == 1


@in_loop
async def test_a_reading_from_before_a_swap_is_not_told_after_it() -> None:
    machine, told = Machine(reading()), ready()
    machine.meanwhile = lambda: told.replicas["a"].move(Phase.STOPPED, 1.0)
    await sampling(machine, told).look()
    assert (told.free, told.sizes) == ([], [])


@pytest.mark.parametrize(
    ("phase", "generation", "is_whole", "is_blind", "footprint"),
    [
        (Phase.STARTING, 1, True, False, (("ram", 500),)),
        (Phase.READY, 2, True, False, (("ram", 500),)),
        (Phase.READY, 1, False, False, (("ram", 500),)),  # a container's client
        (Phase.READY, 1, True, True, (("ram", 500),)),  # a GPU that cannot be read may hold all of it
        (Phase.READY, 1, True, False, (("gpu0", 500),)),  # the GPU does not see it, though it must be there
    ],
)
@in_loop
async def test_a_size_that_may_not_be_all_of_it_is_not_learned(
    phase: Phase, generation: int, is_whole: bool, is_blind: bool, footprint: Footprint
) -> None:
    engine = EngineReading(PROCESS, (7,), own_bytes=50, is_whole=is_whole)
    machine = Machine(reading(gpu(by_pid={99: 5}), engines=[engine]), is_blind=is_blind)
    told = Told({"a": Replica("a", Model("a", footprint=footprint), phase, generation=generation)})
    await sampling(machine, told, Devices(("gpu0", "ram"), frozenset({"gpu0"}))).look()
    assert told.sizes == []


@in_loop
async def test_a_driver_that_fails_is_a_gap_and_nothing_else() -> None:
    looks = sampling(Machine(RuntimeError("driver"), reading()), ready())
    assert await looks.look() is None
    assert await looks.look() is not None


@in_loop
async def test_samples_come_every_so_often_and_the_last_one_is_kept() -> None:
    looks = sampling(Machine(*[reading()] * 50), ready())
    samples: asyncio.Queue[HostSample] = asyncio.Queue()
    looks.on_sample = lambda sample, _reading: samples.put_nowait(sample)
    watching = asyncio.create_task(looks.watch())
    async with asyncio.timeout(5):
        await samples.get()
        second = await samples.get()
    watching.cancel()
    assert second.cpu_pct == 5.0
    assert looks.last is not None


@in_loop
async def test_nothing_is_sampled_where_it_is_switched_off() -> None:
    machine = Machine()
    looks = sampling(machine, ready(), Devices(("ram",), frozenset()), every_s=None)
    async with asyncio.timeout(5):
        await looks.watch()  # there is nothing to watch
    assert (machine.asked, looks.last) == ([], None)


@in_loop
async def test_the_loop_goes_on_while_a_driver_hangs_and_the_program_can_end() -> None:
    hangs = threading.Event()
    machine, told = Machine(reading()), ready()

    def hang() -> None:
        hangs.wait(5)

    machine.meanwhile = hang
    looks = sampling(machine, told)
    looking = asyncio.create_task(looks.look())
    for _ in range(100):
        await asyncio.sleep(0)
    assert not looking.done()
    hangs.set()
    async with asyncio.timeout(5):
        assert await looking is not None
    looks.close()


@in_loop
async def test_readings_do_not_pile_up_behind_one_that_does_not_come() -> None:
    hangs, begun = threading.Event(), threading.Event()
    machine = Machine(*[reading()] * (MAX_BACKLOG + 5))

    def hang() -> None:
        begun.set()
        hangs.wait(5)

    machine.meanwhile = hang
    looks = sampling(machine, ready())
    waiting = [asyncio.create_task(looks.look())]
    await asyncio.to_thread(begun.wait, 5)
    waiting += [asyncio.create_task(looks.look()) for _ in range(MAX_BACKLOG + 1)]
    await asyncio.sleep(0)
    assert await looks.look() is None
    hangs.set()
    assert None not in await asyncio.gather(*waiting)


@in_loop
async def test_free_memory_is_told_before_anything_is_loaded_and_after_each_end() -> None:
    told = ready()
    looks = sampling(Machine(reading()), told)
    looks.begin()
    [(device, before)] = told.free
    assert device == "ram"
    assert before > 0
    await looks.look()
    assert told.read_memory()["ram"] > 0
