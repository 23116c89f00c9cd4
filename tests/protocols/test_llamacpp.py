"""llama.cpp's own endpoints: pieces of content, a last one with its timings, lists of answers."""

from __future__ import annotations

import json

import pytest

from penstock import errors
from penstock.core.calls.message import TokenSource, Usage
from penstock.protocols.llamacpp import COMPLETION, DETOKENIZE, INFILL, TOKENIZE
from penstock.protocols.sse import MAX_EVENT_BYTES
from tests.protocols.streams import COMPLETION_STREAM, EVENTS, JSON, meter, run, watched

ONE = {"content": "x", "stop": True, "stop_type": "eos", "tokens_evaluated": 4, "tokens_predicted": 3}
TIMINGS = {"cache_n": 3, "prompt_n": 1, "prompt_ms": 0.25, "predicted_n": 3, "predicted_ms": 0.5}


def test_the_last_event_of_a_stream_counts_it() -> None:
    usage = watched(COMPLETION, COMPLETION_STREAM).usage
    assert usage == Usage(TokenSource.TIMINGS, 4, 3, 3, None, 8, 2, 0.25, 0.5, "limit")


def test_a_whole_answer_counts_itself() -> None:
    usage = watched(COMPLETION, json.dumps({**ONE, "timings": TIMINGS}).encode()).usage
    assert usage == Usage(TokenSource.TIMINGS, 4, 3, 3, None, None, None, 0.25, 0.5, "eos")


def test_the_answers_to_several_prompts_are_added_up() -> None:
    both = [{**ONE, "timings": TIMINGS}, {**ONE, "tokens_evaluated": 10, "timings": {**TIMINGS, "cache_n": 0}}]
    expected = Usage(TokenSource.TIMINGS, 14, 3, 6, None, None, None, 0.5, 1.0, "eos")
    assert watched(INFILL, json.dumps(both).encode()).usage == expected
    stream = b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in both)
    assert watched(COMPLETION, stream).usage == expected


def test_what_one_of_several_answers_does_not_say_is_unknown_of_all() -> None:
    both = [{**ONE, "timings": TIMINGS}, {"content": "x", "timings": {"predicted_n": 3}}]
    usage = watched(COMPLETION, json.dumps(both).encode()).usage
    assert (usage.source, usage.prompt_tokens, usage.completion_tokens) == (TokenSource.TIMINGS, None, 6)
    both[1] = {"content": "x", "timings": {}}
    assert watched(COMPLETION, json.dumps(both).encode()).usage.source is TokenSource.NONE


def test_an_engine_that_says_nothing_of_its_cache_still_says_how_long_the_prompt_was() -> None:
    timings = {"prompt_n": 1, "predicted_n": 3}
    assert watched(COMPLETION, json.dumps({**ONE, "timings": timings}).encode()).usage.prompt_tokens == 4
    assert watched(COMPLETION, json.dumps({"timings": timings}).encode()).usage.prompt_tokens is None


@pytest.mark.parametrize("odd", [None, -1, 1.5, "7", True, 10**400, [1]])
def test_what_is_no_count_is_unknown_and_not_zero(odd: object) -> None:
    timings = {name: odd if name.endswith("_n") else "x" for name in TIMINGS}
    said = {"tokens_evaluated": odd, "tokens_predicted": odd, "timings": timings}
    assert watched(COMPLETION, json.dumps(said).encode()).usage == Usage()


def test_the_first_token_is_the_first_content() -> None:
    watching = meter(COMPLETION)
    watching.feed(b'data: {"content":"","tokens":[],"stop":false}\n\n')
    assert not watching.has_token
    watching.feed(b'data: {"content":"x","stop":false}\n\n')
    assert watching.has_token


@pytest.mark.parametrize("before", [b"", b'data: {"content":"x","stop":false}\n\n'])
def test_an_error_inside_the_stream_is_kept(before: bytes) -> None:
    assert watched(COMPLETION, before + b'data: {"error":{"code":500,"message":"no"}}\n\n').failure == "no"


def test_a_list_too_long_to_be_kept_counts_nothing() -> None:
    body = json.dumps([{**ONE, "prompt": "x" * 50_000, "timings": TIMINGS}] * 3).encode()
    assert watched(COMPLETION, body).usage == Usage()


def test_an_answer_that_repeats_a_long_prompt_still_counts() -> None:
    body = json.dumps({**ONE, "prompt": "x" * 500_000, "timings": TIMINGS}).encode()
    assert watched(COMPLETION, body).usage.prompt_tokens == 4


@pytest.mark.parametrize("prompt_bytes", [500_000, 2_000_000, MAX_EVENT_BYTES - 700, MAX_EVENT_BYTES - 100])
@pytest.mark.parametrize("piece_bytes", [1000, 60_000, 10**9])
def test_a_stream_that_ends_with_the_whole_prompt_still_counts(prompt_bytes: int, piece_bytes: int) -> None:
    last = json.dumps({**ONE, "prompt": "x" * prompt_bytes, "timings": TIMINGS}).encode()
    stream = b'data: {"content":"x","stop":false}\n\ndata: ' + last + b"\n\n"
    watching = meter(COMPLETION)
    assert run(watching, *[stream[at : at + piece_bytes] for at in range(0, len(stream), piece_bytes)]) == stream
    assert (watching.usage.prompt_tokens, watching.usage.completion_tokens) == (4, 3)


def test_tokens_for_a_text_and_a_text_for_tokens_cost_none() -> None:
    assert watched(TOKENIZE, b'{"tokens":[258,108]}').usage == Usage()
    assert watched(DETOKENIZE, b'{"content":"hello"}').usage == Usage()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.MissingModel(), "invalid_request_error"),
        (errors.TooLarge(limit_bytes=1), "invalid_request_error"),
        (errors.UnknownModel(model="a", hint=""), "not_found_error"),
        (errors.QueueFull(room="a", limit=1, retry_after_s=7), "unavailable_error"),
        (errors.EngineDied(model="a", detail="log"), "server_error"),
    ],
)
def test_a_refusal_is_llamacpps_with_the_status_as_its_code(error: errors.GatewayError, kind: str) -> None:
    reply = COMPLETION.refusal(error, "r")
    said = json.loads(reply.body)["error"]
    assert (reply.status, said["code"], said["type"]) == (error.status, error.status, kind)
    assert (said["message"], said["error_code"], said.get("detail")) == (error.message, error.code, error.detail)
    assert COMPLETION.stream_failure(error, "r") == b"data: " + reply.body + b"\n\n"


def test_a_waiting_text_would_become_part_of_the_completion() -> None:
    assert COMPLETION.waiting_text("loading", "a") == b""
    assert meter(COMPLETION, JSON).feed(b"x") == meter(COMPLETION, EVENTS).feed(b"x") == b"x"
