"""What is simulated: the plan the scheduler is given, how the machine truly behaves, and the calls that come."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from penstock.core.model import Priority
from penstock.core.scheduling.plan import Plan

THRASH = 0.15
"""What a machine loses, beyond its share, that is asked for more than it can compute at once."""


@dataclass(frozen=True, slots=True)
class Engine:
    """How a model's server truly behaves; no policy is told.

    slowdown: each further call at once makes every call so much slower, 0.15 = by 15 % of its time alone.
    """

    load_s: float
    stop_s: float = 0.0
    slowdown: float = 0.0


@dataclass(slots=True, eq=False)
class Call:
    """One request. work_s: seconds its answer takes when nothing else runs. Moments are inf until they have come."""

    number: int
    arrived_s: float
    model: str
    key: str
    priority: Priority
    work_s: float
    prompt_tokens: int = 0
    then: Callable[[float], Call | None] | None = None  # what its client asks next, told when this one ended
    started_s: float = math.inf
    ended_s: float = math.inf
    is_refused: bool = False


class Traffic(Protocol):
    """The calls of one seed, in any order. Made anew for every run, for a run writes into them."""

    def __call__(self, seed: int) -> Iterable[Call]: ...


@dataclass(frozen=True, slots=True)
class World:
    """loads_at_once: how many models the machine loads at the same time, at full speed each; others queue."""

    name: str
    plan: Plan
    engines: Mapping[str, Engine]
    traffic: Traffic
    about: str = ""
    loads_at_once: int = 1
    thrash: float = THRASH
    is_random: bool = True  # False: every seed gives the same calls
