"""What each engine takes, with its descendants."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from penstock.sample.base import EngineProcess, EngineReading
from penstock.sample.processes import Taken, listens


class Processes(Protocol):
    """The processes of a machine."""

    def trees(self, roots: Iterable[int]) -> dict[int, tuple[int, ...]]: ...
    def taken(self, pid: int) -> Taken | None: ...


class Engines:
    """Reads them one after the other; remembers what each process had used of the CPU."""

    def __init__(
        self,
        processes: Processes,
        *,
        listens: Callable[[Sequence[int], int], bool] = listens,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._processes = processes
        self._listens = listens
        self._clock = clock
        self._whole: dict[EngineProcess, bool] = {}  # asked once: it takes longer than all the rest
        self._used: dict[int, float] = {}  # seconds of CPU, by pid
        self._read_s: float | None = None

    def read(self, engines: Sequence[EngineProcess]) -> tuple[EngineReading, ...]:
        now_s, before_s = self._clock(), self._read_s
        trees = self._processes.trees(engine.pid for engine in engines)
        used: dict[int, float] = {}
        readings = []
        for engine in engines:
            taken = {pid: each for pid in trees[engine.pid] if (each := self._processes.taken(pid)) is not None}
            if taken:
                readings.append(self._reading(engine, taken, None if before_s is None else now_s - before_s))
            used |= {pid: each.cpu_s for pid, each in taken.items()}
        self._used, self._read_s = used, now_s
        self._whole = {engine: is_whole for engine, is_whole in self._whole.items() if engine in engines}
        return tuple(readings)

    def _reading(self, engine: EngineProcess, taken: Mapping[int, Taken], span_s: float | None) -> EngineReading:
        """Memory that processes share, and files that several map, count once: as much as the one that has most."""
        known = [pid for pid in taken if pid in self._used]
        cpu_pct = None
        if span_s and known:
            cpu_pct = max(0.0, 100 * sum(taken[pid].cpu_s - self._used[pid] for pid in known) / span_s)
        each = taken.values()
        return EngineReading(
            engine,
            tuple(taken),
            cpu_pct,
            resident_bytes=sum(one.resident_bytes for one in each),
            own_bytes=sum(one.own_bytes for one in each) + max(one.shared_bytes for one in each),
            mapped_bytes=max(one.mapped_bytes for one in each),
            read_bytes=_sum(one.read_bytes for one in each),
            is_whole=self._is_whole(engine, taken),
        )

    def _is_whole(self, engine: EngineProcess, pids: Iterable[int]) -> bool:
        """A container's server is nobody's child that we know of."""
        if not engine.is_ready or engine.port is None:
            return False
        if engine not in self._whole:
            self._whole[engine] = self._listens(tuple(pids), engine.port)
        return self._whole[engine]


def _sum(counts: Iterable[int | None]) -> int | None:
    """None = nobody tells; those who do not tell count as nothing."""
    told = [count for count in counts if count is not None]
    return sum(told) if told else None
