"""How much memory is free, by what the system says."""

from __future__ import annotations

from penstock.discovery.machine import host_memory_bytes
from penstock.sample.host import free_bytes, from_meminfo, from_vm_stat

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
