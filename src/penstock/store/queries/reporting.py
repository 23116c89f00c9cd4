"""The report of a window: what it came to by model, key and workload, and what it looked like over time.

Every figure is that of the question which defines it (questions, told, timeline, lists, device_time); here they are
asked in one look at the store, so that they fit together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import func, inspect, select

from penstock.core.accounting.course import Course
from penstock.core.accounting.curves import grid_over
from penstock.core.accounting.sums import Sums
from penstock.errors import PenstockError
from penstock.store.queries import lists, timeline
from penstock.store.queries.answers import Latency, Timeline, Usage, Window
from penstock.store.queries.asking import DAY_S, Asked
from penstock.store.queries.courses import CONSUMER, chosen
from penstock.store.queries.device_time import devices_known, gpu_seconds
from penstock.store.queries.folding import Group, group_of
from penstock.store.queries.questions import window_of
from penstock.store.queries.snapshot import Snapshot
from penstock.store.queries.told import LATENCIES, NO_KEY, NO_MODEL, NO_WORKLOAD, latency, together, usage
from penstock.store.schema import calls, loads

MAX_PARTS = 32
_WIDTHS = (60, 300, 900, 3600, 4 * 3600, 86_400, 7 * 86_400)
_WIDEST = 28 * 86_400

LONG_OPEN_S = DAY_S
"""Of a call that is open for so long, its gateway is gone rather than at work."""


_NOBODY = (("model", NO_MODEL), ("key", NO_KEY), ("workload", NO_WORKLOAD))


class NoTables(PenstockError):
    """There are no records there, nor tables for them: no gateway has ever used that store."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


@dataclass(frozen=True, slots=True)
class Spent(Usage):
    """What calls came to.

    service_s: for which they held slots; waited_s: for which they waited for one, load_wait_s of it for a load.
    gpu_s: GPU-seconds (device_time.py), loads: begun for their sake, load_s: how long those took. None = unknown.
    """

    name: str
    service_s: float
    waited_s: float
    load_wait_s: float
    gpu_s: float | None
    loads: int
    load_s: float
    latency_ms: Latency


@dataclass(frozen=True, slots=True)
class Part(Usage):
    """A part of the window: calls that were received in it."""

    since: float
    until: float
    latency_ms: Latency


@dataclass(frozen=True, slots=True)
class Report:
    """Models, keys and workloads by seconds of service; the loads of a model are all of its own, whoever caused them.

    first_at: when the first call of the whole store was received; None = there is none. long_open: calls that are open
    for more than a day. devices: those whose time is gpu_s. part_s: width of the parts, which end with the window.
    """

    window: Window
    first_at: float | None
    long_open: int
    devices: list[str]
    total: Spent
    models: list[Spent]
    keys: list[Spent]
    workloads: list[Spent]
    part_s: int
    parts: list[Part]
    timeline: Timeline


def report(snapshot: Snapshot, asked: Asked) -> Report:
    """Raises NoTables."""
    if not inspect(snapshot.connection).has_table(calls.name):
        raise NoTables
    first_at = next(iter(snapshot.rows(select(func.min(calls.c.received_at)))))[0]
    open_calls = snapshot.open_calls(asked.filter)
    gpu_s, load_seconds = gpu_seconds(snapshot, asked), _loads(snapshot, asked)
    told = {
        by: _Dimension(asked, by, nobody, _sums(snapshot, asked, (by, "outcome")), open_calls) for by, nobody in _NOBODY
    }
    whole = _Dimension(asked, "", "", told["model"].found, open_calls)
    models, keys, workloads = (_rows(dimension, gpu_s, load_seconds[by]) for by, dimension in told.items())
    return Report(
        window=window_of(asked),
        first_at=first_at,
        long_open=sum(snapshot.now - course.received_at > LONG_OPEN_S for course in open_calls),
        devices=devices_known(snapshot),
        total=_rows(whole, gpu_s, load_seconds[""])[0],
        models=models,
        keys=keys,
        workloads=workloads,
        part_s=part_s(asked),
        parts=list(_parts(snapshot, asked)),
        timeline=timeline.timeline(snapshot, asked),
    )


def _sums(snapshot: Snapshot, asked: Asked, by: Sequence[str]) -> dict[Group, Sums]:
    return snapshot.sums(asked.since, asked.until, asked.filter, by, spreads=LATENCIES)


class _Dimension:
    """What the calls of a window came to, told apart by one dimension; "" = not at all."""

    def __init__(
        self, asked: Asked, by: str, nobody: str, found: Mapping[Group, Sums], open_calls: Iterable[Course]
    ) -> None:
        self.asked, self.by, self.nobody, self.found = asked, by, nobody, found
        self.sums: dict[str, dict[str, Sums]] = {}
        self.open: dict[str, list[Course]] = {}
        for group, sums in found.items():
            self.sums.setdefault(self.value(group), {}).setdefault(group.outcome, Sums()).merge(sums)
        for course in open_calls:
            self.open.setdefault(self.value(group_of(course)), []).append(course)

    def value(self, group: Group) -> str:
        return str(getattr(group, self.by)) if self.by else ""


Loads = Mapping[str, tuple[int, float]]
"""How many, and their seconds, by a dimension's values."""


def _rows(dimension: _Dimension, gpu_s: Mapping[Group, float], load_seconds: Loads) -> list[Spent]:
    of_value: dict[str, float] = {}
    for group, seconds in gpu_s.items():
        value = dimension.value(group)
        of_value[value] = of_value.get(value, 0.0) + seconds
    values = dimension.sums.keys() | dimension.open.keys() | load_seconds.keys() | ({""} if not dimension.by else set())
    rows = [_spent(dimension, value, of_value.get(value), load_seconds.get(value, (0, 0.0))) for value in values]
    return sorted(rows, key=lambda row: (-row.service_s, -row.requests, row.name))


def _spent(dimension: _Dimension, value: str, gpu_s: float | None, loads_of: tuple[int, float]) -> Spent:
    by_outcome = dimension.sums.get(value, {})
    whole = together(by_outcome)
    return Spent(
        **usage(by_outcome, whole, dimension.open.get(value, []), dimension.asked),
        name=value or dimension.nobody,
        service_s=round(whole.service_s, 3),
        waited_s=round(whole.waited_s, 3),
        load_wait_s=round(whole.load_wait_s, 3),
        gpu_s=None if gpu_s is None else round(gpu_s, 3),
        loads=loads_of[0],
        load_s=round(loads_of[1], 3),
        latency_ms=latency(whole),
    )


def _loads(snapshot: Snapshot, asked: Asked) -> dict[str, Loads]:
    """By dimension. Of models as `loads` tells them; of keys and workloads those for the sake of whose calls they were
    begun. What nobody's call began, a preload say, is in no key's."""
    by_model = {each.model: (each.loads, each.load_s_total) for each in lists.loads_of(snapshot, asked, 1, None).models}
    counts = [count for count, _ in by_model.values()]
    whole = {"": (sum(counts), sum(seconds for _, seconds in by_model.values()))}
    inside = (loads.c.started_at >= asked.since, loads.c.started_at < asked.until, *chosen(asked.filter))
    caller = (CONSUMER, calls.c.workload)
    caused = select(*caller, func.count(), func.sum(loads.c.done_s)).join(calls, calls.c.id == loads.c.call_id)
    told: dict[str, dict[str, tuple[int, float]]] = {"key": {}, "workload": {}}
    for key, workload, count, seconds in snapshot.rows(caused.where(*inside).group_by(*caller)):
        for by, value in (("key", key or ""), ("workload", workload or "")):
            known = told[by].get(value, (0, 0.0))
            told[by][value] = known[0] + count, known[1] + (seconds or 0.0)
    return {"": whole, "model": by_model, **told}


# Over time.


def part_s(asked: Asked) -> int:
    """Whole days for a week; for other windows what makes about as many bars as can be told apart."""
    span_s = asked.until - asked.since
    return next((width for width in _WIDTHS if span_s / width <= MAX_PARTS), _WIDEST)


def _parts(snapshot: Snapshot, asked: Asked) -> Iterator[Part]:
    """Each asked for by itself: the first and the last may be cut off by the window."""
    grid = grid_over(asked.since, asked.until, part_s(asked))
    open_calls = snapshot.open_calls(asked.filter)
    for start in grid.starts():
        since, until = max(asked.since, start), min(asked.until, start + grid.width)
        part = replace(asked, since=since, until=until, last=None)
        by_outcome = {group.outcome: sums for group, sums in _sums(snapshot, part, ("outcome",)).items()}
        whole, own = together(by_outcome), [each for each in open_calls if since <= each.received_at < until]
        counts = usage(by_outcome, whole, own, part)
        yield Part(**counts, since=since, until=until, latency_ms=latency(whole))
