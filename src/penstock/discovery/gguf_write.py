"""Writes GGUF files, with nothing but the standard library.

Layout (version 3, little endian): magic, version, counts, metadata, one entry per tensor, then the
tensors' bytes, each at a multiple of 32.
"""

from __future__ import annotations

import os
import struct
import sys
import tempfile
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Value = bool | int | float | str | Sequence[str] | Sequence[int]
"""An int is written as u32, a float as f32, whole numbers in a sequence as i32."""

_ALIGNMENT = 32
_U32, _I32, _F32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9


@dataclass(frozen=True, slots=True)
class Tensor:
    """One named block of 32-bit floats. shape: the dimension that is contiguous in memory comes first."""

    name: str
    shape: tuple[int, ...]
    values: array[float]


def write_gguf(path: Path, metadata: Mapping[str, Value], tensors: Sequence[Tensor]) -> None:
    """Make the file appear whole under its name, or not at all."""
    head = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
    for key, value in metadata.items():
        head += _string(key) + _typed(value)
    offset = 0
    for tensor in tensors:
        shape = struct.pack(f"<{len(tensor.shape)}Q", *tensor.shape)
        head += _string(tensor.name) + struct.pack("<I", len(tensor.shape)) + shape + struct.pack("<IQ", 0, offset)
        offset += len(_padded(tensor.values.tobytes()))
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(_padded(bytes(head)))
            for tensor in tensors:
                file.write(_padded(_little_endian(tensor.values)))
            file.close()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def _padded(block: bytes) -> bytes:
    return block + bytes(-len(block) % _ALIGNMENT)


def _little_endian(values: array[float]) -> bytes:
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    return values.tobytes()


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _typed(value: Value) -> bytes:
    """A metadata value behind the number of its type."""
    if isinstance(value, bool):  # before int: a bool is one
        return struct.pack("<IB", _BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", _U32, value)
    if isinstance(value, float):
        return struct.pack("<If", _F32, value)
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _string(value)
    if value and isinstance(value[0], str):
        return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + b"".join(_string(str(item)) for item in value)
    return struct.pack(f"<IIQ{len(value)}i", _ARRAY, _I32, len(value), *value)
