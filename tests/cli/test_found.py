"""What a machine without a configuration is served with, as far as its GPUs go."""

from __future__ import annotations

from penstock.cli.found import gpus_of, usable_gpus
from penstock.discovery.machine import Engine
from penstock.discovery.placing import Gpu
from tests.sample.test_nvidia import Card, FakeNvml, Memory

GIB = 2**30


def test_gpus_are_counted_as_their_driver_counts_them_and_need_memory_of_their_own() -> None:
    found = gpus_of(FakeNvml(Card(), Card(memory=None), None, Card(memory=Memory(total=48 * GIB))))
    product = "NVIDIA GeForce RTX 4090"
    assert found == [Gpu("gpu0", 24 * GIB, product), Gpu("gpu3", 48 * GIB, product)]


def test_a_driver_that_does_not_answer_has_no_gpus() -> None:
    nvml = FakeNvml(Card())
    nvml.is_there = False
    assert gpus_of(nvml) == []


def test_the_embedded_engine_stays_in_the_hosts_memory() -> None:
    assert usable_gpus(Engine(None)) == []
