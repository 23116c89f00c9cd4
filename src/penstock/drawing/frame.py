"""Where things are in a chart: a plot between margins, with a scale of round numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    """Pixels of the drawing; `most` is the value at its upper edge, 0 is at the lower one."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    most: float

    @property
    def plot_width(self) -> float:
        return self.width - self.left - self.right

    def x(self, share: float) -> float:
        """Of the way from the left to the right."""
        return self.left + self.plot_width * share

    def y(self, value: float) -> float:
        floor = self.height - self.bottom
        return floor - (floor - self.top) * value / self.most

    def levels(self, values: Iterable[float], said: Callable[[float], str]) -> Iterator[str]:
        """A line across at each value, with what it is beside it."""
        for value in values:
            y = self.y(value)
            yield f'<line class="grid" x1="{self.left}" x2="{self.width - self.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield f'<text x="{self.left - 8}" y="{y + 4:.1f}" text-anchor="end">{said(value)}</text>'

    def steps(self, values: Iterable[float], edges: Callable[[int], float]) -> str:
        """Points of a line that is flat within each step; `edges`: the share at which a step begins."""
        return " ".join(
            f"{self.x(edges(index)):.1f},{self.y(value):.1f} {self.x(edges(index + 1)):.1f},{self.y(value):.1f}"
            for index, value in enumerate(values)
        )

    def floor(self, first: float, last: float) -> str:
        """What closes an area below such a line, from share to share."""
        return f"{self.x(last):.1f},{self.y(0):.1f} {self.x(first):.1f},{self.y(0):.1f}"


def round_step(least: float) -> float:
    """The next 1, 2 or 5 with zeros."""
    unit = 10.0 ** math.floor(math.log10(least))
    return next(unit * times for times in (1, 2, 5, 10) if unit * times >= least * (1 - 1e-9))


def round_levels(most: float, *, at_most: int = 4, least_step: float = 0.0) -> list[float]:
    """Values from 0 up to the first round one that is not below `most`, which is above 0."""
    step = max(round_step(most / at_most), least_step)
    return [index * step for index in range(max(1, math.ceil(most / step - 1e-9)) + 1)]
