"""What a browser must read so that a page of another origin may read an answer. Who may ask at all is judged before."""

from __future__ import annotations

from urllib.parse import urlsplit

from penstock.core.calls.message import Headers
from penstock.runtime.access.caller import Caller

EXPOSED = (
    b"retry-after, x-request-id, x-should-retry, x-penstock-id, x-penstock-model, x-penstock-queue-ms, "
    b"x-penstock-load-ms, x-penstock-position"
)


def cors(caller: Caller) -> Headers:
    """Headers for the answer to a request that was let in; [] = it came from no page, or from one of our own."""
    origin = caller.origin
    if origin is None or (caller.host is not None and urlsplit(origin).netloc.lower() == caller.host.lower()):
        return []
    return [
        (b"access-control-allow-origin", origin.encode("ascii")),
        (b"access-control-expose-headers", EXPOSED),
        (b"vary", b"origin"),
    ]


def is_cors(name: bytes) -> bool:
    """An engine's own say in this is not passed on: twice said, browsers take it for nothing."""
    return name.lower().startswith(b"access-control-")
