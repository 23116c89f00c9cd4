"""Anthropic's messages: what a stream, a message and a count of tokens say of the work."""

from __future__ import annotations

import json

import pytest

from penstock import errors
from penstock.core.calls.message import TokenSource, Usage
from penstock.protocols.anthropic import COUNT_TOKENS, MESSAGES
from tests.protocols.streams import MESSAGES_STREAM, meter, watched


def event(kind: str, **members: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def start(**usage: object) -> bytes:
    return event("message_start", message={"id": "m", "stop_reason": None, "usage": usage})


def end(**usage: object) -> bytes:
    return event("message_delta", delta={"stop_reason": "end_turn"}, usage=usage)


TEXT = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x"})


def test_a_stream_counts_its_prompt_at_the_start_and_the_rest_at_the_end() -> None:
    assert watched(MESSAGES, MESSAGES_STREAM).usage == Usage(TokenSource.USAGE, 16, 15, 3, finish_reason="max_tokens")


def test_the_whole_prompt_is_what_was_read_from_the_cache_written_to_it_and_neither() -> None:
    usage = {"input_tokens": 5, "cache_read_input_tokens": 700, "cache_creation_input_tokens": 40, "output_tokens": 2}
    message = {"type": "message", "stop_reason": "end_turn", "usage": usage}
    said = watched(MESSAGES, json.dumps(message).encode()).usage
    assert said == Usage(TokenSource.USAGE, 745, 700, 2, finish_reason="end_turn")


def test_a_stream_that_breaks_off_has_a_prompt_and_no_count_of_what_was_said() -> None:
    usage = watched(MESSAGES, start(input_tokens=9, output_tokens=1) + TEXT).usage
    assert (usage.source, usage.prompt_tokens, usage.completion_tokens) == (TokenSource.USAGE, 9, None)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ({"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 9, "output_tokens": 4}),
        ({"input_tokens": 9, "output_tokens": 1}, {"input_tokens": 0, "output_tokens": 4}),
        ({"input_tokens": 9, "output_tokens": 1}, {"output_tokens": 4}),
        ({"input_tokens": 9}, {"input_tokens": 9, "output_tokens": 4}),
    ],
)
def test_counts_only_grow_whichever_end_of_the_stream_tells_them(
    first: dict[str, object], last: dict[str, object]
) -> None:
    usage = watched(MESSAGES, start(**first) + TEXT + end(**last)).usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (9, 4)


def test_thoughts_are_counted_where_the_engine_counts_them() -> None:
    usage = watched(MESSAGES, end(output_tokens=9, output_tokens_details={"thinking_tokens": 4})).usage
    assert (usage.completion_tokens, usage.reasoning_tokens) == (9, 4)


@pytest.mark.parametrize("odd", [None, -1, 1.5, "7", True, 10**400, [1], {"a": 1}])
def test_what_is_no_count_is_unknown_and_not_zero(odd: object) -> None:
    usage = watched(
        MESSAGES, start(input_tokens=odd, cache_read_input_tokens=odd) + TEXT + end(output_tokens=odd)
    ).usage
    assert usage == Usage(finish_reason="end_turn")


@pytest.mark.parametrize(
    ("said", "is_token"),
    [
        (TEXT, True),
        (event("content_block_delta", delta={"type": "thinking_delta", "thinking": "x"}), True),
        (event("content_block_delta", delta={"type": "input_json_delta", "partial_json": "{"}), True),
        (event("content_block_delta", delta={"type": "text_delta", "text": ""}), False),
        (event("content_block_start", content_block={"type": "tool_use", "name": "f"}), True),
        (event("content_block_start", content_block={"type": "text", "text": ""}), False),
        (event("content_block_start", content_block={"type": "thinking", "thinking": ""}), False),
        (event("content_block_start", content_block={}), False),
        (event("ping"), False),
        (start(input_tokens=1), False),
    ],
)
def test_the_first_token_is_a_word_a_thought_or_the_use_of_a_tool(said: bytes, *, is_token: bool) -> None:
    watching = meter(MESSAGES)
    watching.feed(said)
    assert watching.has_token is is_token


@pytest.mark.parametrize("before", [b"", start(input_tokens=1) + TEXT])
def test_an_error_inside_the_stream_is_kept(before: bytes) -> None:
    said = event("error", error={"type": "overloaded_error", "message": "too much"})
    assert watched(MESSAGES, before + said).failure == "too much"


def test_a_count_of_tokens_is_no_prompt_that_a_model_has_read() -> None:
    assert watched(COUNT_TOKENS, b'{"input_tokens":16}').usage == Usage()
    assert watched(COUNT_TOKENS, b'{"type":"error","error":{"message":"no"}}').failure == "no"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.MissingModel(), "invalid_request_error"),
        (errors.ForeignHost(host="x"), "permission_error"),
        (errors.UnknownModel(model="a", hint=""), "not_found_error"),
        (errors.MethodNotAllowed(path="/", allowed="POST", method="GET"), "invalid_request_error"),
        (errors.TooLarge(limit_bytes=1), "request_too_large"),
        (errors.QueueFull(room="a", limit=1, retry_after_s=7), "overloaded_error"),
        (errors.StartFailed(model="a", reason="x", detail="log"), "api_error"),
        (errors.EngineDied(model="a"), "api_error"),
        (errors.EngineTimeout(model="a", seconds=1, limit="x"), "timeout_error"),
    ],
)
def test_a_refusal_is_anthropics_and_keeps_our_status_and_code(error: errors.GatewayError, kind: str) -> None:
    reply = MESSAGES.refusal(error, "req_7")
    said = json.loads(reply.body)
    assert (reply.status, said["type"], said["request_id"]) == (error.status, "error", "req_7")
    assert (said["error"]["type"], said["error"]["message"], said["error"]["code"]) == (kind, error.message, error.code)
    assert said["error"].get("detail") == error.detail
    in_stream = MESSAGES.stream_failure(error, "req_7")
    assert in_stream == b"event: error\ndata: " + reply.body + b"\n\n"


def test_who_waits_hears_a_ping() -> None:
    assert MESSAGES.waiting_text("loading", "a") == b'event: ping\ndata: {"type":"ping"}\n\n'
    watching = watched(MESSAGES, MESSAGES.waiting_text("loading", "a") + MESSAGES_STREAM)
    assert watching.usage.completion_tokens == 3
