"""Calls put together: what they come to, what they did minute by minute, and how fast they were beside others."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from penstock.core.accounting.concurrency import Activity, Spans
from penstock.core.accounting.course import Course, active, offered
from penstock.core.accounting.curves import pieces
from penstock.core.accounting.record import Outcome
from penstock.core.accounting.sums import Sums
from penstock.store.queries.courses import Devices, Filter
from penstock.store.queries.tables import Grouping


class Group(NamedTuple):
    """What calls are told apart by; "" = unknown, or not told apart."""

    model: str
    key: str
    workload: str
    outcome: str


SHARE = ("offered_s", "active_s", "in_tokens", "out_tokens")
"""Of a stretch of time, as integrals: wanting and having slots, and tokens that flowed."""

_NONE = Spans()


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
    """Beside how many others calls ran, among those that were added: all that ran while they did, open ones, too.

    What still runs has run beside all that has ended since it began.
    """

    def __init__(self, devices: Devices) -> None:
        self._devices = devices
        self._slots: dict[tuple[str, str], Spans] = {}
        self._activities: dict[tuple[str, str], tuple[Activity, Activity]] = {}

    def add(self, course: Course) -> None:
        """Of its slot only the two moments are kept. Before the first that is measured."""
        held = active(course, 0.0)
        if held is None or course.model is None:
            return
        engine = (course.gateway_id, course.model)
        spans = self._slots.get(engine)
        if spans is None:
            spans = self._slots[engine] = Spans()
        spans.add(held[0], math.inf if course.is_open else held[1])

    def add_all(self, courses: Iterable[Course]) -> None:
        for course in courses:
            self.add(course)

    def measured(self, course: Course) -> tuple[float, float] | None:
        """How many ran on its engine and on its devices, on average, itself included; None = it did not run to its end,
        or took no time."""
        if course.outcome != Outcome.COMPLETED or course.model is None:
            return None
        held = active(course, 0.0)
        if held is None or held[0] >= held[1]:
            return None
        engine = (course.gateway_id, course.model)
        found = self._activities.get(engine)
        if found is None:
            found = self._activities[engine] = self._activities_of(*engine)
        on_engine, on_devices = found
        mean = on_engine.mean(*held)
        return mean, mean if on_devices is on_engine else on_devices.mean(*held)

    def _activities_of(self, gateway_id: str, model: str) -> tuple[Activity, Activity]:
        """That of a model's engine, and that of its devices."""
        own = Activity(self._slots.get((gateway_id, model), _NONE))
        neighbours = self._devices.neighbours(gateway_id, model)
        if neighbours == {model}:
            return own, own
        together = Spans()
        for name in neighbours:
            together.extend(self._slots.get((gateway_id, name), _NONE))
        return own, Activity(together)


def fold_sums(found: dict[Group, Sums], course: Course, speeds: Speeds | None) -> None:
    """Count an ended call. Without `speeds`, nothing is said about them."""
    group = group_of(course)
    sums = found.get(group)
    if sums is None:
        sums = found[group] = Sums()
    sums.add(course)
    measured = None if speeds is None else speeds.measured(course)
    if measured is not None:
        sums.add_speed(course, *measured)


class Curves:
    """What ended calls did, minute by minute. shares: by when, and whose; each in the order of SHARE."""

    def __init__(self, width: int) -> None:
        self.shares: dict[tuple[int, Group], list[float]] = {}
        self._width = width

    def add(self, course: Course) -> None:
        group = group_of(course)
        wanted, held = offered(course, 0.0), active(course, 0.0)
        if wanted is not None:
            for at, overlap_s in pieces(*wanted, self._width):
                self._share(at, group)[0] += overlap_s
        if held is None:
            return
        took_s = held[1] - held[0]
        prompt, completion = course.prompt_tokens or 0, course.completion_tokens or 0
        for at, overlap_s in pieces(*held, self._width):
            part = overlap_s / took_s if took_s > 0 else 1.0
            share = self._share(at, group)
            share[1] += overlap_s
            share[2] += prompt * part
            share[3] += completion * part

    def _share(self, at: int, group: Group) -> list[float]:
        share = self.shares.get((at, group))
        if share is None:
            share = self.shares[at, group] = [0.0] * len(SHARE)
        return share
