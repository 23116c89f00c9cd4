"""Which try a retry repeats: the latest that looks the same and was the one before, or nobody knows."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from penstock.core.accounting.retries import WITHIN_S, Try, first_tries


def a_try(
    number: int, retry: int | None, at: float, *, ended: float | None = None, like: object = "same", ok: bool = False
) -> Try:
    return Try(f"t{number}", (like,), retry, at, at + 1 if ended is None else ended, ok)


def test_a_chain_of_retries_leads_to_its_first_try() -> None:
    tries = [a_try(1, 0, 0.0), a_try(2, 1, 2.0), a_try(3, 2, 5.0, ok=True)]
    assert first_tries(tries) == {"t2": "t1", "t3": "t1"}


def test_a_client_that_does_not_count_its_first_try_is_followed_too() -> None:
    assert first_tries([a_try(1, None, 0.0), a_try(2, 1, 2.0)]) == {"t2": "t1"}


def test_two_who_look_the_same_are_each_followed() -> None:
    tries = [a_try(1, 0, 0.0), a_try(2, 0, 0.1), a_try(3, 1, 2.0), a_try(4, 1, 2.1)]
    assert sorted(first_tries(tries).values()) == ["t1", "t2"]


def test_nothing_is_guessed() -> None:
    assert not first_tries([a_try(1, 0, 0.0, ok=True), a_try(2, 1, 2.0)])
    assert not first_tries([a_try(1, 0, 0.0, like="other"), a_try(2, 1, 2.0)])
    assert not first_tries([a_try(1, 0, 0.0), a_try(2, 2, 2.0)])
    assert not first_tries([a_try(1, 0, 0.0), a_try(2, 1, 2.0 + WITHIN_S)])
    assert not first_tries([a_try(1, 0, 0.0, ended=50.0), a_try(2, 1, 2.0)])
    assert not first_tries([a_try(2, 1, 2.0), a_try(3, 2, 5.0)])


some_tries = st.lists(st.tuples(st.sampled_from([None, 0, 1, 2]), st.integers(0, 300), st.booleans()), max_size=12)


@given(some_tries)
def test_every_try_is_repeated_once_at_most_and_by_the_next(made: list[tuple[int | None, int, bool]]) -> None:
    tries = [a_try(number, retry, float(at), ok=ok) for number, (retry, at, ok) in enumerate(made)]
    by_id = {each.id: each for each in tries}
    found = first_tries(tries)
    for retry, first in found.items():
        assert by_id[retry].retry_count
        assert not by_id[first].retry_count
        assert by_id[first].received_at <= by_id[retry].received_at
    seconds = [first for retry, first in found.items() if by_id[retry].retry_count == 1]
    assert len(seconds) == len(set(seconds))


chains = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from([None, 0]), st.lists(st.integers(2, 119), min_size=3, max_size=3)),
    max_size=5,
)


@given(chains, st.randoms())
def test_clients_who_look_different_are_each_followed_from_their_first_try_to_their_last(
    made: list[tuple[int, int | None, list[int]]], chance: Random
) -> None:
    """Each tries some times, waiting now shorter, now longer; all at the same time, and told in any order."""
    tries: list[Try] = []
    expected: dict[str, str] = {}
    for client, (count, counts_from, waits) in enumerate(made):
        at = 0.0
        for number in range(count):
            retry = number or counts_from
            tries.append(Try(f"{client}/{number}", (client,), retry, at, at + 1.0, number == count - 1))
            if number:
                expected[f"{client}/{number}"] = f"{client}/0"
            at += 1.0 + waits[number % 3]
    chance.shuffle(tries)
    assert first_tries(tries) == expected
