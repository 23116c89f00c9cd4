"""Reading an answer as it passes: the same bytes, wherever it is cut, and the same tokens."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.calls.message import CallFacts, TokenSource, Usage
from penstock.protocols.dialect import Meter
from penstock.protocols.metering import BlindMeter
from penstock.protocols.openai_chat import CHAT, COMPLETIONS
from penstock.protocols.vectors import EMBEDDINGS

STREAM = b"text/event-stream; charset=utf-8"
USAGE = '"usage":{"prompt_tokens":10,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}}'
TIMINGS = '"timings":{"prompt_n":7,"prompt_ms":1.5,"predicted_n":3,"predicted_ms":9.5,"cache_n":5}'


def chunk(content: str, *more: str, finish: str = "null") -> bytes:
    said = ",".join(['"object":"chat.completion.chunk"', *more])
    delta = json.dumps({"content": content})
    return b"data: " + f'{{"choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}],{said}}}\n\n'.encode()


ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}]}\n\n'
LAST = chunk("", finish='"stop"')
USAGE_CHUNK = f'data: {{"choices":[],{USAGE},{TIMINGS}}}\n\n'.encode()
DONE = b"data: [DONE]\n\n"
WHOLE = ROLE + chunk("Hello") + b": a comment\n\n" + chunk('say "usage":{} and "error"') + LAST + USAGE_CHUNK + DONE


def stream_meter(*, hides: bool = True) -> Meter:
    return CHAT.meter(CallFacts("a", (b"",), is_stream=True, hides_usage_chunk=hides), STREAM)


def body_meter() -> Meter:
    return EMBEDDINGS.meter(CallFacts("a", (b"",)), b"application/json")


def run(meter: Meter, *pieces: bytes) -> bytes:
    return b"".join(meter.feed(piece) for piece in pieces) + meter.finish()


def test_the_usage_chunk_is_taken_out_where_only_we_asked_for_it() -> None:
    meter = stream_meter()
    assert run(meter, WHOLE) == WHOLE.replace(USAGE_CHUNK, b"")
    usage = meter.usage
    assert (usage.source, usage.prompt_tokens, usage.completion_tokens) == (TokenSource.USAGE, 10, 3)
    assert (usage.cached_tokens, usage.engine_prompt_ms, usage.engine_decode_ms) == (4, 1.5, 9.5)
    assert usage.finish_reason == "stop"


def test_the_usage_chunk_stays_where_the_caller_asked_for_it() -> None:
    meter = stream_meter(hides=False)
    assert run(meter, WHOLE) == WHOLE
    assert meter.usage.prompt_tokens == 10


@given(
    cuts=st.lists(st.integers(0, 2000), max_size=30),
    ending=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    hides=st.booleans(),
    is_cut_off=st.booleans(),
)
def test_where_a_stream_is_cut_changes_nothing(cuts: list[int], ending: bytes, hides: bool, is_cut_off: bool) -> None:
    whole = (b"\n\n" + WHOLE + b"\n" + WHOLE).replace(b"\n", ending)
    whole = whole[:-20] if is_cut_off else whole
    at = sorted({0, *(cut % len(whole) for cut in cuts), len(whole)})
    pieces, one = stream_meter(hides=hides), stream_meter(hides=hides)
    assert run(pieces, *[whole[a:b] for a, b in pairwise(at)]) == run(one, whole)
    assert pieces.usage == one.usage
    assert pieces.usage.completion_tokens == 3
    assert pieces.has_token
    assert pieces.failure is None


def test_a_stream_cut_into_single_bytes_is_read_like_a_whole_one() -> None:
    meter = stream_meter()
    assert run(meter, *[WHOLE[at : at + 1] for at in range(len(WHOLE))]) == WHOLE.replace(USAGE_CHUNK, b"")
    assert meter.usage.completion_tokens == 3


@pytest.mark.parametrize(
    "event",
    [
        f'data:{{"choices":[],{USAGE}}}\n\n',
        f'data: {{"choices":[],\ndata: {USAGE}}}\n\n',
        f'id: 7\nevent: message\ndata: {{"choices":[],{USAGE}}}\n\n',
        f': comment\ndata: {{"choices": [], {USAGE.replace(":", ": ")}}}\n\n',
        f'data: {{"choices":[],{USAGE}}}\r\n\r\n',
        f'data: {{"choices":[],{USAGE}}}\n\r\n',
        f'data: {{"choices":[],{USAGE}}}\r\r',
        f'data: {{"choices":[],{USAGE}}}',
    ],
)
def test_an_event_is_read_however_it_is_written(event: str) -> None:
    meter = stream_meter()
    assert run(meter, chunk("x"), event.encode()) == chunk("x")
    assert meter.usage.completion_tokens == 3


def test_a_usage_that_is_null_in_every_chunk_hides_nothing_and_costs_no_token() -> None:
    chunks = [chunk(word, '"usage":null') for word in ("one", "two")]
    last = chunk("", '"usage":null', finish='"stop"')
    meter = stream_meter()
    assert run(meter, *chunks, last + USAGE_CHUNK + DONE) == b"".join(chunks) + last + DONE
    assert (meter.usage.prompt_tokens, meter.usage.finish_reason) == (10, "stop")


def test_running_usage_in_every_chunk_ends_with_the_last() -> None:
    meter = stream_meter()
    chunks = [chunk("x", f'"usage":{{"prompt_tokens":10,"completion_tokens":{n}}}') for n in (1, 2, 3)]
    assert run(meter, *chunks) == b"".join(chunks)
    assert meter.usage.completion_tokens == 3


def test_a_first_chunk_without_choices_that_counts_nothing_is_kept() -> None:
    first = b'data: {"choices":[],"prompt_filter_results":[{"prompt_index":0}]}\n\n'
    assert run(stream_meter(), first, chunk("x")) == first + chunk("x")


def test_the_first_token_is_neither_a_role_nor_an_empty_text() -> None:
    meter = stream_meter()
    meter.feed(ROLE + chunk(""))
    assert not meter.has_token
    meter.feed(chunk("x"))
    assert meter.has_token


@pytest.mark.parametrize(
    "delta", ['{"reasoning_content":"x"}', '{"reasoning":"x"}', '{"tool_calls":[{"index":0}]}', '{"function_call":{}}']
)
def test_a_thought_and_a_call_of_a_tool_are_tokens_too(delta: str) -> None:
    meter = stream_meter()
    meter.feed(f'data: {{"choices":[{{"delta":{delta}}}]}}\n\n'.encode())
    assert meter.has_token is (delta != '{"function_call":{}}')


def test_plain_completions_stream_text() -> None:
    meter = COMPLETIONS.meter(CallFacts("a", (b"",), is_stream=True), STREAM)
    event = b'data: {"choices":[{"text":"x","finish_reason":"length"}]}\n\n'
    assert run(meter, event) == event
    assert (meter.has_token, meter.usage.finish_reason) == (True, "length")


@pytest.mark.parametrize("before", [b"", chunk("x")])
def test_an_error_inside_the_stream_is_kept_for_the_record(before: bytes) -> None:
    meter = stream_meter()
    event = b'data: {"error":{"message":"out of memory","code":500}}\n\n'
    assert run(meter, before, event) == before + event
    assert meter.failure == "out of memory"
    assert meter.usage == Usage()


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (b'"plain"', "plain"),
        (b"null", None),
        (b'{"code":1}', '{"code":1}'),
        (b'{"message":"' + b"x" * 9000 + b'"}', "x" * 500),
    ],
)
def test_an_error_may_be_of_any_shape_and_is_kept_short(error: bytes, failure: str | None) -> None:
    meter = body_meter()
    run(meter, b'{"error":' + error + b"}")
    assert meter.failure == failure


def test_timings_alone_count_the_whole_prompt() -> None:
    meter = body_meter()
    run(meter, f'{{"choices":[{{"finish_reason":"stop"}}],{TIMINGS}}}'.encode())
    usage = meter.usage
    assert (usage.source, usage.prompt_tokens, usage.cached_tokens) == (TokenSource.TIMINGS, 12, 5)
    assert (usage.completion_tokens, usage.engine_decode_ms) == (3, 9.5)


def test_usage_counts_more_than_timings_whichever_comes_first() -> None:
    for first, second in ((USAGE, TIMINGS), (TIMINGS, USAGE)):
        meter = body_meter()
        run(meter, f"{{{first},{second}}}".encode())
        assert (meter.usage.source, meter.usage.prompt_tokens) == (TokenSource.USAGE, 10)


@pytest.mark.parametrize(
    "said",
    [
        '"usage":null',
        '"usage":{}',
        '"usage":7',
        '"usage":{"prompt_tokens":"10"}',
        '"usage":{"prompt_tokens":-1}',
        '"usage":{"prompt_tokens":1' + "0" * 40 + "}",
        '"timings":{"prompt_n":1e400}',
        '"timings":[1]',
        '"choices":7',
        '"x":' + "[" * 100_000 + "]" * 100_000,
    ],
)
@pytest.mark.parametrize("padding", [0, 200_000])
def test_what_is_no_count_is_unknown_and_not_zero(said: str, padding: int) -> None:
    body = f'{{"pad":"{"x" * padding}",{said}}}'.encode()
    meter = body_meter()
    assert run(meter, body) == body
    assert (meter.usage.source, meter.usage.prompt_tokens, meter.usage.completion_tokens) == (
        TokenSource.NONE,
        None,
        None,
    )
    events = stream_meter()
    run(events, b"data: " + body + b"\n\n")
    assert events.usage.prompt_tokens is None


@pytest.mark.parametrize("vector_bytes", [10, 65_400, 65_536, 66_000, 82_000, 3_000_000])
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("piece", [1000, 65_536, 10_000_000])
def test_the_usage_of_a_huge_answer_is_found_at_either_end(vector_bytes: int, is_first: bool, piece: int) -> None:
    vectors = '"data":[' + ",".join(["0.125"] * (vector_bytes // 6)) + "]"
    parts = [USAGE, vectors] if is_first else [vectors, USAGE]
    body = ("{" + ",".join(parts) + "}").encode()
    meter = body_meter()
    assert run(meter, *[body[at : at + piece] for at in range(0, len(body), piece)]) == body
    assert (meter.usage.prompt_tokens, meter.usage.cached_tokens) == (10, 4)


def test_a_compressed_answer_passes_at_once_and_says_nothing() -> None:
    meter = BlindMeter()
    packed = gzip.compress(WHOLE)
    assert [meter.feed(packed[:50]), meter.feed(packed[50:]), meter.finish()] == [packed[:50], packed[50:], b""]
    assert (meter.usage, meter.failure, meter.has_token) == (Usage(), None, False)


def test_what_is_no_stream_of_events_passes_at_once() -> None:
    meter = stream_meter(hides=False)
    assert meter.feed(b"no event") == b"no event"
    assert meter.finish() == b""


@pytest.mark.parametrize("event", [chunk("x" * 200), chunk("x", '"usage":null'), b"x" * 1000, b"\r\n" * 100])
def test_memory_does_not_grow_with_the_stream(event: bytes) -> None:
    meter = stream_meter()
    piece = event * (65_536 // len(event))
    meter.feed(piece)
    tracemalloc.start()
    for _ in range(3200 if event[:1] == b"d" else 20):  # 200 MB of events, 1 MB of what is none
        meter.feed(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 1024 * 1024


def test_a_single_event_that_never_ends_is_held_up_to_a_bound() -> None:
    meter = stream_meter()
    fed = passed = 0
    for _ in range(4000):
        fed += 1000
        passed += len(meter.feed(b"x" * 1000))
        assert fed - passed <= 1024 * 1024 + 1000
    assert passed + len(meter.finish()) == fed
