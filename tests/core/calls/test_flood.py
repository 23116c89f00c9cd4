"""However many refusals come, the records stay few and every refusal is counted."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from penstock.core.calls.flood import OTHERS, Flood


def test_the_first_ten_of_a_second_stand_alone_and_the_rest_are_one_with_a_count() -> None:
    flood = Flood()
    assert [flood.note("10.0.0.7", 5.5) for _ in range(25)] == [True] * 10 + [False] * 15
    assert flood.note("10.0.0.8", 5.5)
    assert flood.due(5.9) == []
    assert flood.due(6.0) == [("10.0.0.7", 15)]
    assert flood.due(6.0) == []
    assert flood.note("10.0.0.7", 6.1)


def test_addresses_without_number_take_bounded_memory() -> None:
    flood = Flood(per_second=1, addresses=3)
    noted = [flood.note(str(each), 1.0) for each in range(100)]
    assert sum(noted) == 4
    assert flood.due(2.0) == [(OTHERS, 96)]


@given(st.lists(st.tuples(st.sampled_from([None, "a", "b", "c"]), st.integers(0, 3)), max_size=200))
def test_nothing_is_counted_twice_or_not_at_all(events: list[tuple[str | None, int]]) -> None:
    flood, now_s = Flood(per_second=2, addresses=100), 1.0
    told: Counter[str | None] = Counter()
    for address, step in events:
        now_s += step / 2
        told[address] += flood.note(address, now_s)
        if step == 3:
            told.update(dict(flood.due(now_s)))
    told.update(dict(flood.due(now_s + 1)))
    assert told == Counter(address for address, _ in events)
