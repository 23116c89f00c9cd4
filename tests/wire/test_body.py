"""Bodies wait in memory while they are few and small, else on disk; what is large is seen through a view."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import BodyNotKept, TooLarge
from penstock.wire.body import LARGE_BYTES, BodyStore, SpooledBody, whole

Kept = bytes | bytearray | SpooledBody


def added(store: BodyStore, *parts: bytes) -> Kept:
    body: Kept = b""
    for part in parts:
        body = store.add(body, part, 2**20)
    return body


def test_a_small_body_in_one_piece_is_the_piece_itself(tmp_path: Path) -> None:
    store, piece = BodyStore(tmp_path, above_bytes=100, memory_bytes=100), bytes(50)
    assert added(store, piece) is piece
    assert store.held_bytes == 50


def test_a_body_that_grows_large_goes_to_disk_with_all_that_came_before(tmp_path: Path) -> None:
    store = BodyStore(tmp_path, above_bytes=10, memory_bytes=100)
    body = added(store, b"0123456", b"789", b"abc", b"def")
    assert isinstance(body, SpooledBody)
    assert (len(body), store.held_bytes) == (16, 0)
    assert bytes(whole(body)) == b"0123456789abcdef"
    assert list(tmp_path.iterdir()) == [], "a file without a name"


def test_a_body_that_becomes_more_than_it_may_be_is_refused_and_holds_what_it_held(tmp_path: Path) -> None:
    store = BodyStore(tmp_path, above_bytes=100, memory_bytes=100)
    body = store.add(b"", b"0123456", 9)
    with pytest.raises(TooLarge, match="9 bytes"):
        store.add(body, b"789", 9)
    assert (body, store.held_bytes) == (b"0123456", 7)


def test_a_disk_that_does_not_take_a_body_is_named(tmp_path: Path) -> None:
    store = BodyStore(tmp_path / "gone", above_bytes=0, memory_bytes=0)
    with pytest.raises(BodyNotKept, match="No such file"):
        store.add(b"", b"0", 9)


def test_what_all_bodies_together_may_hold_is_bounded_and_given_back(tmp_path: Path) -> None:
    store = BodyStore(tmp_path, above_bytes=50, memory_bytes=100)
    bodies = [added(store, bytes(20), bytes(20)) for _ in range(4)]
    assert [isinstance(body, SpooledBody) for body in bodies] == [False, False, True, True]
    assert store.held_bytes == 100 - 20  # of the third, the piece that still had room went to disk with the next
    for body in bodies:
        store.release(body)
    assert store.held_bytes == 0


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(0, 100), st.integers(0, 100))
def test_whatever_the_bounds_a_body_is_what_came(parts: list[bytes], above_bytes: int, memory_bytes: int) -> None:
    store = BodyStore(Path("/tmp"), above_bytes=above_bytes, memory_bytes=memory_bytes)
    body = added(store, *parts)
    content = b"".join(parts)
    assert len(body) == len(content)
    assert 0 <= store.held_bytes <= memory_bytes
    if content or not isinstance(body, SpooledBody):  # nothing at all cannot be mapped
        assert bytes(whole(body)) == content
    store.release(body)
    assert store.held_bytes == 0


@pytest.mark.parametrize("above_bytes", [0, 2**30])
@pytest.mark.parametrize("is_large", [False, True])
def test_what_is_large_is_seen_through_a_view_wherever_it_is_kept(
    tmp_path: Path, above_bytes: int, is_large: bool
) -> None:
    store = BodyStore(tmp_path, above_bytes=above_bytes, memory_bytes=2**30)
    body = added(store, bytes(LARGE_BYTES), b"x" * is_large)
    seen = whole(body)
    assert isinstance(seen, memoryview) is (is_large or not above_bytes)
    assert seen == bytes(LARGE_BYTES) + b"x" * is_large
    store.release(body)
    assert seen[-1:] == (b"x" if is_large else b"\0"), "a view outlives its store"


def test_a_file_is_closed_when_nobody_wants_its_body(tmp_path: Path) -> None:
    store = BodyStore(tmp_path, above_bytes=0, memory_bytes=0)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for _ in range(20):
        store.release(added(store, b"x"))
        whole(added(store, b"x"))
    after = len(os.listdir("/proc/self/fd")) if before else 0
    assert after == before
