"""What happened when, for a picture: calls offered, active and queued over time, and which model was loaded."""

from __future__ import annotations

import math
from dataclasses import dataclass

from penstock.core.model import Phase
from penstock.simulate.replay import Run

MOST_POINTS = 400


@dataclass(frozen=True, slots=True)
class Stay:
    """One time that a model held memory: loading until ready_s, there until end_s."""

    model: str
    start_s: float
    ready_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Curves:
    """Mean counts in steps of equal length. offered = here and not answered; active = in a slot; queued = the rest."""

    step_s: float
    offered: tuple[float, ...]
    active: tuple[float, ...]
    stays: tuple[Stay, ...]
    models: tuple[str, ...]

    @property
    def queued(self) -> tuple[float, ...]:
        return tuple(max(0.0, here - busy) for here, busy in zip(self.offered, self.active, strict=True))

    @property
    def span_s(self) -> float:
        return self.step_s * len(self.offered)


def curves(run: Run, span_s: float) -> Curves:
    """Of the first span_s seconds."""
    step_s = max(span_s, 1.0) / MOST_POINTS
    offered, active = [0.0] * MOST_POINTS, [0.0] * MOST_POINTS
    for call in run.calls:
        if not call.is_refused:
            _add(offered, call.arrived_s, call.ended_s, step_s)
            _add(active, call.started_s, call.ended_s, step_s)
    return Curves(step_s, tuple(offered), tuple(active), _stays(run, span_s), tuple(run.box.models))


def _add(counts: list[float], start_s: float, end_s: float, step_s: float) -> None:
    """Count one call from start to end, in each step by the part of it that it was there."""
    start, end = start_s / step_s, min(end_s / step_s, float(len(counts)))
    if start >= end:
        return
    first, last = int(start), min(int(end), len(counts) - 1)
    if first == last:
        counts[first] += end - start
        return
    counts[first] += first + 1 - start
    counts[last] += end - last
    for index in range(first + 1, last):
        counts[index] += 1.0


def _stays(run: Run, span_s: float) -> tuple[Stay, ...]:
    stays: list[Stay] = []
    begun: dict[str, float] = {}
    ready: dict[str, float] = {}
    for at_s, name, phase in run.box.history:
        if phase is Phase.STARTING:
            begun[name] = at_s
        elif phase is Phase.READY:
            ready[name] = at_s
        elif phase is Phase.STOPPED:
            stays.append(Stay(name, begun.pop(name), min(ready.pop(name, at_s), at_s), at_s))
    for name, start_s in begun.items():
        stays.append(Stay(name, start_s, ready.get(name, math.inf), math.inf))
    return tuple(
        Stay(stay.model, stay.start_s, min(stay.ready_s, span_s), min(stay.end_s, span_s))
        for stay in stays
        if stay.start_s < span_s
    )
