"""How much longer what runs will run: properties, and a comparison with queues that are played through call by call."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as some

from penstock.core.scheduling.expectation import load_left_s, remaining_s, until_ended_s

REMEMBERED = 64  # of a model's calls
SPANS = some.floats(0.001, 1e6)
SEEN = some.lists(SPANS, max_size=REMEMBERED).map(sorted)


@given(SEEN, SPANS, some.floats(0.0, 1e7))
def test_what_still_runs_is_never_said_to_be_over(lately_s: list[float], usual_s: float, ran_s: float) -> None:
    assert 0.0 < remaining_s(lately_s, usual_s, ran_s) < math.inf


@given(SEEN, SPANS, some.floats(0.0, 1e7))
def test_who_has_outlived_all_that_were_seen_goes_on_for_half_as_long_again(
    lately_s: list[float], usual_s: float, beyond_s: float
) -> None:
    ran_s = max(lately_s, default=0.0) + beyond_s
    assert remaining_s(lately_s, usual_s, ran_s) >= ran_s / 2


@given(SEEN, SPANS, some.floats(0.0, 1e6), some.floats(0.01, 100.0))
def test_it_does_not_matter_whether_time_is_told_in_seconds_or_minutes(
    lately_s: list[float], usual_s: float, ran_s: float, unit: float
) -> None:
    scaled = remaining_s([unit * each_s for each_s in lately_s], unit * usual_s, unit * ran_s)
    assert scaled == pytest.approx(max(0.001, unit * remaining_s(lately_s, usual_s, ran_s)), rel=1e-3, abs=0.002)


@given(some.lists(SPANS, min_size=1, max_size=8), SPANS, some.integers(1, 50))
def test_who_stands_further_back_starts_later(left_s: list[float], usual_s: float, count: int) -> None:
    assert 0.0 < until_ended_s(left_s, usual_s, count) < until_ended_s(left_s, usual_s, count + 1)


@given(some.lists(SPANS, min_size=1, max_size=8), SPANS, some.integers(1, 50), some.data())
def test_nobody_starts_sooner_because_what_runs_takes_longer(
    left_s: list[float], usual_s: float, count: int, data: some.DataObject
) -> None:
    longer_s = [each_s * data.draw(some.floats(1.0, 100.0)) for each_s in left_s]
    assert until_ended_s(longer_s, usual_s, count) >= until_ended_s(left_s, usual_s, count) * (1 - 1e-9)


@given(SPANS, some.integers(1, 8), some.integers(1, 50))
def test_among_equals_it_is_a_usual_call_by_the_number_of_places_for_each(usual_s: float, k: int, count: int) -> None:
    assert until_ended_s([usual_s] * k, usual_s, count) == pytest.approx(count * usual_s / k)


@given(some.floats(0.0, 1e5), some.floats(0.0, 1e6))
def test_a_load_that_goes_on_is_never_said_to_be_over(load_s: float, loads_for_s: float) -> None:
    left_s = load_left_s(load_s, loads_for_s)
    assert left_s > 0.0
    assert loads_for_s >= load_s or left_s == max(0.001, load_s - loads_for_s)


def test_a_load_that_is_late_is_expected_to_be_later_the_longer_it_takes() -> None:
    assert [load_left_s(10.0, loads_for_s) for loads_for_s in (1.0, 20.0, 200.0)] == [9.0, 5.0, 50.0]


# A queue played through: so many places, first come first served, and what each who waits was told on its way.

Draw = Callable[[random.Random], float]

SHAPES: dict[str, Draw] = {
    "all the same": lambda chance: 10.0,
    "by chance": lambda chance: chance.expovariate(1 / 10.0),
    "skewed": lambda chance: chance.lognormvariate(math.log(10.0) - 0.5, 1.0),
    "short or long": lambda chance: 60.0 if chance.random() < 0.15 else 1.0,
    "seldom long": lambda chance: 300.0 * chance.random() if chance.random() < 0.01 else 1.0,
}


@dataclass
class Played:
    """What was told about waits, and what they were: sums over all who were asked for."""

    told_s: float = 0.0
    was_s: float = 0.0


def play(draw: Draw, places: int, *, calls: int = 6000) -> Played:
    """Calls come at nine tenths of what the places can serve; each that waits is told its wait on arrival."""
    chance, played = random.Random(7), Played()
    usual_s = sum(draw(random.Random(seed)) for seed in range(2000)) / 2000
    lately_s: deque[float] = deque(maxlen=REMEMBERED)
    running: list[tuple[float, float]] = []  # ends, began
    waiting_until: list[float] = []  # when those who wait will start
    now_s = 0.0
    for number in range(calls):
        now_s += chance.expovariate(0.9 * places / usual_s)
        while running and running[0][0] <= now_s:
            ends_s, began_s = heapq.heappop(running)
            lately_s.append(ends_s - began_s)
        waiting_until = [start_s for start_s in waiting_until if start_s > now_s]
        takes_s = draw(chance)
        present = [each for each in running if each[1] <= now_s]
        if len(present) < places:
            heapq.heappush(running, (now_s + takes_s, now_s))
            continue
        ends = sorted(end_s for end_s, _ in running)
        starts_s = ends[len(ends) - places]  # as many as there are places end after it
        heapq.heappush(running, (starts_s + takes_s, starts_s))
        waiting_until.append(starts_s)
        if number > REMEMBERED * 2:
            note(played, present, sorted(lately_s), len(waiting_until), starts_s - now_s, now_s)
    return played


def note(
    played: Played, present: list[tuple[float, float]], lately_s: list[float], count: int, was_s: float, now_s: float
) -> None:
    usual_s = sum(lately_s) / len(lately_s)
    ran_s = [now_s - began_s for _, began_s in present]
    told_s = until_ended_s([remaining_s(lately_s, usual_s, each_s) for each_s in ran_s], usual_s, count)
    played.told_s, played.was_s = played.told_s + told_s, played.was_s + was_s


@pytest.mark.parametrize("places", [1, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_told_is_what_comes_on_the_average(shape: str, places: int) -> None:
    played = play(SHAPES[shape], places)
    assert played.was_s > 0.0
    assert 0.8 < played.told_s / played.was_s < 1.25


def looked_at(draw: Draw, *, calls: int = 8000) -> tuple[float, float, float]:
    """Who is next behind one place is asked about again and again while a call runs that is three times a usual one.

    Gives the sums of what was told, of what would be told of a call that has just begun, and of what came.
    """
    chance, lately_s = random.Random(5), deque[float](maxlen=REMEMBERED)
    told_s = fresh_s = was_s = 0.0
    for number in range(calls):
        takes_s, ranked = draw(chance), sorted(lately_s)
        usual_s = sum(ranked) / len(ranked) if ranked else takes_s
        ran_s = 3.0 * usual_s
        while number > REMEMBERED and ran_s < takes_s:
            told_s += until_ended_s([remaining_s(ranked, usual_s, ran_s)], usual_s, 1)
            fresh_s += usual_s
            was_s += takes_s - ran_s
            ran_s += usual_s / 4
        lately_s.append(takes_s)
    return told_s, fresh_s, was_s


@pytest.mark.parametrize("shape", ["skewed", "short or long", "seldom long"])
def test_what_is_told_behind_a_long_call_is_what_comes(shape: str) -> None:
    told_s, fresh_s, was_s = looked_at(SHAPES[shape])
    assert 0.5 < told_s / was_s < 2.0, (told_s, fresh_s, was_s)
    assert fresh_s < 0.5 * was_s
