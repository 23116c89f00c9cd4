"""What holds for every dialect whose requests and answers are JSON, and whatever they are given."""

from __future__ import annotations

import json
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import errors
from penstock.core.calls.message import Edits, Head
from penstock.errors import AmbiguousBody, BadRequest, InvalidJson, MissingModel, OddModelName
from penstock.protocols.anthropic import MESSAGES
from penstock.protocols.endpoints import TABLE
from penstock.protocols.llamacpp import COMPLETION
from penstock.protocols.openai_chat import CHAT, COMPLETIONS
from penstock.protocols.openai_responses import RESPONSES
from penstock.protocols.text import TextDialect
from tests.protocols.streams import COMPLETION_STREAM, EVENTS, JSON, MESSAGES_STREAM, RESPONSES_STREAM, meter, run

DIALECTS = {row.dialect.name: row.dialect for row in TABLE if isinstance(row.dialect, TextDialect)}
every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())

STREAMS = ((RESPONSES, RESPONSES_STREAM), (MESSAGES, MESSAGES_STREAM), (COMPLETION, COMPLETION_STREAM))
every_stream = pytest.mark.parametrize(("dialect", "stream"), STREAMS, ids=[dialect.name for dialect, _ in STREAMS])

HEAD = Head(b"POST", b"/x?a=b", [], "1.1", None, {})


@every_dialect
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", InvalidJson),
        (b"[]", BadRequest),
        (b'{"model":"a"', InvalidJson),
        (b'{"model":"a","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", InvalidJson),
        (b'{"model":"a","user":"\\ud800"}', InvalidJson),
        (b'{"model":"\\ud800"}', InvalidJson),
        (b"{}", MissingModel),
        (b'{"model":""}', MissingModel),
        (b'{"model":"a\\u0000"}', OddModelName),
        (b'{"model":"' + b"a" * 1_000_000 + b'"}', MissingModel),
        (b'{"model":["a"]}', BadRequest),
        (b'{"model":7}', BadRequest),
        (b'{"model":"a","stream":"yes"}', BadRequest),
        (b'{"model":"a","model":"b"}', AmbiguousBody),
        (b'{"model":"a","stream":true,"stre\\u0061m":false}', AmbiguousBody),
        (b'{"model":"a","stream_options":{},"stream_options":{}}', AmbiguousBody),
    ],
)
def test_what_cannot_be_understood_in_one_way_is_refused_in_the_callers_form(
    dialect: TextDialect, body: bytes, error: type[BadRequest]
) -> None:
    for candidate in (body, memoryview(body)):
        with pytest.raises(BadRequest) as caught:
            dialect.read(HEAD, candidate)
        assert caught.type in (error, MissingModel)  # of a large one, a huge name is not even looked at
    said = json.loads(dialect.refusal(caught.value, "r").body)["error"]
    assert caught.value.code in (said.get("code"), said.get("error_code"))


@every_dialect
def test_a_request_goes_on_as_it_came(dialect: TextDialect) -> None:
    body = b'{ "model":"a", "input":"x", "priority":' + b"9" * 400 + b',"metadata":{"user_id":"u"} }'
    for candidate in (body, bytearray(body), memoryview(body)):
        facts = dialect.read(HEAD, candidate)
        assert (facts.model, facts.query, b"".join(facts.body)) == ("a", b"?a=b", body)
        assert (facts.is_stream, facts.priority, facts.has_priority) == (False, None, True)


@every_dialect
def test_the_workload_is_ours_in_every_dialect(dialect: TextDialect) -> None:
    facts = dialect.read(HEAD, b'{"model":"a","metadata":{"user_id":"u","workload":"nightly"}}')
    assert (facts.workload, b"".join(facts.body)) == ("nightly", b'{"model":"a","metadata":{"user_id":"u"}}')


@every_dialect
def test_another_name_for_the_model_leaves_everything_else(dialect: TextDialect) -> None:
    facts = dialect.read(HEAD, b'{"stream":false, "model":"a" }')
    dialect.edit(HEAD, facts, Edits(model="b", drop=("stream",)))
    assert json.loads(b"".join(facts.body)) == {"model": "b"}


def test_only_chat_and_completions_are_asked_to_count() -> None:
    body = b'{"model":"a","stream":true}'
    asked = {name for name, dialect in DIALECTS.items() if dialect.read(HEAD, body).hides_usage_chunk}
    assert asked == {CHAT.name, COMPLETIONS.name}
    streaming = {name for name, dialect in DIALECTS.items() if dialect.read(HEAD, body).is_stream}
    assert streaming == asked | {RESPONSES.name, MESSAGES.name, COMPLETION.name, "llamacpp.infill"}


@every_dialect
def test_a_large_body_is_not_copied(dialect: TextDialect) -> None:
    body = memoryview(b'{"model":"a","prompt":"' + b"x" * 8_000_000 + b'","input":[' + b"1," * 999_999 + b"1]}")
    tracemalloc.start()
    facts = dialect.read(HEAD, body)
    dialect.edit(HEAD, facts, Edits(model="b"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000
    assert facts.body_bytes == len(body)


@every_dialect
@pytest.mark.parametrize("error", [errors.QueueFull(room="a", limit=1, retry_after_s=7.4), errors.MissingModel()])
def test_whether_and_when_to_come_back_is_said_in_headers(dialect: TextDialect, error: errors.GatewayError) -> None:
    reply = dialect.refusal(error, "r")
    headers = dict(reply.headers)
    assert (reply.status, headers[b"content-type"]) == (error.status, b"application/json")
    assert headers.get(b"retry-after") == (None if error.retry_after_s is None else b"7")
    assert (headers.get(b"x-should-retry") == b"false") is not error.is_retry_useful


@every_dialect
def test_a_failure_of_ours_is_one_that_the_dialects_own_meter_notices(dialect: TextDialect) -> None:
    error = errors.EngineDied(model="a")
    failure = dialect.stream_failure(error, "r")
    assert failure.endswith(b"\n\n")
    watching = meter(dialect)
    run(watching, failure)
    assert watching.failure == error.message
    whole = meter(dialect, JSON)
    run(whole, dialect.refusal(error, "r").body)
    assert whole.failure == error.message


@every_stream
@given(data=st.data())
def test_a_failure_is_an_event_of_its_own_wherever_the_engine_broke_off(
    dialect: TextDialect, stream: bytes, data: st.DataObject
) -> None:
    hides = data.draw(st.booleans())
    cut = data.draw(st.integers(1, len(stream)))
    watching, client = meter(dialect, hides_usage_chunk=hides), meter(dialect)
    passed = watching.feed(stream[:cut])
    failure = dialect.stream_failure(errors.EngineDied(model="a"), "r", watching)
    run(client, passed + failure)
    assert client.failure == errors.EngineDied(model="a").message
    if stream[:cut].endswith(b"\n\n"):
        assert failure.startswith((b"data", b"event"))


def test_only_a_chat_has_a_place_for_words_while_it_waits() -> None:
    chunk = json.loads(CHAT.waiting_text('a "word"', "m").removeprefix(b"data: "))
    (choice,) = chunk["choices"]
    assert (chunk["object"], chunk["model"], choice["index"]) == ("chat.completion.chunk", "m", 0)
    assert isinstance(chunk["id"], str)
    assert isinstance(chunk["created"], int)
    assert choice["delta"] == {"reasoning_content": 'a "word"'}
    silent = {name for name, dialect in DIALECTS.items() if not dialect.waiting_text("x", "m")}
    assert set(DIALECTS) - silent == {CHAT.name, MESSAGES.name}


@every_stream
@given(
    cuts=st.lists(st.integers(0, 5000), max_size=30),
    ending=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    missing=st.integers(0, 3),
)
def test_where_a_stream_is_cut_changes_nothing(
    dialect: TextDialect, stream: bytes, cuts: list[int], ending: bytes, missing: int
) -> None:
    whole = (b": a comment\n\n" + stream.rstrip(b"\n") + b"\n" * missing).replace(b"\n", ending)
    at = sorted({0, *(cut % len(whole) for cut in cuts), len(whole)})
    watching = meter(dialect)
    assert run(watching, *[whole[a:b] for a, b in pairwise(at)]) == whole
    assert (watching.usage.completion_tokens, watching.has_token, watching.failure) == (3, True, None)


@every_dialect
@given(data=st.data())
def test_no_answer_at_all_breaks_a_meter(dialect: TextDialect, data: st.DataObject) -> None:
    """Bytes out are bytes in, for whatever comes, wherever it is cut."""
    streams = b"".join(stream for _, stream in STREAMS)
    answer = data.draw(_mutilated(streams) | st.binary(max_size=300) | _documents())
    kind = data.draw(st.sampled_from([EVENTS, JSON]))
    cut = data.draw(st.integers(0, len(answer)))
    one, two = meter(dialect, kind), meter(dialect, kind)
    assert run(one, answer) == answer
    assert run(two, answer[:cut], answer[cut:]) == answer
    assert (one.usage, one.failure) == (two.usage, two.failure)
    for count in (one.usage.prompt_tokens, one.usage.cached_tokens, one.usage.completion_tokens):
        assert count is None or count >= 0


@every_stream
@pytest.mark.parametrize("content_type", [EVENTS, JSON])
def test_memory_does_not_grow_with_an_answer(dialect: TextDialect, stream: bytes, content_type: bytes) -> None:
    watching = meter(dialect, content_type)
    watching.feed(stream)
    tracemalloc.start()
    for _ in range(5_000):  # 10 MB
        watching.feed(stream)
    watching.finish()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@st.composite
def _mutilated(draw: st.DrawFn, source: bytes) -> bytes:
    """Some of it, with something else in between."""
    start = draw(st.integers(0, len(source)))
    piece = source[start : start + draw(st.integers(0, 600))]
    at = draw(st.integers(0, len(piece)))
    return piece[:at] + draw(st.sampled_from([b"", b"\n\n", b"null", b"9" * 400, b"\xff", b'"', b"{"])) + piece[at:]


NAMES = st.sampled_from(
    [
        *(
            "type",
            "delta",
            "response",
            "usage",
            "input_tokens",
            "output_tokens",
            "prompt_tokens",
            "timings",
            "prompt_n",
        ),
        *("cache_n", "metrics", "message", "error", "status", "choices", "finish_reason", "stop_reason"),
        *("content_block", "item", "input_tokens_details", "tokens_evaluated", "stop_type"),
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["message_start", "error"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def _documents(draw: st.DrawFn) -> bytes:
    """A document made of the members that meters look for, with whatever in them."""
    document = json.dumps(draw(st.dictionaries(NAMES, VALUES, max_size=6))).encode()
    return document if draw(st.booleans()) else b"data: " + document + b"\n\n"
