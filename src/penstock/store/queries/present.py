"""What goes on now, and whether that is well: from open calls, the last readings, and what a gateway says itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from sqlalchemy import func, select

from penstock.core.accounting.course import Course
from penstock.core.accounting.host_sample import HostSample
from penstock.core.accounting.record import Outcome
from penstock.core.accounting.sums import Sums
from penstock.store.queries.asking import Asked
from penstock.store.queries.courses import EVERYTHING
from penstock.store.queries.folding import Group
from penstock.store.queries.questions import window_of
from penstock.store.queries.shown import (
    Backend,
    BudgetNow,
    Health,
    HostNow,
    Hosts,
    HostSummary,
    KeyLately,
    ModelNow,
    Now,
    WaitingNow,
)
from penstock.store.queries.snapshot import Snapshot
from penstock.store.queries.timeline import GIB, host_curves
from penstock.store.queries.told import MAX_ROWS, NO_KEY, NO_MODEL, OTHER, together
from penstock.store.rows import sample_of
from penstock.store.schema import samples

LATELY_S = 300.0
FRESH_S = 60.0
"""An older reading says nothing about now."""

IDLE_PCT, BUSY_PCT = 5.0, 95.0
PRODUCTIVE_TOK_S = 5.0
FEW = 5
MANY_ERRORS = 0.2
LONG_OPEN_S = 3600.0
MAX_BACKENDS = 12
MAX_QUEUED = 1000
OK, DEGRADED, STALLED = "OK", "DEGRADED", "STALLED"

_CAVEAT = "Tokens of calls that still run are not known yet."


class LiveQueued(msgspec.Struct):
    """A waiting call as a gateway tells it at /__queue/status."""

    id: str
    key_fp: str | None = None
    age_s: float = 0.0
    priority: int | None = None
    effective_priority: float | None = None
    pool: str | None = None
    wait_reason: str | None = None


class LiveModel(msgspec.Struct):
    model: str
    cap: int | None = None
    in_flight: int = 0
    queue_depth: int = 0
    wait_ms_p50: int | None = None
    wait_ms_p95: int | None = None
    queued: list[LiveQueued] = []


class Live(msgspec.Struct):
    """What a running gateway knows better than its records: as at /__queue/status."""

    by_model: list[LiveModel]
    budget: BudgetNow | None = None
    total_in_flight: int = 0
    total_queue_depth: int = 0


Lately = dict[Group, Sums]
"""What ended of the last minutes' calls, by key and outcome. Of a busy minute it takes a while: it is asked once."""


def now(snapshot: Snapshot, live: Live | None) -> Now:
    return _now(snapshot, live, _ended_lately(snapshot))


def _ended_lately(snapshot: Snapshot) -> Lately:
    return snapshot.sums(snapshot.now - LATELY_S, snapshot.now, EVERYTHING, ("key", "outcome"))


def _now(snapshot: Snapshot, live: Live | None, ended: Lately) -> Now:
    host = _last_reading(snapshot)
    models = _models_live(live) if live is not None else _models_stored(snapshot)
    in_flight = sum(each.in_flight for each in models)
    summary = None if host is None else _summary(host, snapshot.now)
    return Now(
        verdict=_verdict(summary, models),
        stall=_stall(summary, in_flight),
        queue_available=live is not None,
        scheduler=True,
        budget=None if live is None else live.budget,
        models=[each for each in models if each.in_flight or each.queue_depth or each.cap],
        queued=[waiting for each in models for waiting in each.queued],
        totals={"in_flight": in_flight, "queue_depth": sum(each.queue_depth for each in models)},
        host=summary,
        recent_5m_by_key=_by_key(snapshot, ended),
        caveat=_CAVEAT,
    )


def _models_live(live: Live) -> list[ModelNow]:
    return [
        ModelNow(
            each.model,
            each.cap,
            each.in_flight,
            each.queue_depth,
            [
                WaitingNow(
                    waiting.key_fp or NO_KEY, each.model, waiting.id, waiting.age_s, waiting.priority,
                    waiting.effective_priority, waiting.pool, waiting.wait_reason,
                )
                for waiting in each.queued
            ],
            each.wait_ms_p50,
            each.wait_ms_p95,
        )
        for each in live.by_model
    ]  # fmt: skip


def _models_stored(snapshot: Snapshot) -> list[ModelNow]:
    by_model: dict[str, list[Course]] = {}
    for course in snapshot.open_calls(EVERYTHING):
        by_model.setdefault(course.model or NO_MODEL, []).append(course)
    told = []
    for model, courses in sorted(by_model.items()):
        waiting = [course for course in courses if course.admitted_s is None]
        queued = [_waiting(course, snapshot.now) for course in waiting[:MAX_QUEUED]]
        told.append(ModelNow(model, None, len(courses) - len(waiting), len(waiting), queued, None, None))
    return told


def _waiting(course: Course, at: float) -> WaitingNow:
    age_s = round(max(0.0, at - course.received_at), 1)
    return WaitingNow(course.key or NO_KEY, course.model, course.id, age_s, None, None, None, None)


def _by_key(snapshot: Snapshot, ended: Lately) -> list[KeyLately]:
    found: dict[str, Sums] = {}
    for group, sums in ended.items():
        found.setdefault(group.key, Sums()).merge(sums)
    for course in snapshot.open_calls(EVERYTHING):
        if course.received_at >= snapshot.now - LATELY_S:
            found.setdefault(course.key or "", Sums()).requests += 1
    ranked = sorted(found.items(), key=lambda each: (each[0] == OTHER, -each[1].requests, each[0]))
    if len(ranked) > MAX_ROWS:
        ranked[MAX_ROWS:] = [(OTHER, together(dict(ranked[MAX_ROWS:])))]
    return [
        KeyLately(
            key or NO_KEY,
            sums.requests,
            sums.completion_tokens if sums.completion_known else None,
            sums.cached_tokens if sums.cached_known else None,
        )
        for key, sums in ranked
    ]


# The verdict.


def _verdict(host: HostSummary | None, models: Sequence[ModelNow]) -> str:
    busy = ", ".join(f"{each.model} (x{each.in_flight})" for each in models if each.in_flight)
    gpu = "no host sample" if host is None else "GPU —" if host.gpu_pct is None else f"GPU {host.gpu_pct:.0f}%"
    return f"{gpu} — {f'active: {busy}' if busy else 'no slots in flight'}"


def _stall(host: HostSummary | None, in_flight: int) -> str | None:
    if host is None or host.gpu_pct is None or host.sample_age_s is None or host.sample_age_s > FRESH_S:
        return None
    if not in_flight or host.gpu_pct >= IDLE_PCT:
        return None
    return f"{in_flight} slots are held, but the GPU idles ({host.gpu_pct:.0f} %): is an engine wedged?"


def health(snapshot: Snapshot, live: Live | None) -> Health:
    """Whether all is well. That a machine is fully used, and calls wait, is well."""
    ended = _ended_lately(snapshot)
    told = _now(snapshot, live, ended)
    reasons = [*([told.stall] if told.stall else []), *_unproductive(told, ended), *_failing(ended)]
    verdict = STALLED if told.stall else DEGRADED if reasons else OK
    return Health(
        verdict=verdict,
        reasons=reasons,
        notes=_notes(snapshot, told),
        in_flight=told.totals["in_flight"],
        waiting=told.totals["queue_depth"],
        gpu_pct=None if told.host is None else told.host.gpu_pct,
        minutes_not_rolled_up=snapshot.minutes_behind,
    )


def _unproductive(told: Now, ended: Lately) -> list[str]:
    """Only calls that have ended say how many tokens they got: with none of those, nobody knows."""
    gpu_pct = None if told.host is None else told.host.gpu_pct
    known = [sums for sums in ended.values() if sums.completion_known]
    if gpu_pct is None or gpu_pct < BUSY_PCT or sum(sums.completion_known for sums in known) < FEW:
        return []
    per_s = sum(sums.completion_tokens for sums in known) / LATELY_S
    if per_s >= PRODUCTIVE_TOK_S:
        return []
    return [f"the GPU is busy ({gpu_pct:.0f} %), but calls of the last 5 minutes got {per_s:.1f} tokens/s together"]


def _failing(ended: Lately) -> list[str]:
    count = sum(sums.requests for sums in ended.values())
    failed = sum(sums.requests for group, sums in ended.items() if group.outcome == Outcome.UPSTREAM_ERROR)
    if count < FEW or failed < MANY_ERRORS * count:
        return []
    return [f"{failed} of the {count} calls of the last 5 minutes failed in their engine"]


def _notes(snapshot: Snapshot, told: Now) -> list[str]:
    notes = []
    if told.host is None:
        notes.append("no reading of the host: its use and memory are unknown")
    elif told.host.sample_age_s is not None and told.host.sample_age_s > FRESH_S:
        notes.append(f"the last reading of the host is {told.host.sample_age_s:.0f} s old")
    if not told.queue_available:
        old = [each for each in snapshot.open_calls(EVERYTHING) if snapshot.now - each.received_at > LONG_OPEN_S]
        if old:
            notes.append(f"{len(old)} calls are open for more than an hour: is their gateway gone?")
    return notes


# Hosts.


def hosts(snapshot: Snapshot, asked: Asked) -> Hosts:
    columns = samples.c
    told = []
    for gateway_id, sampled_at in _last_readings(snapshot, asked):
        query = select(samples).where(columns.sampled_at == sampled_at, columns.gateway_id == gateway_id).limit(1)
        told += [_host_now(sample_of(tuple(row)), snapshot.now) for row in snapshot.rows(query)]
    told.sort(key=lambda each: (each.host, each.gateway_id))
    grid = asked.grid
    return Hosts(window_of(asked, grid), told, grid.starts(), host_curves(snapshot, grid))


def _last_readings(snapshot: Snapshot, asked: Asked) -> Iterator[tuple[str, float]]:
    """Of each gateway when it was, from one to the next by an index: together they would have every reading counted."""
    columns = samples.c
    inside = (columns.sampled_at >= asked.since, columns.sampled_at < asked.until)
    gateway_id = ""
    while True:
        following = select(func.min(columns.gateway_id)).where(columns.gateway_id > gateway_id)
        found = next(iter(snapshot.rows(following)))[0]
        if found is None:
            return
        gateway_id = found
        newest = select(func.max(columns.sampled_at)).where(columns.gateway_id == gateway_id, *inside)
        sampled_at = next(iter(snapshot.rows(newest)))[0]
        if sampled_at is not None:
            yield gateway_id, sampled_at


def _host_now(sample: HostSample, at: float) -> HostNow:
    return msgspec.convert({**msgspec.to_builtins(sample), "sample_age_s": _age_s(sample, at)}, HostNow)


def _last_reading(snapshot: Snapshot) -> HostSample | None:
    query = select(samples).order_by(samples.c.sampled_at.desc()).limit(1)
    return next((sample_of(tuple(row)) for row in snapshot.rows(query)), None)


def _age_s(sample: HostSample, at: float) -> float:
    return round(max(0.0, at - sample.sampled_at), 1)


def _summary(sample: HostSample, at: float) -> HostSummary:
    backends = [
        Backend(
            each.pid, each.engine, each.model, each.cpu_pct, _gb(each.resident_bytes), _gb(each.footprint_bytes),
            each.gpu_use_pct,
        )
        for each in sample.engines[:MAX_BACKENDS]
    ]  # fmt: skip
    return HostSummary(
        sample.gpu_pct, sample.gpu_clock_mhz, _gb(sample.ram_wired_bytes), _gb(sample.ram_free_bytes),
        _gb(sample.ram_total_bytes), _age_s(sample, at), backends,
    )  # fmt: skip


def _gb(size: int | None) -> float | None:
    return None if size is None else round(size / GIB, 2)
