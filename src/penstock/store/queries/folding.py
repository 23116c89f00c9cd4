"""Calls put together: what they come to, what they did minute by minute, and how fast they were beside others."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from penstock.core.concurrency import Activity
from penstock.core.course import Course, Interval, active, offered
from penstock.core.curves import pieces
from penstock.core.record import Outcome
from penstock.core.sums import Sums
from penstock.store.queries.courses import Devices, Filter
from penstock.store.queries.tables import Grouping


class Group(NamedTuple):
    """What calls are told apart by; "" = unknown, or not told apart."""

    model: str
    key: str
    workload: str
    outcome: str


class Share(NamedTuple):
    """Of a stretch of time, as integrals: wanting and having slots, and tokens that flowed."""

    offered_s: float = 0.0
    active_s: float = 0.0
    in_tokens: float = 0.0
    out_tokens: float = 0.0

    def plus(self, other: Share) -> Share:
        return Share(*(one + two for one, two in zip(self, other, strict=True)))


def group_of(course: Course) -> Group:
    return Group(course.model or "", course.key or "", course.workload or "", course.outcome or "")


def is_chosen(course: Course, asked: Filter) -> bool:
    """What the conditions of a filter ask of a row, asked of a call."""
    group = group_of(course)
    return all(getattr(asked, name) in (None, getattr(group, name)) for name in Group._fields)


def narrowed(group: Group, grouping: Grouping) -> Group:
    """As a grouping tells it."""
    match grouping:
        case Grouping.MODEL:
            return Group(group.model, "", "", group.outcome)
        case Grouping.KEY:
            return Group("", group.key, "", group.outcome)
        case Grouping.WORKLOAD:
            return Group("", "", group.workload, group.outcome)
        case _:
            return group


class Speeds:
    """Beside how many others calls ran, among `courses`, which must hold all that ran while they did.

    Open ones among them, too: what still runs has run beside all that has ended since it began.
    """

    def __init__(self, courses: Iterable[Course], devices: Devices) -> None:
        self._devices = devices
        self._slots: dict[tuple[str, str], list[Interval]] = {}
        for course in courses:
            held = active(course, 0.0)
            if held is not None and course.model is not None:
                held = (held[0], math.inf) if course.is_open else held
                self._slots.setdefault((course.gateway_id, course.model), []).append(held)
        self._activities: dict[tuple[str, frozenset[str]], Activity] = {}

    def measured(self, course: Course) -> tuple[float, float] | None:
        """How many ran on its engine and on its devices, on average, itself included; None = it did not run to its end,
        or took no time."""
        held = active(course, 0.0)
        if held is None or held[0] >= held[1] or course.model is None or course.outcome != Outcome.COMPLETED:
            return None
        neighbours = self._devices.neighbours(course.gateway_id, course.model)
        own = self._activity(course.gateway_id, frozenset({course.model})).mean(*held)
        return own, self._activity(course.gateway_id, neighbours).mean(*held)

    def _activity(self, gateway_id: str, models: frozenset[str]) -> Activity:
        found = self._activities.get((gateway_id, models))
        if found is None:
            slots = (each for model in models for each in self._slots.get((gateway_id, model), ()))
            found = self._activities[gateway_id, models] = Activity(slots)
        return found


def fold_sums(courses: Iterable[Course], speeds: Speeds | None) -> dict[Group, Sums]:
    """Of ended calls. Without `speeds`, nothing is said about them."""
    found: dict[Group, Sums] = {}
    for course in courses:
        group = group_of(course)
        sums = found.get(group)
        if sums is None:
            sums = found[group] = Sums()
        sums.add(course)
        measured = None if speeds is None else speeds.measured(course)
        if measured is not None:
            sums.add_speed(course, *measured)
    return found


class Curves:
    """What ended calls did, minute by minute."""

    def __init__(self, courses: Iterable[Course], width: int) -> None:
        self.shares: dict[tuple[int, Group], Share] = {}
        self._width = width
        for course in courses:
            self._add(course)

    def _add(self, course: Course) -> None:
        group = group_of(course)
        wanted, held = offered(course, 0.0), active(course, 0.0)
        if wanted is not None:
            for at, overlap_s in pieces(*wanted, self._width):
                self._put(at, group, Share(offered_s=overlap_s))
        if held is None:
            return
        took_s = held[1] - held[0]
        prompt, completion = course.prompt_tokens or 0, course.completion_tokens or 0
        for at, overlap_s in pieces(*held, self._width):
            part = overlap_s / took_s if took_s > 0 else 1.0
            self._put(at, group, Share(0.0, overlap_s, prompt * part, completion * part))

    def _put(self, at: int, group: Group, share: Share) -> None:
        known = self.shares.get((at, group))
        if known is not None:
            self.shares[at, group] = known.plus(share)
        elif any(share):
            self.shares[at, group] = share
