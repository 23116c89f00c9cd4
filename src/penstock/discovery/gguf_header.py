"""Walks the header of a GGUF file: metadata and the list of tensors, never the tensors themselves.

The files come from strangers, so everything is bounded: the header's size, its counts, its texts. Long arrays
(the vocabulary) are passed over, only their length is kept. The file is read, not mapped: a mapped file that
shrinks meanwhile would kill the process.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

from penstock.errors import PenstockError

Scalar = bool | int | float | str
Value = Scalar | tuple[Scalar, ...]

HEADER_LIMIT_BYTES = 64 * 2**20
_MOST_ENTRIES = 65_536  # of metadata, and of tensors
_MOST_NAME_BYTES = 65_535
_MOST_TEXT_BYTES = 2**20  # a longer text is passed over
_MOST_KEPT_ITEMS = 1024  # of an array; enough for one number per layer
_MOST_WEIGHTS = 2**50
_CHUNK_BYTES = 2**18

_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


class GgufError(PenstockError):
    """The file cannot be read as GGUF; the message says why."""


@dataclass(frozen=True, slots=True)
class Passed:
    """Stands for a value that was passed over. length: of the array, or of the text in bytes."""

    length: int


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says. parameters: the weights in all tensors of this file."""

    metadata: dict[str, Value | Passed]
    parameters: int
    tensors_bytes: int
    file_bytes: int


def read_header(path: Path) -> Header:
    """Raises GgufError, whatever is wrong with the file."""
    try:
        with path.open("rb", buffering=0) as file:
            return _header(_Reader(file), os.fstat(file.fileno()).st_size)
    except (OSError, GgufError) as exc:
        raise GgufError(f"{path}: {exc}") from exc


class _Reader:
    """Reads numbers and texts in turn, from a buffer that moves forward through the file and never back."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffer = b""
        self._base = 0  # where the buffer begins in the file
        self._at = 0  # where we stand in the buffer; beyond its end after something was passed over
        self.order = "<"

    @property
    def position(self) -> int:
        return self._base + self._at

    def take(self, count: int) -> bytes:
        self._need(count)
        self._at += count
        return self._buffer[self._at - count : self._at]

    def number(self, form: str) -> int:
        number: int = struct.unpack(self.order + form, self.take(struct.calcsize(form)))[0]
        return number

    def text(self, most_bytes: int) -> str:
        length = self.number("Q")
        if length > most_bytes:
            raise GgufError(f"a text of {length} bytes")
        return self.take(length).decode(errors="replace")

    def pass_bytes(self, count: int) -> None:
        self._at += count

    def pass_texts(self, count: int) -> None:
        """The vocabulary goes through here, hundreds of thousands of texts, hence no call for each of them."""
        length_at = struct.Struct(f"{self.order}Q").unpack_from
        while count:
            self._need(8)
            buffer, at, last = self._buffer, self._at, len(self._buffer) - 8
            while count and at <= last:
                at += 8 + length_at(buffer, at)[0]
                count -= 1
            self._at = at

    def _need(self, count: int) -> None:
        """Have the next `count` bytes in the buffer."""
        if self._at + count <= len(self._buffer):
            return
        if self.position + count > HEADER_LIMIT_BYTES:
            raise GgufError(f"the header is larger than {HEADER_LIMIT_BYTES} bytes")
        self._base, self._at = self.position, 0
        self._file.seek(self._base)
        self._buffer = self._file.read(max(count, _CHUNK_BYTES))
        if len(self._buffer) < count:
            raise GgufError("the file ends within its header")


def _header(reader: _Reader, file_bytes: int) -> Header:
    if reader.take(4) != b"GGUF":
        raise GgufError("this is no GGUF file")
    reader.order = _order(reader.take(4))
    tensors, entries = (_bounded(reader.number("Q"), what) for what in ("tensors", "metadata entries"))
    metadata = {reader.text(_MOST_NAME_BYTES): _value(reader, reader.number("I")) for _ in range(entries)}
    weights, last_offset = 0, 0
    for _ in range(tensors):
        size, offset = _tensor(reader)
        weights, last_offset = weights + size, max(last_offset, offset)
    tensors_bytes = max(file_bytes - reader.position, 0)
    if tensors and last_offset >= tensors_bytes:
        raise GgufError("the file is not complete")
    return Header(metadata, weights, tensors_bytes if tensors else 0, file_bytes)


def _order(version: bytes) -> str:
    """Versions are small numbers: one that looks huge was written in the other byte order."""
    order = "<" if version[2:] == b"\0\0" else ">"
    number = struct.unpack(f"{order}I", version)[0]
    if number not in (2, 3):
        raise GgufError(f"GGUF version {number} is not known")
    return order


def _bounded(count: int, what: str) -> int:
    if count > _MOST_ENTRIES:
        raise GgufError(f"{count} {what}")
    return count


def _value(reader: _Reader, kind: int) -> Value | Passed:
    if kind == _ARRAY:
        return _array(reader, reader.number("I"), reader.number("Q"))
    if kind != _STRING:
        return _scalars(reader, kind, 1)[0]
    length = reader.number("Q")
    if length > _MOST_TEXT_BYTES:
        reader.pass_bytes(length)
        return Passed(length)
    return reader.take(length).decode(errors="replace")


def _array(reader: _Reader, kind: int, length: int) -> Value | Passed:
    """Arrays of arrays are refused, as llama.cpp does."""
    if kind == _STRING:
        reader.pass_texts(length)
    elif length > _MOST_KEPT_ITEMS:
        reader.pass_bytes(length * struct.calcsize(_form(kind)))
    else:
        return _scalars(reader, kind, length)
    return Passed(length)


def _scalars(reader: _Reader, kind: int, count: int) -> tuple[Scalar, ...]:
    form = f"{reader.order}{count}{_form(kind)}"
    return struct.unpack(form, reader.take(struct.calcsize(form)))


def _form(kind: int) -> str:
    if kind not in _SCALARS:
        raise GgufError(f"a value of type {kind}, which is not known here")
    return _SCALARS[kind]


def _tensor(reader: _Reader) -> tuple[int, int]:
    """How many weights it has, and where it begins behind the header."""
    reader.text(_MOST_NAME_BYTES)
    dimensions = reader.number("I")
    if dimensions > 8:
        raise GgufError(f"a tensor of {dimensions} dimensions")
    weights = prod(reader.number("Q") for _ in range(dimensions))
    if weights > _MOST_WEIGHTS:
        raise GgufError(f"a tensor of {weights} weights")
    reader.number("I")
    return weights, reader.number("Q")
