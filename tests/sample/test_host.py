"""How much memory is free, by what the system says."""

from __future__ import annotations

import os

from penstock.discovery.machine import host_memory_bytes
from penstock.sample.base import EngineProcess
from penstock.sample.host import Host, compressed_bytes, free_bytes, from_meminfo, from_vm_stat
from penstock.sample.machine import this_machine

MEMINFO = """\
MemTotal:       24683784 kB
MemFree:        22542340 kB
MemAvailable:   24027136 kB
Buffers:            1234 kB
"""
VM_STAT = """\
Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                               10.
Pages active:                         400000.
Pages inactive:                           20.
Pages speculative:                         3.
Pages throttled:                           0.
Pages wired down:                     100000.
Pages purgeable:                           4.
"""


def test_linux_says_what_is_available() -> None:
    assert from_meminfo(MEMINFO) == 24_027_136 * 1024
    assert from_meminfo("") is None


def test_macos_says_it_in_pages() -> None:
    assert from_vm_stat(VM_STAT) == 37 * 16384
    assert from_vm_stat("nothing") is None


def test_this_machine_has_some_memory_free_and_no_more_than_it_has() -> None:
    free = free_bytes()
    assert free is not None
    assert 0 < free <= host_memory_bytes()


def test_what_the_compressor_of_macos_holds_is_told_in_bytes() -> None:
    assert compressed_bytes(VM_STAT + "Pages occupied by compressor:            7.\n") == 7 * 16384
    assert compressed_bytes(VM_STAT) is None


def test_this_machine_tells_how_busy_it_is_from_the_second_reading_on() -> None:
    host = Host()
    first, second = host.read(), host.read()
    assert first.cpu_pct is None
    assert second.cpu_pct is not None
    assert 0 <= second.cpu_pct <= 100
    assert first.ram_total_bytes is not None
    assert first.ram_available_bytes is not None
    assert 0 < first.ram_available_bytes < first.ram_total_bytes


def test_a_reading_of_this_machine_has_all_its_parts() -> None:
    reading = this_machine().read([EngineProcess("me", "me", 1, os.getpid())])
    assert reading.host.ram_total_bytes == host_memory_bytes()
    [engine] = reading.engines
    assert engine.resident_bytes is not None
    assert engine.resident_bytes > 2**20
    assert not engine.is_whole
