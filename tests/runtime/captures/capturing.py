"""Captures with calls made up for them: no gateway, no sockets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from penstock.core.accounting.record import CallRecord
from penstock.core.calls.capture import CaptureLevel
from penstock.core.calls.message import Body, Head, Headers
from penstock.core.calls.redact import Redactor
from penstock.protocols.endpoints import BY_PATH, Endpoint
from penstock.protocols.endpoints import Capture as Kept
from penstock.runtime.captures.captures import Captures
from penstock.runtime.captures.collecting import Capture
from penstock.runtime.captures.keeping import Keeper

JSON: Headers = [(b"content-type", b"application/json")]
CONFIGURED = "configured-upstream-key-1"


def endpoint(capture: Kept = Kept.BODIES) -> Endpoint:
    return replace(BY_PATH[b"/v1/chat/completions"], capture=capture)


def head(headers: Headers = JSON, target: bytes = b"/v1/chat/completions") -> Head:
    return Head(b"POST", target, headers, "1.1", "127.0.0.1", {name.lower(): value for name, value in headers})


def record(call_id: str) -> CallRecord:
    return CallRecord(call_id, "g", "b", "0", 1.0, "POST", "/v1/chat/completions", "openai.chat", model="m")


@contextmanager
def capturing(
    buffer_bytes: int = 2**20, level: CaptureLevel = CaptureLevel.FULL, model_levels: tuple[CaptureLevel, ...] = ()
) -> Iterator[Captures]:
    keeper = Keeper(Redactor([CONFIGURED]))
    captures = Captures(keeper, buffer_bytes=buffer_bytes, level=level, model_levels=model_levels)
    try:
        yield captures
    finally:
        captures.close()


def call(
    captures: Captures,
    call_id: str,
    *,
    asked: Body = b"{}",
    answered: tuple[bytes, ...] = (b"{}",),
    status: int = 200,
    request_head: Head | None = None,
    response_headers: Headers = JSON,
    kept: Kept = Kept.BODIES,
    is_ended: bool = True,
) -> Capture | None:
    """A call from its opening to its end."""
    made = record(call_id)
    capture = captures.begin(made, endpoint(kept), None, request_head or head())
    if capture is None:
        return None
    made.request_bytes, made.response_bytes = len(asked), sum(map(len, answered))
    capture.request(asked)
    capture.model(CaptureLevel.FULL)
    made.first_byte_s = 0.1
    capture.response_head(status, response_headers)
    for piece in answered:
        capture.response(piece)
    if is_ended:
        made.outcome = "completed" if status < 400 else "upstream_refused"
        made.http_status, made.done_s = status, 0.5
        captures.ended(capture)
    return capture
