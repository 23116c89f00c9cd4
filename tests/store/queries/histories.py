"""Histories in a store, and the same asked of the calls themselves: slow and obvious."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from penstock.core.accounting.course import Course
from penstock.core.accounting.curves import Grid
from penstock.core.accounting.load_record import LoadRecord
from penstock.core.accounting.record import CallRecord
from penstock.core.accounting.sums import Spread, Sums
from penstock.store.base import Checkpoint, Store
from penstock.store.journal import Journal
from penstock.store.postgres import PostgresStore
from penstock.store.queries.courses import Devices, Filter
from penstock.store.queries.curve_reading import CurvesOf
from penstock.store.queries.folding import Group, Speeds, group_of
from penstock.store.queries.tables import DIMENSIONS
from penstock.store.segments import read_segment, segments_in
from penstock.store.sqlite import SqliteStore
from tests.store.some_calls import rows

HERE = Checkpoint("g1", "00000001-b1.jsonl", 1)
SHARED = (("g1", "a", '["gpu0"]'), ("g1", "b", '["gpu0"]'))
"""Models a and b of gateway g1 are on one device."""

AnyStore = SqliteStore | PostgresStore


def record_of(course: Course) -> CallRecord:
    record = CallRecord(
        course.id, course.gateway_id, "b1", "0.1.0", course.received_at, "POST", "/v1/chat/completions", "openai"
    )
    for name in (
        "model", "key", "workload", "outcome", "retry_count", "enqueued_s", "admitted_s", "first_token_s", "done_s",
        "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "energy_j",
    ):  # fmt: skip
        setattr(record, name, getattr(course, name))
    record.count = course.stands_for
    if course.load_wait_s:
        record.wait_reasons = {"loading": course.load_wait_s}
    return record


def as_stored(course: Course) -> Course:
    """As it comes back: who got a slot without a wait for a load has waited 0 s for one."""
    waited = course.load_wait_s or (None if course.admitted_s is None else 0.0)
    return course._replace(load_wait_s=waited)


def fill(store: Store, history: Iterable[Course], loads: Sequence[LoadRecord] = ()) -> None:
    lines = []
    if loads:
        lines = loads_as_rows(loads)
    store.upsert(rows(*map(record_of, history)), [], HERE, loads=lines)


def loads_as_rows(
    loads: Sequence[LoadRecord], folder: Path | None = None
) -> list[tuple[str | int | float | None, ...]]:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        journal = Journal(folder or Path(name), boot_id="b1", reserve_bytes=0)
        for load in loads:
            journal.note(load)
        journal.close()
        return read_segment(segments_in(journal.directory)[-1].path, 0)[0].loads


def sharing() -> list[LoadRecord]:
    """The loads that say what SHARED says."""
    return [
        LoadRecord(f"l-{model}", gateway, "b1", model, 1_600_000_000.0, devices=["gpu0"], outcome="ready", done_s=1.0)
        for gateway, model, _ in SHARED
    ]


def is_chosen(course: Course, asked: Filter) -> bool:
    group = group_of(course)
    return all(getattr(asked, name) in (None, getattr(group, name)) for name in DIMENSIONS)


def told_by(course: Course, by: Sequence[str]) -> Group:
    group = group_of(course)
    return Group(*(getattr(group, name) if name in by else "" for name in DIMENSIONS))


def sums_of_all(
    history: Sequence[Course], since: float, until: float, asked: Filter, by: Sequence[str]
) -> dict[Group, Sums]:
    speeds = Speeds(Devices(SHARED))
    speeds.add_all(history)
    found: dict[Group, Sums] = {}
    for course in history:
        if course.is_open or not since <= course.received_at < until or not is_chosen(course, asked):
            continue
        sums = found.setdefault(told_by(course, by), Sums())
        sums.add(course)
        if (measured := speeds.measured(course)) is not None:
            sums.add_speed(course, *measured)
    return found


def curves_of_all(
    history: Sequence[Course], grid: Grid, asked: Filter, by: Sequence[str], now: float
) -> dict[Group, CurvesOf]:
    found: dict[Group, CurvesOf] = {}
    for course in history:
        if not course.is_open and is_chosen(course, asked):
            found.setdefault(told_by(course, by), CurvesOf(grid)).add(course, now)
    return found


def assert_same_sums(found: dict[Group, Sums], expected: dict[Group, Sums], *, with_speeds: bool) -> None:
    assert found.keys() == expected.keys()
    for group, sums in expected.items():
        other = found[group]
        assert other.requests == sums.requests
        assert (other.prompt_tokens, other.prompt_known) == (sums.prompt_tokens, sums.prompt_known)
        assert (other.cached_tokens, other.cached_known) == (sums.cached_tokens, sums.cached_known)
        assert (other.completion_tokens, other.completion_known) == (sums.completion_tokens, sums.completion_known)
        assert (other.retries, other.energy_known) == (sums.retries, sums.energy_known)
        assert other.service_s == pytest.approx(sums.service_s)
        assert other.waited_s == pytest.approx(sums.waited_s)
        if not with_speeds:
            for each in (other, sums):
                each.spreads.pop(Spread.SOLO_DECODE_TOK_S, None)
                each.cells.clear()
        assert other.spreads == sums.spreads
        assert other.cells.keys() == sums.cells.keys()
        for number, cell in sums.cells.items():
            assert other.cells[number].decode == cell.decode
            assert (other.cells[number].calls, other.cells[number].tokens) == (cell.calls, cell.tokens)
            assert other.cells[number].shared_s == pytest.approx(cell.shared_s)


def assert_same_curves(found: dict[Group, CurvesOf], expected: dict[Group, CurvesOf]) -> None:
    for group in found.keys() | expected.keys():
        for name in ("offered", "active", "in_tokens", "out_tokens"):
            nothing = [0.0]
            have = getattr(found[group], name).integrals() if group in found else nothing
            want = getattr(expected[group], name).integrals() if group in expected else nothing
            if len(have) != len(want):
                have, want = [sum(map(abs, have))], [sum(map(abs, want))]
            assert have == pytest.approx(want, abs=1e-6), (group, name)
