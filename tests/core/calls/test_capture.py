"""What is collected of a call never takes more than it may, and is what came by."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.calls.capture import PIECE_BYTES, Collected, Collector, Room, is_media, without_media
from penstock.core.calls.redact import MASK
from penstock.core.calls.shown import shown_secrets, without

PIECES = st.lists(st.binary(max_size=300), max_size=60)


def text(collected: Collected) -> tuple[bytes, int, bytes]:
    return b"".join(collected.head), collected.missing_bytes, b"".join(collected.tail)


def held_bytes(collected: Collected) -> int:
    return sum(len(piece) + PIECE_BYTES for piece in (*collected.head, *collected.tail) if piece)


@given(PIECES, st.integers(0, 20_000))
def test_a_body_is_kept_whole_or_by_its_two_ends_with_the_number_of_bytes_between_them(
    pieces: list[bytes], room_bytes: int
) -> None:
    collector, whole = Collector(Room(room_bytes), most_bytes=4096), b"".join(pieces)
    for piece in pieces:
        collector.add(piece)
    head, missing, tail = text(collector.collected())
    assert len(head) + missing + len(tail) == len(whole)
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert missing == 0 or len(whole) > 4096 or room_bytes < 16_000


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3000)), max_size=80), st.integers(0, 30_000))
def test_all_calls_together_hold_no_more_than_the_room(given: list[tuple[int, int]], room_bytes: int) -> None:
    room = Room(room_bytes)
    collectors: dict[int, Collector] = {}
    for who, size in given:
        if size % 97 == 0 and who in collectors:
            collectors.pop(who).give_back()
            continue
        if who not in collectors:
            collectors[who] = Collector(room, most_bytes=8192)
        collectors[who].add(bytes(size))
        assert room.held_bytes == sum(each.leased_bytes for each in collectors.values()) <= room_bytes
        for each in collectors.values():
            slack = 2 * PIECE_BYTES  # of the two ends of what is cut
            assert held_bytes(each.collected()) <= each.leased_bytes + slack
    for each in collectors.values():
        each.give_back()
    assert room.held_bytes == 0


def test_a_body_up_to_the_bound_is_whole_however_it_comes() -> None:
    for step in (1, 7, 1000, 100_000):
        collector, body = Collector(Room(10**6), most_bytes=100_000), bytes(range(250)) * 400
        for at in range(0, len(body), step):
            collector.add(body[at : at + step])
        assert text(collector.collected()) == (body, 0, b"")


@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_of_a_huge_body_only_the_ends_are_ever_copied(kind: type[bytes] | type[memoryview]) -> None:
    body = b"a" * 5000 + bytes(50_000_000) + b"z" * 5000
    collector = Collector(Room(10**6), most_bytes=10_000)
    collector.add_body([b"before ", kind(body), b" after"])
    head, missing, tail = text(collector.collected())
    assert head.startswith(b"before aaa")
    assert tail.endswith(b"zzz after")
    assert 4000 < len(head) + len(tail) <= 20_000
    assert len(head) + missing + len(tail) == len(body) + 13


def test_what_has_no_room_at_all_is_counted() -> None:
    collector = Collector(Room(0))
    collector.add(b"abc")
    collector.add_body([memoryview(bytes(2**21))])
    head, missing, tail = text(collector.collected())
    assert (head, missing, tail) == (b"", 3 + 2**21, b"")


@pytest.mark.parametrize("content_type", ["audio/wav", "Image/PNG", "multipart/form-data; boundary=x", "video/mp4"])
def test_sound_and_pictures_are_told_by_their_type(content_type: str) -> None:
    assert is_media(content_type)
    assert not is_media("application/json")


def test_media_inside_json_is_left_out_and_json_stays_json() -> None:
    picture = base64.b64encode(bytes(range(256)) * 20).decode()
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
        {"type": "input_audio", "input_audio": {"data": picture, "format": "wav"}},
        {"type": "text", "text": "data:text/plain;base64,c2hvcnQ="},
    ]
    kept = json.loads(without_media(json.dumps(parts).encode()))
    assert kept[0]["image_url"]["url"] == f"data:image/png;base64,[{len(picture)} characters not kept]"
    assert kept[1]["input_audio"]["data"] == f"[{len(picture)} characters not kept]"
    assert kept[2] == parts[2]


def test_what_a_call_shows_as_a_secret_is_known_in_every_spelling() -> None:
    basic = base64.b64encode(b"ann:open sesame").decode()
    headers = [
        (b"Authorization", f"Basic {basic}".encode()),
        (b"X-Api-Key", b'a/"quoted"/key'),
        (b"Cookie", b"theme=dark; session=0123456789"),
        (b"Accept", b"not-a-secret"),
    ]
    found = shown_secrets(headers, b"/v1/x?key=in%2Fquery1&limit=25000000")
    echo = rb"open sesame a/\"quoted\"/key a\/\"quoted\"\/key a%2F%22quoted%22%2Fkey 0123456789 in%2Fquery1 in/query1"
    assert without(echo, found) == b" ".join([MASK] * 7)
    assert without(b"not-a-secret 25000000 dark", found) == b"not-a-secret 25000000 dark"


@given(st.binary(min_size=6, max_size=40), st.binary(max_size=40))
def test_a_secret_in_a_header_is_in_no_masked_text_in_any_way_that_json_writes_it(secret: bytes, around: bytes) -> None:
    secret = secret.strip() or b"secret"
    if len(secret) < 6:
        return
    found = shown_secrets([(b"x-api-key", secret)], b"/")
    written = json.dumps(secret.decode("latin-1")).encode()
    assert secret not in without(around + secret + around, found).replace(MASK, b"")
    if secret.isascii():
        assert written[1:-1] not in without(written, found).replace(MASK, b"") or secret in MASK
