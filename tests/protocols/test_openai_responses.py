"""The Responses API: what a stream of named events, and a whole response, say of the work."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from penstock.core.calls.message import TokenSource, Usage
from penstock.errors import EngineDied
from penstock.protocols.openai_responses import RESPONSES
from tests.protocols.streams import JSON, RESPONSES_STREAM, meter, run, watched


def event(kind: str, **members: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def test_the_last_event_of_a_stream_counts_it() -> None:
    usage = watched(RESPONSES, RESPONSES_STREAM).usage
    assert usage == Usage(TokenSource.USAGE, 16, 15, 3, 1, None, None, 0.478, 0.392, "completed")


def test_a_whole_response_counts_itself() -> None:
    body = b'{"id":"r","status":"completed","error":null,"usage":{"input_tokens":16,"output_tokens":3}}'
    usage = watched(RESPONSES, body).usage
    assert usage == Usage(TokenSource.USAGE, 16, None, 3, finish_reason="completed")


def test_what_vllm_measured_stands_in_the_response() -> None:
    metrics = {"time_to_first_token_ms": 85.5, "generation_time_ms": 1240.5}
    response = {"status": "completed", "usage": {"input_tokens": 1, "output_tokens": 2}, "metrics": metrics}
    for answer in (event("response.completed", response=response), json.dumps(response).encode()):
        usage = watched(RESPONSES, answer).usage
        assert (usage.engine_prompt_ms, usage.engine_decode_ms) == (85.5, 1240.5)


@pytest.mark.parametrize(
    ("kind", "members", "is_token"),
    [
        ("response.output_text.delta", {"delta": "x"}, True),
        ("response.output_text.delta", {"delta": ""}, False),
        ("response.output_text.delta", {"delta": None}, False),
        ("response.reasoning_text.delta", {"delta": "x"}, True),
        ("response.function_call_arguments.delta", {"delta": "{"}, True),
        ("response.output_item.added", {"item": {"type": "function_call", "name": "f"}}, True),
        ("response.output_item.added", {"item": {"type": "message", "content": []}}, False),
        ("response.output_item.added", {"item": {"type": "reasoning"}}, False),
        ("response.output_item.added", {"item": {}}, False),
        ("response.output_item.added", {}, False),
        ("response.created", {"response": {"status": "in_progress"}}, False),
        ("response.queued", {"response": {"status": "queued"}}, False),
    ],
)
def test_the_first_token_is_the_first_that_is_said_or_called(
    kind: str, members: dict[str, object], *, is_token: bool
) -> None:
    watching = meter(RESPONSES)
    watching.feed(event(kind, **members))
    assert watching.has_token is is_token


def test_a_response_that_was_cut_says_why() -> None:
    response = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    assert watched(RESPONSES, json.dumps(response).encode()).usage.finish_reason == "max_output_tokens"
    assert (
        watched(RESPONSES, event("response.incomplete", response=response)).usage.finish_reason == "max_output_tokens"
    )
    odd = {"status": "incomplete", "incomplete_details": 7}
    assert watched(RESPONSES, json.dumps(odd).encode()).usage.finish_reason == "incomplete"


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (event("error", code="x", message="it broke", param=None, sequence_number=3), "it broke"),
        (event("error", error={"message": "it broke", "code": "x"}), "it broke"),
        (event("error"), "it gave no reason"),
        (
            event("response.failed", response={"status": "failed", "error": {"code": "x", "message": "it broke"}}),
            "it broke",
        ),
        (event("response.failed", response={"status": "failed", "error": None}), "it gave no reason"),
        (b'{"status":"failed","error":{"code":"server_error","message":"it broke"}}', "it broke"),
        (b'{"error":{"message":"it broke","type":"invalid_request_error","param":null,"code":null}}', "it broke"),
    ],
)
@pytest.mark.parametrize("before", [b"", event("response.output_text.delta", delta="x")])
def test_a_failure_inside_an_answer_is_kept(answer: bytes, failure: str, before: bytes) -> None:
    watching = watched(RESPONSES, answer if answer.startswith(b"{") else before + answer)
    assert watching.failure == failure


@pytest.mark.parametrize("status", ["in_progress", "queued", 7, None])
def test_a_response_that_goes_on_has_no_reason_to_have_ended(status: object) -> None:
    watching = watched(RESPONSES, json.dumps({"status": status, "error": None}).encode())
    assert (watching.usage, watching.failure) == (Usage(), None)


def test_a_failure_of_ours_is_told_in_a_form_that_clients_raise() -> None:
    error = EngineDied(model="a")
    name, _, data = RESPONSES.stream_failure(error, "r").partition(b"\ndata: ")
    said = json.loads(data)
    assert (name, said["type"], said["code"], said["message"]) == (b"event: error", "error", error.code, error.message)
    assert said["param"] is None
    assert said["sequence_number"] == 0
    assert said["error"]["message"] == error.message  # OpenAI's own client looks for it


@pytest.mark.parametrize("write", [json.dumps, lambda said: json.dumps(said, separators=(",", ":"))])
@pytest.mark.parametrize("at_end", [True, False])
def test_a_failure_of_ours_goes_on_with_the_numbers_of_the_stream(
    write: Callable[[object], str], *, at_end: bool
) -> None:
    watching = meter(RESPONSES)
    for number in range(12):
        text = {"delta": 'say "sequence_number":99,'}
        numbered = {**text, "sequence_number": number} if at_end else {"sequence_number": number, **text}
        said = write({"type": "response.output_text.delta", **numbered})
        run(watching, f"event: x\ndata: {said}\n\n".encode())
        failure = RESPONSES.stream_failure(EngineDied(model="a"), "r", watching)
        assert f'"sequence_number":{number + 1},'.encode() in failure


@pytest.mark.parametrize("number", ["null", "-1", "1.5", "9" * 400, '"7"', "[7]"])
def test_a_number_that_is_none_is_not_counted_on(number: str) -> None:
    watching = meter(RESPONSES)
    run(watching, f'data: {{"type":"response.output_text.delta","sequence_number":{number},"delta":"x"}}\n\n'.encode())
    assert b'"sequence_number":0,' in RESPONSES.stream_failure(EngineDied(model="a"), "r", watching)


def test_a_waiting_text_has_no_place() -> None:
    assert RESPONSES.waiting_text("loading", "a") == b""


def test_the_usage_of_a_large_response_is_found_at_its_end() -> None:
    text = "x" * 300_000
    body = f'{{"status":"completed","output":["{text}"],"usage":{{"input_tokens":16,"output_tokens":3}},"user":null}}'
    watching = meter(RESPONSES, JSON)
    pieces = [body.encode()[at : at + 4096] for at in range(0, len(body), 4096)]
    assert run(watching, *pieces) == body.encode()
    assert (watching.usage.prompt_tokens, watching.usage.completion_tokens) == (16, 3)
