"""What an engine was seen to take of each device, as far as the scheduler may build on it. Pure.

An engine takes more after it was used than when it became ready, and as much again after the next start: so the most
counts that was seen of it in this life and in the one before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.core.fitting.residency import Footprint

WORTH_TELLING = 0.01
"""A size that has grown by less than this part of it is not told again."""

Sizes = dict[str, int]
"""Bytes by device."""


@dataclass(slots=True)
class _Life:
    generation: int
    most: Sizes
    before: Sizes = field(default_factory=dict)  # the most of the life before
    told: Sizes = field(default_factory=dict)


class Learning:
    """One for all engines of a gateway."""

    def __init__(self) -> None:
        self._lives: dict[str, _Life] = {}

    def learn(self, engine: str, generation: int, sizes: Mapping[str, int]) -> Footprint | None:
        """Note what it takes now; gives what is to be told about it, None = nothing new.

        sizes: of every device on which it may hold anything, 0 where it holds nothing.
        """
        life = self._lives.get(engine)
        if life is None or life.generation != generation:
            before = {} if life is None else life.most
            life = self._lives[engine] = _Life(generation, dict(sizes), before)
        life.most = {device: max(count, life.most.get(device, 0)) for device, count in sizes.items()}
        size = {device: max(count, life.before.get(device, 0)) for device, count in life.most.items()}
        if size.keys() == life.told.keys() and not any(
            count > life.told[device] * (1 + WORTH_TELLING) for device, count in size.items()
        ):
            return None
        life.told = size
        return tuple(size.items())

    def forget(self, engine: str) -> None:
        """It is another one from now on: its command or its file has changed."""
        self._lives.pop(engine, None)
