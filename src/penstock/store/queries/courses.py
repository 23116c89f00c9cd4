"""From rows of the table `calls` to what the formulas see of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, case, func, literal_column, select

from penstock.core.accounting.course import Course
from penstock.core.accounting.host_sample import EngineSample
from penstock.store.queries.triggers import LONG_S
from penstock.store.schema import calls, loads

_c = calls.c
CONSUMER = func.coalesce(_c.key, _c.key_fingerprint)
"""Whom a call is counted to: a key's name, or the fingerprint of what was shown."""

LAST_S = func.coalesce(_c.first_token_s, _c.first_byte_s, _c.sent_s, _c.admitted_s, _c.enqueued_s, 0.0)
REASONS = case((_c.wait_reasons == "{}", None), else_=_c.wait_reasons)
"""Most calls waited for nothing: then there is nothing to read."""

COURSE = (
    _c.id, _c.gateway_id, _c.received_at, _c.model, CONSUMER.label("consumer"), _c.workload, _c.outcome, _c["count"],
    _c.retry_count, _c.enqueued_s, _c.admitted_s, _c.first_token_s, LAST_S.label("last_s"), _c.done_s,
    REASONS.label("reasons"), _c.prompt_tokens, _c.cached_tokens, _c.completion_tokens, _c.reasoning_tokens,
    _c.energy_j,
)  # fmt: skip
_ADMITTED, _REASONS = 10, 14
FETCHED_ROWS = 2000

decode_engines = msgspec.json.Decoder(list[EngineSample]).decode
decode_reasons = msgspec.json.Decoder(dict[str, float]).decode


@dataclass(frozen=True, slots=True)
class Filter:
    """Which calls are asked about; None = all, "" = those of which it is unknown or that name none."""

    model: str | None = None
    key: str | None = None
    workload: str | None = None
    outcome: str | None = None


EVERYTHING = Filter()


def chosen(asked: Filter) -> list[ColumnElement[bool]]:
    """The conditions of a filter on calls."""
    by = {"model": _c.model, "key": CONSUMER, "workload": _c.workload, "outcome": _c.outcome}
    wanted = {name: getattr(asked, name) for name in by}
    return [
        by[name].is_(None) if value == "" else by[name] == value for name, value in wanted.items() if value is not None
    ]


def received(since: float, until: float) -> ColumnElement[bool]:
    return and_(_c.received_at >= since, _c.received_at < until)


def read_courses(connection: Connection, *conditions: ColumnElement[bool]) -> Iterator[Course]:
    asked = select(*COURSE).where(*conditions)
    with connection.execute(asked, execution_options={"yield_per": FETCHED_ROWS}) as result:
        for rows in result.partitions():
            yield from map(course_of, rows)


def course_of(row: Sequence[object]) -> Course:
    reasons = row[_REASONS]
    load_wait_s = None if row[_ADMITTED] is None else 0.0
    if isinstance(reasons, str):
        load_wait_s = decode_reasons(reasons).get("loading", 0.0)
    return Course._make((*row[:_REASONS], load_wait_s, *row[_REASONS + 1 :]))


HAS_ENDED = _c.outcome.is_not(None)
IS_OPEN = _c.outcome.is_(None)


def ends_behind(start: float) -> ColumnElement[bool]:
    """An ended call that was there at `start` or later, as far as is known."""
    return _c.received_at + func.coalesce(_c.done_s, LAST_S) >= start


class Reach(NamedTuple):
    """How far calls go. longest_s: the longest; end: when the last gave its slot back; 0 = there are none."""

    longest_s: float
    end: float


def reach(connection: Connection, *conditions: ColumnElement[bool]) -> Reach:
    """Of ended calls."""
    took_s = func.coalesce(_c.done_s, LAST_S)
    held = case((_c.admitted_s.is_not(None), _c.received_at + _later(_c.admitted_s, took_s)))
    row = connection.execute(select(func.max(took_s), func.max(held)).where(*conditions)).one()
    return Reach(row[0] or 0.0, row[1] or 0.0)


def _later(one: ColumnElement[float], other: ColumnElement[float]) -> ColumnElement[float]:
    return case((one > other, one), else_=other)


_IS_LONG: ColumnElement[bool] = literal_column(
    f"done_s > {LONG_S}"
)  # in so many words: only then its own index is used


def read_overlapping(
    connection: Connection, start: float, end: float, longest_s: float, *conditions: ColumnElement[bool]
) -> Iterator[Course]:
    """Ended calls that were there at some time between start and end; no call took longer than longest_s.

    Two questions, each with an index of its own; as one, it would be answered by looking at everything.
    """
    there = (HAS_ENDED, ends_behind(start), *conditions)
    yield from read_courses(connection, received(start - LONG_S, end), *there)
    if longest_s > LONG_S:
        yield from read_courses(connection, _IS_LONG, received(start - longest_s, start - LONG_S), *there)


class Devices:
    """Which models share devices, as the loads tell. A model of which no load is known shares with nobody."""

    def __init__(self, rows: Iterable[tuple[str, str, str]]) -> None:
        self._of: dict[tuple[str, str], set[str]] = {}
        for gateway_id, model, devices in rows:
            self._of.setdefault((gateway_id, model), set()).update(msgspec.json.decode(devices, type=list[str]))

    def neighbours(self, gateway_id: str, model: str) -> frozenset[str]:
        """The models on the devices of this one, itself included."""
        own = self._of.get((gateway_id, model), set())
        return frozenset(
            {model} | {name for (gateway, name), devices in self._of.items() if gateway == gateway_id and devices & own}
        )


def read_devices(connection: Connection) -> Devices:
    columns = (loads.c.gateway_id, loads.c.model, loads.c.devices)
    return Devices((row[0], row[1], row[2]) for row in connection.execute(select(*columns).distinct()))
