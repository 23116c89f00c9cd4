"""Runs the load generator and reads its figures."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.rig.build import Programs
from bench.rig.processes import RIG_CORE, started


@dataclass(frozen=True, slots=True)
class Spread:
    """Microseconds."""

    p50: int
    p99: int
    max: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run of the load generator saw. None = nothing of the kind happened."""

    requests: int
    errors: int
    first_error: str
    seconds: float
    rps: float
    chunks: int
    latency_us: Spread | None
    ttfb_us: Spread | None
    chunk_delay_us: Spread | None


@dataclass(frozen=True, slots=True)
class Load:
    """What to ask, and how much of it: `requests` in all, or for `seconds`."""

    connections: int
    rig: str = "json"
    model: str = "bench"
    requests: int | None = None
    seconds: float = 1.0
    give_up_s: float = 30.0

    def argv(self, programs: Programs, port: int) -> list[str]:
        amount = ["--requests", str(self.requests)] if self.requests else ["--seconds", str(self.seconds)]
        asked = ["--rig", self.rig, "--model", self.model, "--give-up", str(self.give_up_s)]
        return [str(programs.load), "--port", str(port), "--connections", str(self.connections), *amount, *asked]


def run(programs: Programs, port: int, load: Load) -> Figures:
    with started(load.argv(programs, port), RIG_CORE, output=subprocess.PIPE) as process:
        assert process.stdout is not None
        return _read(process.stdout.read())


@contextmanager
def holding(programs: Programs, port: int, streams: int) -> Iterator[int]:
    """Hold streams open that carry an event a second; yields how many got their first content."""
    load = Load(streams, rig="sse:1000000:1000")
    with started([*load.argv(programs, port), "--hold"], RIG_CORE, output=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline().split()[1])


def _read(printed: bytes) -> Figures:
    members = json.loads(printed.splitlines()[-1])
    for name in ("latency_us", "ttfb_us", "chunk_delay_us"):
        members[name] = Spread(**members[name]) if members[name] else None
    return Figures(**members)
