"""What is put on the shelf can be read as it was, and never takes more than it may."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from penstock.core.calls.capture import Summary
from penstock.runtime.captures.shelf import BLOCK_BYTES, ENTRY_BYTES, Shelf


def summary(capture_id: str) -> Summary:
    return Summary(capture_id, 0.0, "POST", "/v1", "openai.chat", "m", None, 200, "completed", 1.0, 1, 1)


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)  # nothing that compresses


def ids(shelf: Shelf) -> list[str]:
    return [entry.summary.id for entry in shelf.entries(before=None, limit=10**6)]


@given(st.lists(st.tuples(st.integers(0, 30_000), st.booleans()), max_size=60), st.integers(2000, 60_000))
def test_whatever_comes_it_holds_no_more_than_it_may_and_what_it_holds_can_be_read(
    sizes: list[tuple[int, bool]], most_bytes: int
) -> None:
    shelf, contents = Shelf(most_bytes), dict[str, bytes]()
    for number, (size, is_noise) in enumerate(sizes):
        content = noise(number, size) if is_noise else b"again and " * (size // 10)
        contents[str(number)] = content
        is_put = shelf.put(summary(str(number)), content)
        assert is_put is (str(number) in shelf.ids)
        stored = sum(len(piece) for block in shelf._blocks for piece in block.pieces)
        assert stored + ENTRY_BYTES * len(shelf) == shelf.held_bytes <= most_bytes
    assert set(ids(shelf)) == shelf.ids
    for each in shelf.ids:
        assert shelf.read(each) == contents[each]


def test_the_oldest_goes_first_and_the_newest_stays() -> None:
    shelf = Shelf(100_000)
    for number in range(100):
        assert shelf.put(summary(str(number)), noise(number, 5000))
    kept = [int(each) for each in ids(shelf)]
    assert kept == list(range(99, 99 - len(kept), -1))
    assert 0.7 * 100_000 < shelf.held_bytes <= 100_000
    assert shelf.read("0") is None


def test_pages_follow_one_another_while_captures_come_and_go() -> None:
    shelf = Shelf(100_000)
    for number in range(10):
        shelf.put(summary(str(number)), b"x")
    first = shelf.entries(before=None, limit=4)
    shelf.put(summary("new"), b"x")
    second = shelf.entries(before=first[-1].place, limit=4)
    assert [entry.summary.id for entry in (*first, *second)] == list("98765432")


def test_what_is_too_large_is_not_kept_and_takes_nothing_else_with_it() -> None:
    shelf = Shelf(50_000)
    shelf.put(summary("small"), b"x")
    assert not shelf.put(summary("large"), noise(1, 60_000))
    assert shelf.put(summary("next"), b"y")
    assert (shelf.read("large"), shelf.read("next")) == (None, b"y")


def test_a_conversation_whose_turns_repeat_the_last_shrinks_by_three_quarters_at_least() -> None:
    words = [noise(word, 4).hex() for word in range(2000)]
    draw, plain, shelf, said = random.Random(1), 0, Shelf(2**24), ""
    for turn in range(20):
        said += " ".join(draw.choices(words, k=300))
        plain += len(said)
        shelf.put(summary(str(turn)), said.encode())
    assert shelf.held_bytes <= (1 - 0.73) * plain


def test_a_long_conversation_is_read_from_any_of_its_turns_also_after_a_rest() -> None:
    shelf, turn = Shelf(4 * 2**20), noise(1, 1_000_000)
    said = [turn + b"%d" % number for number in range(2 * BLOCK_BYTES // 1_000_000)]
    for number, content in enumerate(said):
        assert shelf.put(summary(str(number)), content)
        if number == 3:
            shelf.rest()
    assert shelf.held_bytes < 4 * 2**20
    for each in shelf.ids:
        assert shelf.read(each) == said[int(each)]
    shelf.clear()
    assert (len(shelf), shelf.held_bytes, ids(shelf)) == (0, 0, [])
    assert shelf.put(summary("after"), b"z")
    assert shelf.read("after") == b"z"
