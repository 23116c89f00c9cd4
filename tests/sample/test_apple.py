"""The GPU of a Mac, on what `macmon pipe` (its readme) and `ioreg` print."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from penstock.sample.apple import IOREG, MACMON, Apple, from_macmon

TOLD = json.dumps(
    {
        "timestamp": "2026-02-24T20:38:15.427569+00:00",
        "temp": {"cpu_temp_avg": 43.73614, "gpu_temp_avg": 36.95167},
        "memory": {"ram_total": 25769803776, "ram_usage": 20985479168, "swap_total": 0, "swap_usage": 0},
        "ecpu_usage": [1181, 0.082656614],
        "pcpu_usage": [1974, 0.015181795],
        "gpu_usage": [461, 0.021497859],
        "cpu_power": 0.20486385,
        "gpu_power": 0.017451683,
        "ane_power": 0.0,
        "all_power": 0.22231553,
        "sys_power": 5.876533,
    }
).encode()
REGISTRY = b"""+-o AGXAcceleratorG13X  <class AGXAcceleratorG13X, id 0x100000379>
    {
      "IOClass" = "AGXAcceleratorG13X"
      "PerformanceStatistics" = {"In use system memory (driver)"=0,"Alloc system memory"=11075862528,\
"Device Utilization %"=17,"In use system memory"=543211520,"Renderer Utilization %"=16}
    }
"""


def mac(answers: dict[Sequence[str], bytes]) -> Apple:
    return Apple(answers.get)


def test_macmon_knows_power_clock_and_temperature() -> None:
    [reading] = mac({MACMON: TOLD + b"\n", IOREG: REGISTRY}).read([])
    sample = reading.sample
    assert (sample.name, sample.clock_mhz, sample.memory_used_bytes) == ("gpu0", 461, 543211520)
    assert sample.use_pct is not None
    assert abs(sample.use_pct - 2.15) < 0.01
    assert sample.power_w is not None
    assert abs(sample.power_w - 0.01745) < 1e-5
    assert sample.temperature_c is not None
    assert abs(sample.temperature_c - 36.95) < 0.01
    assert (reading.memory_by_pid, reading.use_by_pid, sample.memory_total_bytes) == ({}, None, None)


def test_without_macmon_the_registry_knows_use_and_memory() -> None:
    [reading] = mac({IOREG: REGISTRY}).read([])
    assert (reading.sample.use_pct, reading.sample.memory_used_bytes) == (17.0, 543211520)
    assert (reading.sample.power_w, reading.sample.temperature_c) == (None, None)


def test_a_mac_that_says_nothing_is_a_gap() -> None:
    assert mac({}).read([]) == []
    assert mac({MACMON: b"Error: not supported\n", IOREG: b""}).read([]) == []


@given(st.binary())
def test_whatever_macmon_prints_is_read_or_left(output: bytes) -> None:
    told = from_macmon(output + b"\n" + TOLD + b'\n{"gpu_usage": [1')
    assert told is not None
    assert told.gpu_power == 0.017451683
