"""What is learned of an engine's size: the most that was seen, in this life and the one before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.core.fitting.learning import WORTH_TELLING, Learning


def test_the_first_size_is_told_and_then_what_it_grows_to() -> None:
    learning = Learning()
    assert learning.learn("a", 1, {"ram": 1000}) == (("ram", 1000),)
    assert learning.learn("a", 1, {"ram": 1005}) is None
    assert learning.learn("a", 1, {"ram": 900}) is None
    assert learning.learn("a", 1, {"ram": 1400}) == (("ram", 1400),)


def test_after_a_start_it_is_expected_to_grow_as_far_as_in_the_life_before() -> None:
    learning = Learning()
    learning.learn("a", 1, {"ram": 1000})
    learning.learn("a", 1, {"ram": 1400})
    assert learning.learn("a", 2, {"ram": 1000}) == (("ram", 1400),)
    assert learning.learn("a", 3, {"ram": 1000}) == (("ram", 1000),)  # in a whole life it did not


def test_one_that_was_forgotten_is_a_new_one() -> None:
    learning = Learning()
    learning.learn("a", 1, {"ram": 1000})
    learning.forget("a")
    assert learning.learn("a", 2, {"ram": 10}) == (("ram", 10),)


def test_each_device_is_looked_at_for_itself() -> None:
    learning = Learning()
    learning.learn("a", 1, {"gpu0": 100, "ram": 1000})
    assert learning.learn("a", 1, {"gpu0": 200, "ram": 10}) == (("gpu0", 200), ("ram", 1000))


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 10**12)), max_size=30))
def test_what_was_told_last_is_never_far_below_what_is_seen(steps: list[tuple[int, int]]) -> None:
    learning, told = Learning(), 0
    for generation, count in sorted(steps, key=lambda step: step[0]):
        footprint = learning.learn("a", generation, {"ram": count})
        told = told if footprint is None else dict(footprint)["ram"]
        assert count <= told * (1 + WORTH_TELLING)
