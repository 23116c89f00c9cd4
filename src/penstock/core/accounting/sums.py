"""What many calls come to: counts, tokens, seconds and how they spread. Two of these add up to that of both."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass, field, fields

from penstock.core.accounting import histogram, throughput
from penstock.core.accounting.course import Course, decode_s, decode_tok_s, service_s, waited_s
from penstock.core.accounting.histogram import Bins
from penstock.core.accounting.throughput import Cell


class Spread(enum.IntEnum):
    """Of what a histogram is kept. The numbers stand in stored rollups: a new one gets a new number."""

    QUEUE_WAIT = 0  # of those that got a slot
    WAITED = 1  # also of those that gave up in the queue
    LOAD_WAIT = 2
    TTFT = 3
    DECODE = 4
    SERVICE = 5
    TOTAL = 6
    DECODE_TOK_S = 7
    COMPLETION_TOKENS = 8
    SOLO_DECODE_TOK_S = 9  # of those that had their devices to themselves


def _values(course: Course, waited: float | None, service: float | None) -> tuple[float | None, ...]:
    """What is counted of a call, in the order of _COUNTED; waited, service: seconds, as `course.py` has them."""
    return (
        None if course.admitted_s is None else waited,
        waited,
        course.load_wait_s,
        course.first_token_s,
        decode_s(course),
        service,
        course.done_s,
        decode_tok_s(course),
        course.completion_tokens,
    )


_COUNTED = (
    Spread.QUEUE_WAIT, Spread.WAITED, Spread.LOAD_WAIT, Spread.TTFT, Spread.DECODE, Spread.SERVICE, Spread.TOTAL,
    Spread.DECODE_TOK_S, Spread.COMPLETION_TOKENS,
)  # fmt: skip


@dataclass(slots=True)
class Sums:
    """Of ended calls. A `…_known` counts the calls of which a sum could be taken: 0 there means that it is unknown.

    prompt_with_cache_tokens, cached_with_prompt_tokens: of those calls of which both are known; no more is taken from
    a cache than the prompt has.
    """

    requests: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    prompt_known: int = 0
    cached_tokens: int = 0
    cached_known: int = 0
    prompt_with_cache_tokens: int = 0
    cached_with_prompt_tokens: int = 0
    completion_tokens: int = 0
    completion_known: int = 0
    reasoning_tokens: int = 0
    reasoning_known: int = 0
    energy_j: float = 0.0
    energy_known: int = 0
    service_s: float = 0.0
    waited_s: float = 0.0
    load_wait_s: float = 0.0
    spreads: dict[int, Bins] = field(default_factory=dict)
    cells: dict[int, Cell] = field(default_factory=dict)

    def add(self, course: Course) -> None:
        """Count an ended call."""
        self.requests += course.stands_for
        self.retries += course.stands_for if course.is_retry else 0
        self._add_tokens(course)
        if course.energy_j is not None:
            self.energy_j += course.energy_j
            self.energy_known += 1
        waited, service = waited_s(course), service_s(course)
        self.service_s += service or 0.0
        self.waited_s += waited or 0.0
        self.load_wait_s += course.load_wait_s or 0.0
        for spread, value in zip(_COUNTED, _values(course, waited, service), strict=True):
            if value is not None:
                bins = self.spreads.get(spread)
                if bins is None:
                    bins = self.spreads[spread] = {}
                histogram.count(bins, value)

    def _add_tokens(self, course: Course) -> None:
        if course.prompt_tokens is not None:
            self.prompt_tokens += course.prompt_tokens
            self.prompt_known += 1
        if course.cached_tokens is not None:
            self.cached_tokens += course.cached_tokens
            self.cached_known += 1
            if course.prompt_tokens is not None:
                self.prompt_with_cache_tokens += course.prompt_tokens
                self.cached_with_prompt_tokens += min(course.cached_tokens, course.prompt_tokens)
        if course.completion_tokens is not None:
            self.completion_tokens += course.completion_tokens
            self.completion_known += 1
        if course.reasoning_tokens is not None:
            self.reasoning_tokens += course.reasoning_tokens
            self.reasoning_known += 1

    def add_speed(self, course: Course, on_engine: float, on_devices: float) -> None:
        """Of a completed call: beside how many it ran on its engine, and on all that its devices serve."""
        throughput.note(self.cells, course, on_engine)
        speed = decode_tok_s(course)
        if speed is not None and on_devices < throughput.SOLO_BELOW:
            histogram.count(self.spreads.setdefault(Spread.SOLO_DECODE_TOK_S, {}), speed)

    def merge(self, other: Sums, spreads: Collection[int] = tuple(Spread)) -> None:
        """`spreads`: only these histograms are needed."""
        for name in NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for spread, bins in other.spreads.items():
            if spread in spreads:
                histogram.merge(self.spreads.setdefault(spread, {}), bins)
        for concurrency, cell in other.cells.items():
            self.cells.setdefault(concurrency, Cell()).merge(cell)

    def bins(self, spread: Spread) -> Bins:
        return self.spreads.get(spread, {})


NUMBERS = tuple(each.name for each in fields(Sums) if each.name not in {"spreads", "cells"})
"""The plain sums, in order."""
