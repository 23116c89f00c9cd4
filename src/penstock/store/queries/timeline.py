"""The curves: what was wanted, what ran and what waited, bucket by bucket, with tokens and the host beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Select, and_, func, literal, select

from penstock.core.accounting.curves import Grid, grid_over
from penstock.store.queries.answers import HostCurves, KeyCurves, ModelCurves, Timeline, TotalCurves
from penstock.store.queries.asking import Asked
from penstock.store.queries.courses import decode_engines
from penstock.store.queries.curve_reading import CurvesOf, read_curves
from penstock.store.queries.folding import Group, group_of
from penstock.store.queries.questions import window_of
from penstock.store.queries.snapshot import Snapshot
from penstock.store.queries.tables import DIMENSIONS, HOUR, MINUTE
from penstock.store.queries.told import NO_KEY, NO_MODEL, ratios
from penstock.store.schema import samples

TOP_KEYS = 8
TOP_MODELS = 50
OTHER = "<other>"
GIB = 1 << 30

SAMPLED_S = 5
READINGS = 3000
"""Of a window with more, about so many are read, as many of each bucket: enough for its mean."""


MANY_CALLS = 15_000
"""In a window with more, buckets are a minute wide at least: those need rollups, narrower ones every call, at 8 us."""


def timeline(snapshot: Snapshot, asked: Asked) -> Timeline:
    grid = asked.grid
    if grid.width < MINUTE and snapshot.has_rollups and snapshot.has_received(MANY_CALLS, asked.since, asked.until):
        grid = grid_over(asked.since, asked.until, MINUTE)
    widths = grid.widths(snapshot.now)
    by_model, by_key = _curves(snapshot, asked, grid)
    models = _busiest(by_model, TOP_MODELS, NO_MODEL)
    keys = _busiest(by_key, TOP_KEYS, NO_KEY)
    told = {name: _model(curves, widths) for name, curves in models.items()}
    told_by_key = {name: _key(curves, widths) for name, curves in keys.items()}
    out_models = [name for name, curves in told.items() if any(curves.out_tok_s)]
    return Timeline(
        window=window_of(asked, grid),
        bucket_s=grid.width,
        buckets=grid.starts(),
        models=told,
        keys=list(told_by_key),
        by_key_active={name: curves.active for name, curves in told_by_key.items()},
        by_key=told_by_key,
        out_models=out_models,
        by_model_out_tok_s={name: told[name].out_tok_s for name in out_models},
        totals=_totals(models.values(), grid, widths),
        host=host_curves(snapshot, grid),
    )


class Integrals:
    """The integrals of a group's curves, which add up."""

    __slots__ = ("active", "in_tokens", "offered", "out_tokens")

    def __init__(self, curves: CurvesOf) -> None:
        self.offered, self.active = curves.offered.integrals(), curves.active.integrals()
        self.in_tokens, self.out_tokens = curves.in_tokens.integrals(), curves.out_tokens.integrals()

    @property
    def is_anything(self) -> bool:
        return any(map(any, (self.offered, self.active, self.in_tokens, self.out_tokens)))

    def empty(self) -> Integrals:
        """As long, and of nothing."""
        made = Integrals.__new__(Integrals)
        for name in self.__slots__:
            setattr(made, name, [0.0] * len(self.offered))
        return made

    def add(self, other: Integrals) -> None:
        for name in self.__slots__:
            setattr(self, name, [a + b for a, b in zip(getattr(self, name), getattr(other, name), strict=True)])


def _curves(snapshot: Snapshot, asked: Asked, grid: Grid) -> tuple[dict[str, Integrals], dict[str, Integrals]]:
    """By model and by key, what goes on now included. Short windows are read once for both: it is the same rows."""
    if grid.width < HOUR:
        found = _with_open(snapshot, asked, grid, ("model", "key"))
        return _added_up(found, "model"), _added_up(found, "key")
    by_model, by_key = (_with_open(snapshot, asked, grid, (by,)) for by in ("model", "key"))
    return _added_up(by_model, "model"), _added_up(by_key, "key")


def _with_open(snapshot: Snapshot, asked: Asked, grid: Grid, by: Sequence[str]) -> dict[Group, Integrals]:
    found = read_curves(snapshot, grid, asked.filter, by, snapshot.now)
    for course in snapshot.open_calls(asked.filter):
        group = group_of(course)
        told = Group(*(getattr(group, name) if name in by else "" for name in DIMENSIONS))
        if told not in found:
            found[told] = CurvesOf(grid, snapshot.now)
        found[told].add(course, snapshot.now)
    return {group: Integrals(curves) for group, curves in found.items()}


def _added_up(found: Mapping[Group, Integrals], by: str) -> dict[str, Integrals]:
    told: dict[str, Integrals] = {}
    for group, curves in found.items():
        told.setdefault(getattr(group, by), curves.empty()).add(curves)
    return told


def _busiest(found: Mapping[str, Integrals], count: int, nobody: str) -> dict[str, Integrals]:
    """By seconds of service; those behind them are put together. Who only had refusals has no curves."""
    there = (each for each in found.items() if each[1].is_anything)
    ranked = sorted(there, key=lambda each: (-sum(each[1].active), -sum(each[1].offered), each[0]))
    told = {name or nobody: curves for name, curves in ranked[:count]}
    for name, curves in ranked[count:]:
        if OTHER in told:
            told[OTHER].add(curves)
        else:
            told[OTHER] = found[name]
    return told


def _queued(curves: Integrals) -> list[float]:
    return [max(0.0, wanted - held) for wanted, held in zip(curves.offered, curves.active, strict=True)]


def _model(curves: Integrals, widths: Sequence[float]) -> ModelCurves:
    return ModelCurves(
        ratios(curves.offered, widths),
        ratios(curves.active, widths),
        ratios(_queued(curves), widths),
        ratios(curves.out_tokens, widths),
    )


def _key(curves: Integrals, widths: Sequence[float]) -> KeyCurves:
    return KeyCurves(ratios(curves.offered, widths), ratios(curves.active, widths), ratios(_queued(curves), widths))


def _totals(every: Iterable[Integrals], grid: Grid, widths: Sequence[float]) -> TotalCurves:
    whole = Integrals(CurvesOf(grid))
    for curves in every:
        whole.add(curves)
    return TotalCurves(
        ratios(whole.offered, widths),
        ratios(whole.active, widths),
        ratios(_queued(whole), widths),
        ratios(whole.in_tokens, widths),
        ratios(whole.out_tokens, widths),
    )


# The host.

_s = samples.c
_COLUMNS = (
    _s.sampled_at, _s.gpu_pct, _s.cpu_pct, _s.ram_wired_bytes, _s.ram_total_bytes, _s.ram_available_bytes,
    _s.gpu_memory_used_bytes, _s.gpu_memory_total_bytes, _s.power_w, _s.engines,
)  # fmt: skip

Reading = Sequence[float | None]


def host_curves(snapshot: Snapshot, grid: Grid) -> HostCurves:
    """Of all hosts that write to this store; with several, the means of their readings."""
    every_s = max(SAMPLED_S, grid.width // max(1, round(READINGS / grid.count)))
    buckets: list[list[Reading]] = [[] for _ in range(grid.count)]
    totals: tuple[int | None, int | None] = None, None
    for row in snapshot.rows(_readings(grid, every_s)):
        if row[0] is None or row[0] >= grid.end:
            continue
        reading = _reading(row)
        buckets[int((row[0] - grid.start) // grid.width)].append(reading)
        totals = row[4] or totals[0], row[7] or totals[1]
    means = [_means(readings) for readings in buckets]
    gpu_pct, cpu_pct, wired, used, gpu_used, power_w, backends = (list(column) for column in zip(*means, strict=True))
    return HostCurves(
        gpu_pct=gpu_pct,
        cpu_pct=cpu_pct,
        wired_gb=wired,
        ram_used_gb=used,
        gpu_memory_used_gb=gpu_used,
        power_w=power_w,
        backend_rss_gb=backends,
        ram_total_gb=_gib(totals[0]),
        gpu_memory_total_gb=_gib(totals[1]),
    )


def _readings(grid: Grid, every_s: int) -> Select[Any]:
    """Those of the grid, in order; of one with wide buckets, those within a moment of the first in every `every_s`."""
    inside = and_(_s.sampled_at >= grid.start, _s.sampled_at < grid.end)
    if every_s == SAMPLED_S:
        return select(*_COLUMNS).where(inside).order_by(_s.sampled_at)
    looks = select(literal(grid.start, BigInteger).label("at")).cte("looks", recursive=True)
    looks = looks.union_all(select(looks.c.at + every_s).where(looks.c.at + every_s < grid.end))
    soon = and_(_s.sampled_at >= looks.c.at, _s.sampled_at < looks.c.at + every_s)
    earliest = select(func.min(_s.sampled_at)).where(soon).correlate(looks).scalar_subquery()
    first = select(earliest.label("at")).select_from(looks).cte("first")
    moment = and_(_s.sampled_at >= first.c.at, _s.sampled_at < first.c.at + SAMPLED_S)
    # An outer join, because its left side comes first: SQLite would look at every reading there is, and then for looks.
    return select(*_COLUMNS).join_from(first, samples, moment, isouter=True).order_by(_s.sampled_at)


def _reading(row: Sequence[object]) -> Reading:
    """In the order of `host_curves`."""
    _, gpu_pct, cpu_pct, wired, total, available, gpu_used, _, power_w, engines = row
    used = None if total is None or available is None else total - available  # type: ignore[operator]
    resident = [each.footprint_bytes or each.resident_bytes for each in decode_engines(str(engines))]
    backends = sum(size for size in resident if size is not None) if any(resident) else None
    return gpu_pct, cpu_pct, _gib(wired), _gib(used), _gib(gpu_used), power_w, _gib(backends)  # type: ignore[return-value]


def _gib(size: object) -> float | None:
    return None if size is None else round(float(size) / GIB, 3)  # type: ignore[arg-type]


def _means(readings: Sequence[Reading]) -> list[float | None]:
    if not readings:
        return [None] * 7
    return [_mean([value for value in column if value is not None]) for column in zip(*readings, strict=True)]


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 3) if values else None
