"""What is captured of calls, and how much memory that may take."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from penstock.config import values as v
from penstock.config.quantities import SIZE_PATTERN, size_bytes
from penstock.core.calls.capture import CaptureLevel

LEAST_BUFFER_BYTES = 64 * 2**10


def _level(value: object) -> object:
    return CaptureLevel.OFF if value is False else value


def _buffer(value: object) -> int:
    try:
        size = size_bytes(value) if isinstance(value, str) else value
    except ValueError:
        size = None
    if isinstance(size, bool) or not isinstance(size, int) or not (size == 0 or LEAST_BUFFER_BYTES <= size < 2**62):
        raise v.unexpected('0 for none, or a size of at least 64KiB such as "5MiB"')
    return size


Captured = Annotated[
    CaptureLevel,
    BeforeValidator(_level),
    WithJsonSchema({"title": "`off`, `headers` or `full`", "enum": ["off", "headers", "full", False]}),
]
CaptureBuffer = Annotated[
    int,
    BeforeValidator(_buffer),
    WithJsonSchema(
        {"title": "size", "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": SIZE_PATTERN}]}
    ),
]
