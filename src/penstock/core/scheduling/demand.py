"""How often a model has been asked for lately, by class; the past counts less the longer ago it was."""

from __future__ import annotations

import math

from penstock.core.model import Priority


class Demand:
    __slots__ = ("_rates",)

    def __init__(self) -> None:
        self._rates = [(0.0, 0.0)] * 3  # arrivals per second, as of

    def saw(self, priority: Priority, now_s: float, memory_s: float) -> None:
        """A call has come. memory_s: how long it counts."""
        rate, at_s = self._rates[priority]
        self._rates[priority] = (rate * math.exp((at_s - now_s) / memory_s) + 1.0 / memory_s, now_s)

    def rate(self, priority: int, now_s: float, memory_s: float) -> float:
        """Arrivals per second of a class."""
        rate, at_s = self._rates[priority]
        return rate * math.exp((at_s - now_s) / memory_s) if rate else 0.0
