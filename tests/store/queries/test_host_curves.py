"""The readings of hosts over a window, whatever its length and however often they are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.accounting.curves import Grid
from penstock.core.accounting.host_sample import HostSample
from penstock.store.base import Checkpoint
from penstock.store.queries.coverage import RECORDS, Piece
from penstock.store.queries.snapshot import Snapshot, at_most
from penstock.store.queries.tables import DAY, HOUR
from penstock.store.queries.timeline import host_curves
from penstock.store.rows import SAMPLE_COLUMNS, Row
from penstock.store.sqlite import SqliteStore

START = 1_700_006_400
"""A midnight."""


def a_row(host: str, at: float, gpu_pct: float) -> Row:
    sample = HostSample(f"{host}-{at}", host, "b", host, at, gpu_pct=gpu_pct)
    return tuple("[]" if name in ("devices", "engines") else getattr(sample, name) for name in SAMPLE_COLUMNS)


def gpu_of(folder: Path, rows: list[Row], grid: Grid) -> list[float | None]:
    store = SqliteStore(folder / "penstock.db")
    store.prepare()
    store.upsert([], [], Checkpoint("g", "00000001-b.jsonl", 1), samples=rows)
    with store.transaction() as connection:
        told = host_curves(Snapshot(connection, START + 3 * DAY), grid).gpu_pct
    store.close()
    return told


@pytest.mark.parametrize("width", [5, 60, HOUR, DAY])
@pytest.mark.parametrize("every_s", [5, 37])
def test_a_host_that_is_read_seldom_has_no_gaps_that_are_none(tmp_path: Path, width: int, every_s: int) -> None:
    width = max(width, every_s + 1)
    rows = [a_row("one", START + 2.5 + at, 40.0) for at in range(0, 8 * HOUR, every_s)]
    grid = Grid(START, width, 8 * HOUR // width or 1)
    assert gpu_of(tmp_path, rows, grid) == [40.0] * grid.count


def test_a_gap_is_a_gap(tmp_path: Path) -> None:
    rows = [a_row("one", START + at, 40.0) for at in range(0, 3 * HOUR, 5) if not HOUR <= at < 2 * HOUR]
    assert gpu_of(tmp_path, rows, Grid(START, HOUR, 4)) == [40.0, None, 40.0, None]


@pytest.mark.parametrize("width", [60, HOUR])
def test_two_hosts_weigh_the_same(tmp_path: Path, width: int) -> None:
    rows = [
        a_row(host, START + shift_s + at, gpu_pct)
        for host, shift_s, gpu_pct in (("one", 0.3, 20.0), ("two", 3.9, 60.0))
        for at in range(0, 2 * HOUR, 5)
    ]
    assert gpu_of(tmp_path, rows, Grid(START, width, 2)) == [40.0, 40.0]


ranges = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=30)


@given(ranges, st.integers(1, 12))
def test_many_ranges_become_few_that_hold_them_all(lengths: list[tuple[int, int]], count: int) -> None:
    given_ranges, at = [], 0
    for gap, length in lengths:
        given_ranges.append(Piece(RECORDS, at + gap, at + gap + length))
        at += gap + length
    found = at_most(count, given_ranges)
    assert len(found) == min(count, len(given_ranges))
    assert all(any(one.start <= each.start and each.end <= one.end for one in found) for each in given_ranges)
    between = sorted(gap for gap, _ in lengths[1:])[: len(given_ranges) - len(found)]
    added = sum(one.end - one.start for one in found) - sum(length for _, length in lengths)
    assert added == sum(between)  # the smallest gaps are what is read in vain
