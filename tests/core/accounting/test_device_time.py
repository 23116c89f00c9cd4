"""Device time, against cutting time into pieces in which nothing changes and sharing out each of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.accounting.device_time import Work, device_times

moments = st.integers(0, 40).map(lambda number: number / 4)


@st.composite
def some_works(draw: st.DrawFn) -> list[Work[int]]:
    """In the order in which they are known, with equal moments, no length, no devices and several."""
    found: list[Work[int]] = []
    for known_at in sorted(draw(st.lists(moments, max_size=10))):
        start = known_at + draw(moments)
        devices = draw(st.lists(st.sampled_from(["gpu0", "gpu1", "gpu2"]), unique=True))
        found.append(Work(len(found), known_at, start, start + draw(moments), devices))
    return found


def cut_up(works: list[Work[int]]) -> dict[int, float]:
    had = {work.call: 0.0 for work in works}
    edges = sorted({edge for work in works for edge in (work.start, work.end)})
    for start, end in pairwise(edges):
        for device in ("gpu0", "gpu1", "gpu2"):
            on_it = [work for work in works if device in work.devices and work.start <= start and end <= work.end]
            for work in on_it:
                had[work.call] += (end - start) / len(on_it)
    return had


@given(some_works())
def test_each_call_has_its_part_of_every_piece_of_time(works: list[Work[int]]) -> None:
    assert dict(device_times(works)) == pytest.approx(cut_up(works), abs=1e-9)


@given(some_works())
def test_the_parts_add_up_to_the_time_in_which_a_device_worked(works: list[Work[int]]) -> None:
    busy_s = 0.0
    for device in ("gpu0", "gpu1", "gpu2"):
        quarters = {
            quarter
            for work in works
            if device in work.devices
            for quarter in range(int(work.start * 4), int(work.end * 4))
        }
        busy_s += len(quarters) / 4
    assert sum(had for _, had in device_times(works)) == pytest.approx(busy_s, abs=1e-9)


def test_who_has_what_he_wanted_asks_for_no_more() -> None:
    def works() -> Iterator[Work[str]]:
        yield Work("first", 0.0, 0.0, 4.0, ["gpu0"])
        yield Work("second", 1.0, 2.0, 9.0, ["gpu0"])
        yield Work("late", 5.0, 5.0, 6.0, ["gpu0"])
        raise AssertionError("nobody wants to know what came then")

    assert next(device_times(works())) == ("first", 3.0)
