"""NVIDIA's GPUs, on a stand-in with the functions of nvidia-ml-py (docs.nvidia.com/deploy/nvml-api)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from penstock.sample.machine import NVIDIA_DRIVER
from penstock.sample.nvidia import RETRY_AFTER_S, Nvidia, Nvml, load_nvml

GIB = 2**30
T = TypeVar("T")


class NotSupported(Exception):
    """As NVMLError is."""


@dataclass
class Memory:
    total: int = 24 * GIB
    used: int = 9 * GIB


@dataclass
class Rates:
    gpu: int = 87


@dataclass
class Process:
    pid: int
    usedGpuMemory: int | None  # noqa: N815


@dataclass
class Use:
    pid: int
    smUtil: int  # noqa: N815
    timeStamp: int  # noqa: N815


@dataclass
class Card:
    """What one card answers; None = it does not support that question."""

    memory: Memory | None = field(default_factory=Memory)
    rates: Rates | None = field(default_factory=Rates)
    milliwatts: int | None = 215_500
    millijoules: int | None = 7_000_000
    celsius: int | None = 61
    megahertz: int | None = 1905
    computing: list[Process] | None = field(default_factory=list)
    drawing: list[Process] | None = field(default_factory=list)
    uses: list[Use] | None = None


class FakeNvml:
    NVMLError: type[Exception] = NotSupported
    NVML_TEMPERATURE_GPU = 0
    NVML_CLOCK_SM = 1

    def __init__(self, *cards: Card | None) -> None:
        """None = a card that has fallen off the bus."""
        self.cards = list(cards)
        self.is_there = True
        self.opened = 0

    def nvmlInit(self) -> None:
        self.opened += 1
        if not self.is_there:
            raise NotSupported

    def nvmlShutdown(self) -> None:
        """There is nothing to give back."""

    def nvmlDeviceGetCount(self) -> int:
        if not self.is_there:
            raise NotSupported
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:
        if self.cards[index] is None:
            raise NotSupported
        return self.cards[index]

    def nvmlDeviceGetName(self, handle: object) -> str:
        return "NVIDIA GeForce RTX 4090"

    def nvmlDeviceGetMemoryInfo(self, handle: object) -> Memory:
        return told(handle, lambda card: card.memory)

    def nvmlDeviceGetUtilizationRates(self, handle: object) -> Rates:
        return told(handle, lambda card: card.rates)

    def nvmlDeviceGetPowerUsage(self, handle: object) -> int:
        return told(handle, lambda card: card.milliwatts)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object) -> int:
        return told(handle, lambda card: card.millijoules)

    def nvmlDeviceGetTemperature(self, handle: object, sensor: int) -> int:
        return told(handle, lambda card: card.celsius)

    def nvmlDeviceGetClockInfo(self, handle: object, clock: int) -> int:
        return told(handle, lambda card: card.megahertz)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: object) -> list[Process]:
        return told(handle, lambda card: card.computing)

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: object) -> list[Process]:
        return told(handle, lambda card: card.drawing)

    def nvmlDeviceGetProcessUtilization(self, handle: object, since_us: int) -> list[Use]:
        uses = [use for use in told(handle, lambda card: card.uses) if use.timeStamp > since_us]
        if not uses:
            raise NotSupported  # as NVML does: NVML_ERROR_NOT_FOUND
        return uses


def told(handle: object, of: Callable[[Card], T | None]) -> T:
    assert isinstance(handle, Card)
    answer = of(handle)
    if answer is None:
        raise NotSupported
    return answer


def test_a_card_tells_its_figures_in_our_units() -> None:
    [reading] = Nvidia(FakeNvml(Card())).read([])
    sample = reading.sample
    assert (sample.name, sample.product) == ("gpu0", "NVIDIA GeForce RTX 4090")
    assert (sample.use_pct, sample.power_w, sample.temperature_c, sample.clock_mhz) == (87.0, 215.5, 61.0, 1905.0)
    assert (sample.memory_used_bytes, sample.memory_total_bytes) == (9 * GIB, 24 * GIB)
    assert reading.energy_j == 7000.0


def test_what_a_card_does_not_support_is_unknown_and_the_rest_is_told() -> None:
    card = Card(memory=None, milliwatts=None, millijoules=None, megahertz=None)
    [reading] = Nvidia(FakeNvml(card)).read([])
    assert reading.sample.use_pct == 87.0
    assert reading.sample.memory_used_bytes is None
    assert (reading.sample.power_w, reading.energy_j, reading.sample.clock_mhz) == (None, None, None)


def test_a_card_that_fell_off_the_bus_is_a_gap_and_the_others_keep_their_names() -> None:
    readings = Nvidia(FakeNvml(None, Card())).read([])
    assert [reading.sample.name for reading in readings] == ["gpu1"]


def test_memory_is_told_by_process_and_once_for_one_that_computes_and_draws() -> None:
    card = Card(computing=[Process(7, 5 * GIB), Process(8, GIB)], drawing=[Process(8, GIB)])
    [reading] = Nvidia(FakeNvml(card)).read([])
    assert reading.memory_by_pid == {7: 5 * GIB, 8: GIB}


def test_memory_that_a_virtual_machine_does_not_split_up_is_unknown_and_not_zero() -> None:
    [reading] = Nvidia(FakeNvml(Card(computing=[Process(7, None)]))).read([])
    assert reading.memory_by_pid is None


def test_the_use_by_process_is_the_mean_since_it_was_asked_last() -> None:
    card = Card(uses=[Use(7, 40, 1000), Use(7, 60, 2000), Use(8, 5, 2000)])
    nvidia = Nvidia(FakeNvml(card))
    [reading] = nvidia.read([])
    assert reading.use_by_pid == {7: 50.0, 8: 5.0}
    [reading] = nvidia.read([])
    assert reading.use_by_pid is None
    assert card.uses is not None
    card.uses.append(Use(7, 90, 3000))
    [reading] = nvidia.read([])
    assert reading.use_by_pid == {7: 90.0}


def test_a_driver_that_is_not_there_is_asked_again_after_a_while() -> None:
    now_s = 100.0
    nvml = FakeNvml(Card())
    nvml.is_there = False
    nvidia = Nvidia(nvml, clock=lambda: now_s)
    assert nvidia.read([]) == []
    assert nvidia.read([]) == []
    assert nvml.opened == 1
    nvml.is_there = True
    now_s += RETRY_AFTER_S
    assert len(nvidia.read([])) == 1
    nvml.is_there = False  # it was replaced while we ran
    assert nvidia.read([]) == []


def test_the_real_module_has_every_name_that_is_used_and_a_machine_without_a_driver_has_no_gpus() -> None:
    pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    nvml = load_nvml()
    assert nvml is not None
    names = {name for name in (*vars(Nvml), *Nvml.__annotations__) if name.lower().startswith("nvml")}
    assert len(names) > 15
    assert [name for name in sorted(names) if not hasattr(nvml, name)] == []
    if not NVIDIA_DRIVER.exists():
        assert Nvidia(nvml).read([]) == []
