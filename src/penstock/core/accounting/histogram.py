"""Histograms whose buckets are the same everywhere, so that those of two minutes add up to that of both.

A bucket is 4 % wide: what is told of a value is its bucket's middle, at most 2 % beside it. Zero has a bucket of its
own. A histogram is a dict from bucket to count; nothing is in it that was not counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from math import log

WIDTH = 1.04
ERROR = math.sqrt(WIDTH) - 1
"""What is told is at most this much, as a share, beside what was counted: 1.98 %."""

SMALLEST, LARGEST = 1e-6, 1e12
"""Beyond these, values are counted as these."""

ZERO = 0
_FIRST = 1
_LOG_WIDTH = math.log(WIDTH)
_LOG_SMALLEST = math.log(SMALLEST)

Bins = dict[int, int]


def bin_of(value: float) -> int:
    """The bucket of a value, which is not negative."""
    if value < SMALLEST:
        return ZERO
    return _FIRST + int((log(value if value < LARGEST else LARGEST) - _LOG_SMALLEST) / _LOG_WIDTH)


def value_of(bucket: int) -> float:
    """The middle of a bucket, as a ratio from both ends."""
    if bucket == ZERO:
        return 0.0
    return SMALLEST * math.exp((bucket - _FIRST + 0.5) * _LOG_WIDTH)


def count(bins: Bins, value: float, times: int = 1) -> None:
    bucket = bin_of(value)
    bins[bucket] = bins.get(bucket, 0) + times


def merge(into: Bins, other: Mapping[int, int]) -> None:
    for bucket, times in other.items():
        into[bucket] = into.get(bucket, 0) + times


def samples(bins: Mapping[int, int]) -> int:
    return sum(bins.values())


def percentile(bins: Mapping[int, int], share: float) -> float | None:
    """The value at `share` (0 to 1) of the sorted values, the upper one of two; None = nothing was counted.

    Of n values it is the one at place min(⌊n·share⌋, n-1), counted from 0: the median of 20 and 30 is 30.
    """
    total = samples(bins)
    if not total:
        return None
    left = min(int(total * share), total - 1)
    for bucket in sorted(bins):
        left -= bins[bucket]
        if left < 0:
            return value_of(bucket)
    raise AssertionError("there are fewer values than there are")
