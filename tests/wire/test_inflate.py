"""Inflating answers for the books: every coding, wherever it is cut, and never more than its bounds."""

from __future__ import annotations

import gzip
import random
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import CannotInflate
from penstock.wire.inflate import FREE_BYTES, MAX_MEMBERS, MAX_STEP_BYTES, Inflate, inflate_for

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def br(data: bytes) -> bytes:
    packed: bytes = brotli.compress(data, quality=4)
    return packed


PACKERS: list[tuple[bytes, Callable[[bytes], bytes]]] = [
    (b"gzip", gzip.compress),
    (b"X-GZip", gzip.compress),
    (b"deflate", zlib.compress),
    (b"deflate", bare_deflate),
    (b"br", br),
    (b"zstd", zstd.compress),
    (b"identity, gzip", gzip.compress),
    (b"gzip, br", lambda data: br(gzip.compress(data, mtime=0))),
    (b"br,zstd,gzip", lambda data: gzip.compress(zstd.compress(br(data)))),
]
every_coding = pytest.mark.parametrize(
    ("coding", "pack"), PACKERS, ids=lambda value: value.decode() if isinstance(value, bytes) else "packed"
)

TEXT = b"".join(b'data: {"choices":[{"delta":{"content":"word %d"}}]}\n\n' % i for i in range(200))


def opened(coding: bytes) -> Inflate:
    inflate = inflate_for(coding)
    assert inflate is not None
    return inflate


@every_coding
@given(cuts=st.lists(st.integers(0, 10_000), max_size=20))
def test_what_was_packed_comes_out_wherever_it_is_cut(
    coding: bytes, pack: Callable[[bytes], bytes], cuts: list[int]
) -> None:
    packed, inflate = pack(TEXT), opened(coding)
    at = sorted({0, *(cut % len(packed) for cut in cuts), len(packed)})
    assert b"".join(inflate.feed(packed[a:b]) for a, b in pairwise(at)) == TEXT
    assert inflate.feed(b"") == b""


def test_what_is_flushed_is_known_at_once() -> None:
    packer, inflate = zlib.compressobj(wbits=31), opened(b"gzip")
    for piece in (b"data: 1\n\n", b"data: 2\n\n"):
        assert inflate.feed(packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)) == piece


@pytest.mark.parametrize("coding", [b"compress", b"gzip, odd", b"gzip,gzip,gzip,gzip", b"gzip;q=1"])
def test_a_coding_that_is_not_known_is_not_undone(coding: bytes) -> None:
    assert inflate_for(coding) is None


@pytest.mark.parametrize("coding", [b"", b"identity", b" , Identity"])
def test_no_coding_is_undone_by_doing_nothing(coding: bytes) -> None:
    assert opened(coding).feed(b"x") == b"x"


@every_coding
@pytest.mark.parametrize("step_bytes", [1, 4096, 10**9])
def test_a_bomb_is_refused_before_it_takes_room(coding: bytes, pack: Callable[[bytes], bytes], step_bytes: int) -> None:
    packed, inflate, given = pack(bytes(20_000_000)), opened(coding), list[bytes]()
    pieces = (packed[at : at + step_bytes] for at in range(0, len(packed), step_bytes))
    tracemalloc.start()
    with pytest.raises(CannotInflate):
        given.extend(map(inflate.feed, pieces))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(map(len, given)) <= FREE_BYTES
    assert peak < 3 * MAX_STEP_BYTES


def test_a_bomb_behind_much_honest_text_is_refused_too() -> None:
    inflate = opened(b"zstd")
    honest, draw = zstd.ZstdCompressor(level=1), random.Random(7)
    for _ in range(100):
        noise = draw.randbytes(10_000)
        assert inflate.feed(honest.compress(noise, zstd.ZstdCompressor.FLUSH_BLOCK)) == noise
    with pytest.raises(CannotInflate):
        inflate.feed(honest.compress(bytes(MAX_STEP_BYTES * 2), zstd.ZstdCompressor.FLUSH_FRAME))


@pytest.mark.parametrize(("coding", "pack"), [(b"gzip", gzip.compress), (b"zstd", zstd.compress)])
def test_streams_one_after_the_other_are_one_up_to_a_number(coding: bytes, pack: Callable[[bytes], bytes]) -> None:
    assert opened(coding).feed(pack(b"a") + pack(b"") + pack(b"b")) == b"ab"
    with pytest.raises(CannotInflate):
        opened(coding).feed(pack(b"") * (MAX_MEMBERS + 1))


def test_a_window_larger_than_http_allows_is_refused() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.checksum_flag: 0}
    packer = zstd.ZstdCompressor(options=options)
    with pytest.raises(CannotInflate):
        opened(b"zstd").feed(packer.compress(b"x", zstd.ZstdCompressor.FLUSH_BLOCK))


@every_coding
@given(data=st.data())
def test_what_is_broken_gives_less_or_is_refused(
    coding: bytes, pack: Callable[[bytes], bytes], data: st.DataObject
) -> None:
    packed = bytearray(pack(TEXT))
    for _ in range(data.draw(st.integers(0, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(packed)))
    inflate, out = opened(coding), 0
    with suppress(CannotInflate):
        for piece in (packed[:cut], packed[cut:], data.draw(st.binary(max_size=50))):
            out += len(inflate.feed(bytes(piece)))
    assert out <= max(FREE_BYTES, 100 * (len(packed) + 50))
