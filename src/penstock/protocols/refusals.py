"""Errors in the caller's own form: OpenAI's, Anthropic's, and llama.cpp's; as an answer, and inside a stream.

The status is ours in each of them, and so is the stable `code`, which goes along where a form has no place for it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from penstock.core.calls.message import Headers, Reply
from penstock.errors import GatewayError, MethodNotAllowed

_OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}
_ANTHROPIC_TYPES = {
    **_OPENAI_TYPES,
    402: "billing_error",
    409: "conflict_error",
    413: "request_too_large",
    503: "overloaded_error",  # Anthropic's own status for it, 529, is none that HTTP knows
    504: "timeout_error",
}
_LLAMACPP_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    501: "not_supported_error",
    503: "unavailable_error",
}


def openai_error(error: GatewayError) -> dict[str, str | None]:
    """The members of OpenAI's `error` object."""
    kind = _OPENAI_TYPES.get(error.status, "server_error")
    return _with_detail({"message": error.message, "type": kind, "param": error.param, "code": error.code}, error)


def openai_refusal(error: GatewayError, request_id: str) -> Reply:
    return _reply(error, {"error": openai_error(error)})


def openai_failure(error: GatewayError, request_id: str) -> bytes:
    """In a stream of chunks: one with an `error`, and no `[DONE]` after it."""
    return b"data: %b\n\n" % msgspec.json.encode({"error": openai_error(error)})


def responses_failure(error: GatewayError, number: int) -> bytes:
    """In a stream of the Responses API: its `error` event, the `number`th of the stream, counted from 0.

    It says everything twice: at its top, as documented, and as an `error` object, on which OpenAI's own clients
    raise an exception (one without it they hand on like any other event).
    """
    said = openai_error(error)
    event = {"type": "error", "sequence_number": number, **{name: said[name] for name in ("code", "message", "param")}}
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode({**event, "error": said})


def anthropic_refusal(error: GatewayError, request_id: str) -> Reply:
    reply = _reply(error, _anthropic_error(error, request_id))
    if request_id:  # where Anthropic's own clients look for it
        reply.headers.append((b"request-id", request_id.encode("ascii")))
    return reply


def anthropic_failure(error: GatewayError, request_id: str) -> bytes:
    """In a stream of Anthropic's: its `error` event, and no `message_stop` after it."""
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode(_anthropic_error(error, request_id))


def llamacpp_refusal(error: GatewayError, request_id: str) -> Reply:
    return _reply(error, {"error": _llamacpp_error(error)})


def llamacpp_failure(error: GatewayError, request_id: str) -> bytes:
    """In a stream of llama.cpp's own: an event with an `error`, after which none has `"stop":true`."""
    return b"data: %b\n\n" % msgspec.json.encode({"error": _llamacpp_error(error)})


def _anthropic_error(error: GatewayError, request_id: str) -> dict[str, object]:
    kind = _ANTHROPIC_TYPES.get(error.status, "api_error")
    if kind == "overloaded_error" and not error.is_retry_useful:
        kind = "api_error"  # it does not help to come back later
    said = _with_detail({"type": kind, "message": error.message, "code": error.code}, error)
    return {"type": "error", "error": said, "request_id": request_id}


def _llamacpp_error(error: GatewayError) -> dict[str, object]:
    """Its `code` is the status; our code goes along under a name of its own."""
    kind = _LLAMACPP_TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "server_error")
    said: dict[str, str | None] = {"message": error.message, "type": kind, "error_code": error.code}
    return {"code": error.status, **_with_detail(said, error)}


def _with_detail(said: dict[str, str | None], error: GatewayError) -> dict[str, str | None]:
    return said if error.detail is None else {**said, "detail": error.detail}


def _reply(error: GatewayError, body: Mapping[str, object]) -> Reply:
    headers: Headers = [(b"content-type", b"application/json")]
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", str(error.fields["allowed"]).encode("ascii")))
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after_s))
    if not error.is_retry_useful:
        headers.append((b"x-should-retry", b"false"))
    return Reply(error.status, headers, msgspec.json.encode(body))
