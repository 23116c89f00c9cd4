"""Inflating what engines send compressed, within bounds: gzip, deflate, br and zstd, also several of them stacked.

It is for the books alone: what is relayed stays compressed. So the bounds are narrow, and beyond them the answer is
simply not read. They hold for every layer of a stack: what it gives to the next one is at most

* `FREE_BYTES`, or `MAX_RATIO` times what came in, whichever is more (text of a model rarely shrinks below 1:30);
* `MAX_STEP_BYTES` for one call of `feed`, so that no piece takes more memory or time than that;
* `MAX_BYTES` in all.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Protocol

import brotli

from penstock.errors import CannotInflate

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FREE_BYTES = 64 * 1024
MAX_RATIO = 100
MAX_STEP_BYTES = 4 * 1024 * 1024
MAX_BYTES = 256 * 1024 * 1024
MAX_LAYERS = 3
MAX_MEMBERS = 1_000
"""gzip and zstd may be several streams one after the other. Each begins anew, which costs time."""

_ZSTD_WINDOW_LOG = 23
"""RFC 9659: who sends zstd over HTTP uses windows of at most 8 MiB."""


class _Stream(Protocol):
    """One compressed stream. `decompress` gives at most `max_length` bytes; `eof`: it has ended, the rest is unused."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Brotli:
    """brotli's own decompressor, in the form of the others."""

    unused_data = b""

    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()

    @property
    def eof(self) -> bool:
        return False  # nothing may follow: the decompressor itself refuses more

    def decompress(self, data: bytes, max_length: int) -> bytes:
        decompressor = self._decompressor
        part: bytes = decompressor.process(data, output_buffer_limit=max_length)
        parts, room = [part], max_length - len(part)
        while room > 0 and not decompressor.can_accept_more_data():
            parts.append(decompressor.process(b"", output_buffer_limit=room))
            room -= len(parts[-1])
        return b"".join(parts)


class _Layer:
    """Undoes one coding."""

    __slots__ = ("_came_bytes", "_gave_bytes", "_members", "_open", "_stream")

    def __init__(self, opener: Callable[[], _Stream]) -> None:
        self._open = opener
        self._stream: _Stream | None = None
        self._members = 0
        self._came_bytes = self._gave_bytes = 0

    def feed(self, data: bytes) -> bytes:
        self._came_bytes += len(data)
        room = min(MAX_BYTES, max(FREE_BYTES, MAX_RATIO * self._came_bytes)) - self._gave_bytes
        room = min(room, MAX_STEP_BYTES)
        parts: list[bytes] = []
        while data:
            stream = self._next_stream()
            try:
                part = stream.decompress(data, room + 1)
            except (zlib.error, zstd.ZstdError, brotli.error, EOFError) as exc:
                raise CannotInflate from exc
            room -= len(part)
            if room < 0:
                raise CannotInflate
            self._gave_bytes += len(part)
            parts.append(part)
            data = b""
            if stream.eof:
                self._stream, data = None, stream.unused_data
        return b"".join(parts)

    def _next_stream(self) -> _Stream:
        if self._stream is None:
            self._members += 1
            if self._members > MAX_MEMBERS:
                raise CannotInflate
            self._stream = self._open()
        return self._stream


class _Deflate:
    """HTTP's `deflate` is zlib's format; some servers send the bare one. The first two bytes tell."""

    __slots__ = ("_held", "_layer")

    def __init__(self) -> None:
        self._held = b""
        self._layer: _Layer | None = None

    def feed(self, data: bytes) -> bytes:
        if self._layer is None:
            data = self._held = self._held + data
            if len(data) < 2:
                return b""
            is_zlib = data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2], "big") % 31 == 0
            wbits = zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
            self._layer = _Layer(lambda: zlib.decompressobj(wbits))
        return self._layer.feed(data)


class _Feedable(Protocol):
    def feed(self, data: bytes) -> bytes: ...


def _gzip() -> _Layer:
    return _Layer(lambda: zlib.decompressobj(zlib.MAX_WBITS | 16))


def _brotli() -> _Layer:
    return _Layer(_Brotli)


def _zstd() -> _Layer:
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
    return _Layer(lambda: zstd.ZstdDecompressor(options=options))


_CODINGS: dict[bytes, Callable[[], _Feedable]] = {
    b"gzip": _gzip,
    b"x-gzip": _gzip,
    b"deflate": _Deflate,
    b"br": _brotli,
    b"zstd": _zstd,
}


class Inflate:
    """Undoes all codings of an answer, the last one first. After CannotInflate it is of no more use."""

    __slots__ = ("_layers",)

    def __init__(self, layers: list[_Feedable]) -> None:
        self._layers = layers

    def feed(self, data: bytes) -> bytes:
        """As much as is known now. Raises CannotInflate."""
        for layer in self._layers:
            data = layer.feed(data)
        return data


def inflate_for(content_encoding: bytes) -> Inflate | None:
    """What undoes a `Content-Encoding` (the values of several such headers joined by commas).

    None = it names a coding that is not known here, or more of them than anybody needs.
    """
    names = [name.strip().lower() for name in content_encoding.split(b",")]
    names = [name for name in names if name not in (b"", b"identity")]
    if len(names) > MAX_LAYERS or not all(name in _CODINGS for name in names):
        return None
    return Inflate([_CODINGS[name]() for name in reversed(names)])
