"""JSON answers of the gateway's own routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi.responses import Response

_encode = msgspec.json.Encoder().encode


def json_answer(value: object, status: int = 200) -> Response:
    return Response(_encode(value), status, media_type="application/json")


@dataclass(frozen=True, slots=True)
class Fault:
    """code: what to decide by; message: what to do."""

    message: str
    type: str
    param: str | None
    code: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error object of OpenAI's dialect, which all of the gateway's own routes speak."""

    error: Fault


REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Refusal, "description": "The request cannot be answered as it is."},
    "5XX": {"model": Refusal, "description": "It cannot be answered now."},
}
"""How OpenAPI documents tell of them."""
