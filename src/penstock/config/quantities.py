"""Spans of time and amounts of memory as people write them: 600, "10m", "8GiB"; and back again."""

from __future__ import annotations

import math
import re

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
BYTES = {
    "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
    "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40,
}  # fmt: skip

DURATION_PATTERN = r"^\s*(\d+(\.\d+)?|(\d+(\.\d+)?\s*(ms|s|m|h|d|w)\s*)+)\s*$"
SIZE_PATTERN = r"^\s*\d+(\.\d+)?\s*([kKmMgGtT][iI]?)?[bB]?\s*$"

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?\s*", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.ASCII)
_MOST_DIGITS = 40
"""A longer text is no quantity; bounds what a stray paragraph in the wrong place costs."""


def seconds(text: str) -> float:
    """Read "90", "1.5h" or "1h30m"; raises ValueError. Only a number alone needs no unit."""
    rest, total_s = text.strip(), 0.0
    if not rest or len(rest) > _MOST_DIGITS:
        raise ValueError(text)
    while rest:
        part = _DURATION_PART.match(rest)
        if part is None or (part[2] is None and part[0] != text.strip()):
            raise ValueError(text)
        total_s += float(part[1]) * SECONDS[part[2] or "s"]
        rest = rest[part.end() :]
    return total_s


def size_bytes(text: str) -> int:
    """Read "1024", "8GiB" (2 ** 30 each) or "24GB" (10 ** 9 each); raises ValueError."""
    found = _SIZE.fullmatch(text.strip().lower()) if len(text) <= _MOST_DIGITS else None
    if found is None or (found[2] and found[2] not in BYTES):
        raise ValueError(text)
    if "." not in found[1]:
        return int(found[1]) * BYTES[found[2] or "b"]
    return math.floor(float(found[1]) * BYTES[found[2] or "b"])


def duration_text(span_s: float) -> str:
    """The shortest exact way to write it with one unit: 600 -> "10m"."""
    for unit in ("w", "d", "h", "m", "s"):
        if span_s and span_s % SECONDS[unit] == 0:
            return f"{int(span_s // SECONDS[unit])}{unit}"
    return f"{span_s:.17g}s" if span_s else "0s"


def size_text(amount_bytes: int) -> str:
    """The shortest exact way to write it: 8589934592 -> "8GiB", 24 * 10**9 -> "24GB"."""
    for name, unit in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if amount_bytes and amount_bytes % unit == 0:
            return f"{amount_bytes // unit}{name}"
    for name, unit in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if amount_bytes and amount_bytes % unit == 0:
            return f"{amount_bytes // unit}{name}"
    return f"{amount_bytes}B"


def size_roughly(amount_bytes: int) -> str:
    """For people: 23.4 GiB."""
    for name, unit in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if amount_bytes >= unit:
            return f"{amount_bytes / unit:.4g} {name}"
    return f"{amount_bytes} B"
