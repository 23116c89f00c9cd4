"""How much of the time of their devices calls had: GPU-seconds.

Source: the calls' own moments (`admitted_s`, `done_s`) and the devices of the load that made their engine (`loads`). A
call is at work while it holds its slot; what a device is to each is defined in core/accounting/device_time.py. Unknown
is that of calls whose engine has no load here: nobody knows which devices an `upstream:` works on.

An engine on GPUs that also takes memory of the host works on the GPUs. Where nothing but the host's memory (`ram`) is
configured as a device, the machine counts as one, whether it computes on GPUs or not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Select, and_, select

from penstock.config.plan import HOST_DEVICE
from penstock.core.accounting.device_time import Work, device_times
from penstock.store.queries.asking import Asked
from penstock.store.queries.courses import CONSUMER, EVERYTHING, FETCHED_ROWS, LAST_S
from penstock.store.queries.folding import Group
from penstock.store.queries.snapshot import Snapshot
from penstock.store.schema import calls, loads

_c = calls.c
_COLUMNS = (
    _c.received_at, _c.admitted_s, _c.done_s, LAST_S, _c.gateway_id, _c.engine, _c.model, CONSUMER, _c.workload,
    _c.outcome,
)  # fmt: skip

_devices_of = msgspec.json.Decoder(list[str]).decode


def gpu_seconds(snapshot: Snapshot, asked: Asked) -> dict[Group, float]:
    """Of the ended calls that were received in a window, all of each, also what lies behind the window; by group.

    A group is missing where it is unknown of all its calls. Calls that run now take their part until now, and are told
    when they have ended, as are their tokens.
    """
    found: dict[Group, float] = {}
    works = _Works(snapshot, asked)
    with snapshot.connection.execute(_at_work(works.first), execution_options={"yield_per": FETCHED_ROWS}) as rows:
        for group, had_s in device_times(works.read(rows)):
            if group is not None:
                found[group] = found.get(group, 0.0) + had_s
                works.left -= 1
            if works.are_all_read and not works.left:
                break
    return found


def devices_known(snapshot: Snapshot) -> list[str]:
    """The names of the devices that are counted."""
    found = snapshot.rows(select(loads.c.devices).where(loads.c.engine.is_not(None)).distinct())
    return sorted({name for (devices,) in found for _, name in _computing("", _devices_of(devices))})


class _Works:
    """What was at work in a window, and beside that. first: when the first of it was received.

    are_all_read: of those that are asked about, of which `left` have not ended.
    """

    def __init__(self, snapshot: Snapshot, asked: Asked) -> None:
        self.left = 0
        self.are_all_read = False
        self._asked, self._now = asked, snapshot.now
        self._engines = _Engines(snapshot)
        self._groups: dict[Group, Group] = {}
        there = (*snapshot.ended_between(asked.since, asked.since, EVERYTHING), *snapshot.open_calls(EVERYTHING))
        self.first = min((asked.since, *(course.received_at for course in there)))

    def read(self, rows: Iterable[Sequence[Any]]) -> Iterator[Work[Group | None]]:
        """`rows`: as `_at_work` asks for them. None = it shares devices with those that are asked about."""
        for received_at, admitted_s, done_s, last_s, gateway_id, engine, *dimensions in rows:
            self.are_all_read = received_at >= self._asked.until
            devices = self._engines.devices(gateway_id, engine, received_at + admitted_s)
            if not devices:
                continue
            group: Group | None = None
            if dimensions[-1] is None:
                end = max(received_at + last_s, self._now)
            else:
                end = received_at + (last_s if done_s is None else done_s)
                group = self._wanted(received_at, Group(*(value or "" for value in dimensions)))
            self.left += group is not None
            yield Work(group, received_at, received_at + admitted_s, end, devices)

    def _wanted(self, received_at: float, group: Group) -> Group | None:
        """The same one for all its calls."""
        asked = self._asked
        if not asked.since <= received_at < asked.until:
            return None
        if asked.filter is not EVERYTHING and not _is_wanted(group, asked):
            return None
        return self._groups.setdefault(group, group)


def _is_wanted(group: Group, asked: Asked) -> bool:
    return all(getattr(asked.filter, name) in (None, getattr(group, name)) for name in Group._fields)


def _at_work(first: float) -> Select[Any]:
    """Every call that held a slot, from then on."""
    had_a_slot = and_(_c.received_at >= first, _c.admitted_s.is_not(None))
    return select(*_COLUMNS).where(had_a_slot).order_by(_c.received_at)


class _Engines:
    """On which devices engines were, at which time, as their loads tell."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._since: dict[tuple[object, object], list[float]] = {}
        self._on: dict[tuple[object, object], list[tuple[tuple[str, str], ...]]] = {}
        columns = (loads.c.gateway_id, loads.c.engine, loads.c.started_at, loads.c.devices)
        of_engines = select(*columns).where(loads.c.engine.is_not(None)).order_by(loads.c.started_at)
        for gateway_id, engine, started_at, devices in snapshot.rows(of_engines):
            self._note((gateway_id, engine), started_at, _computing(gateway_id, _devices_of(devices)))

    def _note(self, engine: tuple[object, object], since: float, devices: tuple[tuple[str, str], ...]) -> None:
        on = self._on.setdefault(engine, [])
        if not on or on[-1] != devices:
            on.append(devices)
            self._since.setdefault(engine, []).append(since)

    def devices(self, gateway_id: object, engine: object, at: float) -> tuple[tuple[str, str], ...]:
        """Of the last load that had begun by then; else of the first that is known, as older ones are deleted."""
        on = self._on.get((gateway_id, engine))
        if on is None:
            return ()
        return on[max(0, bisect_right(self._since[gateway_id, engine], at) - 1)]


def _computing(gateway_id: str, devices: Sequence[str]) -> tuple[tuple[str, str], ...]:
    gpus = [name for name in devices if name != HOST_DEVICE]
    return tuple((gateway_id, name) for name in gpus or devices)
