"""JSON answers of the gateway's own routes."""

from __future__ import annotations

import msgspec
from fastapi.responses import Response

_encode = msgspec.json.Encoder().encode


def json_answer(value: object, status: int = 200) -> Response:
    return Response(_encode(value), status, media_type="application/json")
