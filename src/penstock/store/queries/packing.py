"""Sums as rows of rollups, and back: numbers in columns of their own, histograms and cells packed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penstock.core.accounting.sums import NUMBERS, Sums
from penstock.core.accounting.throughput import Cell

Packed = tuple[object, ...]
"""The numbers, then spreads and cells, None = none."""

_encode = msgspec.msgpack.Encoder().encode
_decode_spreads = msgspec.msgpack.Decoder(dict[int, dict[int, int]]).decode
_decode_cells = msgspec.msgpack.Decoder(dict[int, tuple[int, int, int, float, float, dict[int, int]]]).decode


def packed(sums: Sums) -> Packed:
    cells = {
        number: (cell.calls, cell.token_calls, cell.tokens, cell.service_s, cell.shared_s, cell.decode)
        for number, cell in sums.cells.items()
    }
    numbers = (getattr(sums, name) for name in NUMBERS)
    return (*numbers, _encode(sums.spreads) if sums.spreads else None, _encode(cells) if cells else None)


def numbers_of(values: Sequence[int | float | None]) -> Sums:
    return Sums(*(value or 0 for value in values))  # type: ignore[arg-type]


def unpacked(row: Sequence[object]) -> Sums:
    numbers, spreads, cells = row[: len(NUMBERS)], row[-2], row[-1]
    sums = numbers_of(numbers)  # type: ignore[arg-type]
    if spreads is not None:
        sums.spreads = _decode_spreads(spreads)  # type: ignore[arg-type]
    if cells is not None:
        sums.cells = {number: Cell(*values) for number, values in _decode_cells(cells).items()}  # type: ignore[arg-type]
    return sums
