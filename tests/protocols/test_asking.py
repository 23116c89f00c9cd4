"""Reading a JSON request: understood, or refused; and forwarded as it came."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.core.calls.message import CallFacts, Edits, Head
from penstock.errors import AmbiguousBody, BadRequest, InvalidJson, MissingModel, OddModelName
from penstock.protocols.openai_chat import CHAT
from penstock.protocols.vectors import EMBEDDINGS

ASKS = b'"stream_options":{"include_usage":true}'


HEAD = Head(b"POST", b"/v1/chat/completions", [], "1.1", None, {})


def read(body: bytes) -> CallFacts:
    return CHAT.read(HEAD, body)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", InvalidJson),
        (b"  ", InvalidJson),
        (b"[]", BadRequest),
        (b"null", BadRequest),
        (b'"model"', BadRequest),
        (b'{"model":"a"', InvalidJson),
        (b'{"model":"a"} {"model":"b"}', InvalidJson),
        (b'{"model":"a"}\0', InvalidJson),
        (b'{"model":"a",}', InvalidJson),
        (b'{"model":"a","x":NaN}', InvalidJson),
        (b'\xef\xbb\xbf{"model":"a"}', InvalidJson),
        (b'{"model":"\xff"}', InvalidJson),
        (b'{"model":"\\ud800"}', InvalidJson),
        (b'{"model":"a","user":"\\ud800"}', InvalidJson),
        (b'{"model":"a","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", InvalidJson),
        (b'{"model":"a","metadata":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}", InvalidJson),
        (b"{}", MissingModel),
        (b'{"model":null}', MissingModel),
        (b'{"model":""}', MissingModel),
        (b'{"model":"a\\u0000"}', OddModelName),
        (b'{"model":"' + b"a" * 1_000_000 + b'"}', MissingModel),
        (b'{"model":["a"]}', BadRequest),
        (b'{"model":7}', BadRequest),
        (b'{"model":"a","stream":"yes"}', BadRequest),
        (b'{"model":"a","stream":1}', BadRequest),
        (b'{"model":"a","stream":true,"stream_options":[]}', BadRequest),
        (b'{"model":"a","stream":true,"stream_options":{"include_usage":"yes"}}', BadRequest),
        (b'{"model":"a","model":"b"}', AmbiguousBody),
        (b'{"model":"a","model":"a"}', AmbiguousBody),
        (b'{"x":1,"x":2,"model":"a","model":"a"}', AmbiguousBody),
        (b'{"model":"a","mod\\u0065l":"b"}', AmbiguousBody),
        (b'{"\\u006dodel":"a","model":"b"}', AmbiguousBody),
        (b'{"model":"a","stream":true,"stream":false}', AmbiguousBody),
        (b'{"model":"a","stream_options":{},"stream\\u005foptions":{}}', AmbiguousBody),
        (b'{"model":"a","stream_options":{},"stream\\u005Foptions":{}}', AmbiguousBody),
        (b'{"model":"a","x":"' + b"y" * 100_000 + b'","mod\\u0065l":"b"}', AmbiguousBody),
    ],
)
def test_what_cannot_be_understood_in_one_way_is_refused(body: bytes, error: type[BadRequest]) -> None:
    with pytest.raises(BadRequest) as caught:
        read(body)
    assert caught.type is error
    assert json.loads(CHAT.refusal(caught.value, "r").body)["error"]["code"] == error.code


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a"}',
        b' { "model" : "a" } \n',
        b'{"model":"a","tools":[{"model":"x","stream":1}],"stop":"model"}',
        b'{"model":"a","messages":[{"content":"say \\"model\\" twice, \\"model\\""}]}',
        b'{"model":"a","user":"\\u0061\\u00e9"}',
        b'{"model":"a","x":1,"x":2}',
        b'{"mod\\u0065l":"a"}',
        b'{"model":"a","metadata":{"a":"b"}}',
        b'{"model":"a","metadata":[1,{"workload":"x"}]}',
        b'{"model":"a","metadata":null}',
        b'{"model":"a","metadata":{"workload":7}}',
        b'{"model":"a","n":' + b"1" * 5000 + b"}",
        b'{"model":"a","user":"\xff"}',
        b'{"model":"a","x":"' + b"y" * 100_000 + b'"}',
    ],
)
def test_what_is_understood_goes_on_byte_for_byte(body: bytes) -> None:
    facts = read(body)
    assert (facts.model, b"".join(facts.body)) == ("a", body)
    assert (facts.is_stream, facts.hides_usage_chunk, facts.workload, facts.priority) == (False, False, None, None)


@pytest.mark.parametrize(
    ("raw", "priority"),
    [
        (b"5", 5),
        (b"-3", -3),
        (b"0", 0),
        (b"9" * 400, None),
        *[(raw, None) for raw in (b"1e3", b"1.5", b'"5"', b"null", b"[1]", b"true", b'{"a":[1]}')],
    ],
)
def test_a_priority_stays_until_it_is_dropped_and_only_a_reasonable_integer_counts(
    raw: bytes, priority: int | None
) -> None:
    body = b'{"a":[1, 2],"priority": ' + raw + b',"model":"a"}'
    facts = read(body)
    assert (facts.has_priority, facts.priority, b"".join(facts.body)) == (True, priority, body)
    CHAT.edit(HEAD, facts, Edits(drop=("priority",)))
    assert b"".join(facts.body) == b'{"a":[1, 2],"model":"a"}'


def test_a_body_without_a_priority_has_none() -> None:
    facts = read(b'{"model":"a","tools":[{"priority":1}]}')
    assert (facts.has_priority, facts.priority) == (False, None)


@pytest.mark.parametrize(
    ("raw", "session"),
    [
        (b'"thread-7"', "thread-7"),
        (b'"\\u00e9"', "\xe9"),
        *[(raw, None) for raw in (b"null", b"7", b'""', b'"a\\u0000"', b'["a"]', b'"' + b"x" * 129 + b'"')],
    ],
)
def test_the_key_of_a_prompts_cache_names_the_session(raw: bytes, session: str | None) -> None:
    body = b'{"model":"a","prompt_cache_key":' + raw + b"}"
    facts = read(body)
    assert (facts.session, b"".join(facts.body)) == (session, body)


@pytest.mark.parametrize(
    ("metadata", "workload", "left"),
    [
        (b'{"workload":"nightly","a":1}', "nightly", b'{"a":1}'),
        (b'{"a" :1, "workload":"nightly"}', "nightly", b'{"a" :1}'),
        (b'{"workload":"nightly"}', "nightly", b"{}"),
        (b'{"workload":" nightly\\n"}', "nightly", b"{}"),
        (b'{"workload":" "}', None, b"{}"),
        (b'{"workload":null}', None, b"{}"),
        (b'{"workload":"' + b"x" * 200 + b'"}', None, b"{}"),
        (b'{"workload":"a\\u0000"}', None, b"{}"),
    ],
)
def test_the_workload_is_taken_out_of_the_metadata(metadata: bytes, workload: str | None, left: bytes) -> None:
    facts = read(b'{"model":"a","metadata":' + metadata + b',"z":1.0}')
    assert (facts.workload, b"".join(facts.body)) == (workload, b'{"model":"a","metadata":' + left + b',"z":1.0}')


@pytest.mark.parametrize(
    ("given_", "sent"),
    [
        (b'{"model":"a","stream":true}', b'{"model":"a","stream":true,' + ASKS + b"}"),
        (b'{"model":"a","stream":true} \n', b'{"model":"a","stream":true,' + ASKS + b"} \n"),
        (b'{"model":"a","stream":true,"stream_options":null}', b'{"model":"a","stream":true,' + ASKS + b"}"),
        (b'{"stream_options":{},"model":"a","stream":true}', b"{" + ASKS + b',"model":"a","stream":true}'),
        (
            b'{"model":"a","stream_options":{"include_usage":false,"x":[1, 2]},"stream":true}',
            b'{"model":"a","stream_options":{"include_usage":true,"x":[1, 2]},"stream":true}',
        ),
        (
            b'{"model":"a","tools":["stream_options"],"stream":true}',
            b'{"model":"a","tools":["stream_options"],"stream":true,' + ASKS + b"}",
        ),
    ],
)
def test_a_stream_is_made_to_count_its_tokens(given_: bytes, sent: bytes) -> None:
    facts = read(given_)
    assert (facts.is_stream, facts.hides_usage_chunk, b"".join(facts.body)) == (True, True, sent)


def test_a_caller_that_asks_for_usage_itself_gets_what_it_asked_for() -> None:
    body = b'{"model":"a","stream":true,"stream_options":{"include_usage":true}}'
    facts = read(body)
    assert (facts.hides_usage_chunk, b"".join(facts.body)) == (False, body)


def test_what_is_no_stream_is_asked_nothing() -> None:
    for body in (b'{"model":"a","stream":false}', b'{"model":"a","stream":null}'):
        assert read(body).body == (body,)
    body = b'{"model":"a","stream":true}'
    assert (EMBEDDINGS.read(HEAD, body).is_stream, EMBEDDINGS.read(HEAD, body).body) == (False, (body,))


def test_a_body_may_be_a_bytearray() -> None:
    facts = CHAT.read(HEAD, bytearray(b'{"model":"a","priority":1,"stream":true}'))
    assert bytes(b"".join(facts.body)) == b'{"model":"a","priority":1,"stream":true,' + ASKS + b"}"


def test_another_name_for_the_model_leaves_everything_else() -> None:
    facts = read(b'{ "caf\\u00e9" : 1.0 ,"model": "a", "b":[ ] }')
    CHAT.edit(HEAD, facts, Edits(model='b"\xe9'))
    assert b"".join(facts.body) == '{ "caf\\u00e9" : 1.0 ,"model": "b\\"\xe9", "b":[ ] }'.encode()


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
NAMES = st.text().filter(
    lambda name: name not in {"model", "stream", "stream_options", "priority", "metadata", "prompt_cache_key"}
)


@settings(max_examples=50)
@given(
    members=st.dictionaries(NAMES, VALUES),
    is_ascii=st.booleans(),
    indent=st.sampled_from([None, 2]),
    at=st.integers(0, 9),
)
def test_whatever_else_a_body_says_keeps_its_meaning_and_its_order(
    members: dict[str, object], is_ascii: bool, indent: int | None, at: int
) -> None:
    items = list(members.items())
    items.insert(at, ("priority", 3))
    items.insert(at // 2, ("model", "a"))
    try:
        body = json.dumps(dict(items), ensure_ascii=is_ascii, indent=indent).encode("utf-8")
    except UnicodeEncodeError:
        return
    try:
        facts = read(body)
    except InvalidJson:  # lone surrogates are not JSON's business
        assert b"\\ud" in body
        return
    CHAT.edit(HEAD, facts, Edits(drop=("priority",)))
    left = [(name, value) for name, value in items if name != "priority"]
    assert list(json.loads(b"".join(facts.body)).items()) == left
    assert facts.priority == 3


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,\\ udmodel0156tr', max_size=60).map(str.encode))
def test_no_body_at_all_gets_more_out_of_the_reader_than_facts_or_a_refusal(body: bytes) -> None:
    for candidate in (body, b'{"model":"a",' + body + b"}", b'{"model":"a","stream":true,"metadata":' + body + b"}"):
        try:
            facts = read(candidate)
        except BadRequest:
            continue
        assert isinstance(json.loads(b"".join(facts.body).decode("utf-8", "replace")), dict)
