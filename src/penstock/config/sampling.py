"""How often the machine is looked at."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from penstock.config import values as v
from penstock.config.quantities import DURATION_PATTERN, seconds

LEAST_S = 1.0


def _every(value: object) -> float | None:
    if value is False or value == "off":
        return None
    try:
        span_s = seconds(value) if isinstance(value, str) else value
    except ValueError:
        span_s = None
    if isinstance(span_s, bool) or not isinstance(span_s, int | float) or not LEAST_S <= span_s <= 3600:
        raise v.unexpected('"off", or a duration from one second to an hour such as "5s"')
    return float(span_s)


SampleEvery = Annotated[
    float | None,
    BeforeValidator(_every),
    WithJsonSchema(
        {
            "title": "`off` or duration",
            "anyOf": [
                {"enum": ["off", False]},
                {"type": "number", "minimum": LEAST_S, "maximum": 3600},
                {"type": "string", "pattern": DURATION_PATTERN},
            ],
        }
    ),
]
