"""Watching a compressed answer: its bytes stay as they are, and what is inside is counted as far as it can be read."""

from __future__ import annotations

import gzip
import zlib

import pytest

from penstock.core.calls.message import Usage
from penstock.errors import CannotInflate
from penstock.protocols.anthropic import MESSAGES
from penstock.protocols.inflating import PIECE_BYTES, InflatingMeter
from penstock.protocols.openai_chat import CHAT
from tests.protocols.streams import MESSAGES_STREAM, meter, run


class Unzip:
    """An Inflate without bounds. `breaks_at`: the call that fails."""

    def __init__(self, breaks_at: int = -1) -> None:
        self._stream = zlib.decompressobj(31)
        self._left = breaks_at
        self.largest_bytes = 0

    def feed(self, data: bytes) -> bytes:
        self.largest_bytes = max(self.largest_bytes, len(data))
        self._left -= 1
        if self._left == 0:
            raise CannotInflate
        return self._stream.decompress(data)


@pytest.mark.parametrize("piece_bytes", [1, 50, 10_000])
def test_what_is_inside_is_counted_and_what_passes_is_not_touched(piece_bytes: int) -> None:
    packed = gzip.compress(MESSAGES_STREAM)
    watching = InflatingMeter(meter(MESSAGES), Unzip())
    assert run(watching, *[packed[at : at + piece_bytes] for at in range(0, len(packed), piece_bytes)]) == packed
    assert watching.usage.completion_tokens == 3
    assert (watching.has_token, watching.failure) == (True, None)


def test_a_stream_without_its_last_empty_line_is_read_to_its_end() -> None:
    watching = InflatingMeter(meter(MESSAGES), Unzip())
    run(watching, gzip.compress(MESSAGES_STREAM[: MESSAGES_STREAM.index(b"\n\nevent: message_stop")]))
    assert watching.usage.completion_tokens == 3


def test_a_usage_chunk_cannot_be_taken_out() -> None:
    packed = gzip.compress(b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n')
    watching = InflatingMeter(meter(CHAT, hides_usage_chunk=True), Unzip())
    assert run(watching, packed) == packed
    assert watching.usage.completion_tokens == 2


def test_the_first_token_is_known_when_it_is_inflated() -> None:
    packer = zlib.compressobj(wbits=31)
    start, rest = MESSAGES_STREAM.split(b"event: content_block_delta")
    watching = InflatingMeter(meter(MESSAGES), Unzip())
    watching.feed(packer.compress(start) + packer.flush(zlib.Z_SYNC_FLUSH))
    assert not watching.has_token
    watching.feed(packer.compress(b"event: content_block_delta" + rest) + packer.flush(zlib.Z_SYNC_FLUSH))
    assert watching.has_token


@pytest.mark.parametrize(("breaks_at", "has_token"), [(1, False), (2, False), (3, True)])
def test_from_what_cannot_be_inflated_on_nothing_is_known(breaks_at: int, *, has_token: bool) -> None:
    packed = gzip.compress(MESSAGES_STREAM)
    watching = InflatingMeter(meter(MESSAGES), Unzip(breaks_at))
    half = len(packed) // 2
    assert run(watching, packed[:half], packed[half:], b"more") == packed + b"more"
    assert (watching.usage, watching.failure, watching.has_token) == (Usage(), None, has_token)


def test_a_large_piece_is_inflated_bit_by_bit() -> None:
    inflate = Unzip()
    noise = gzip.compress(zlib.compress(bytes(range(256)) * 4000, 0), 0)
    run(InflatingMeter(meter(MESSAGES), inflate), noise)
    assert len(noise) > 1_000_000
    assert inflate.largest_bytes == PIECE_BYTES
