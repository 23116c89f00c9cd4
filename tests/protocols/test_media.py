"""Sound and pictures: read from whatever names a model, renamed in place, metered without being parsed."""

from __future__ import annotations

import json
import time
from urllib.parse import urlencode

import pytest

from penstock import errors
from penstock.core.calls.message import CallFacts, Edits, Head, TokenSource, Usage
from penstock.protocols import media
from penstock.protocols.dialect import Dialect
from penstock.protocols.endpoints import BY_PATH, TABLE

MULTIPART = b"multipart/form-data; boundary=b"
FORM = b"application/x-www-form-urlencoded"
JSON = b"application/json"
PATHS = [endpoint.path for endpoint in TABLE if isinstance(endpoint.dialect, media.MediaDialect)]


def head(path: bytes = b"/v1/audio/transcriptions", content_type: bytes = b"", method: bytes = b"POST") -> Head:
    fields = {b"content-type": content_type} if content_type else {}
    return Head(method, path, list(fields.items()), "1.1", None, fields)


def dialect(path: bytes) -> Dialect:
    return BY_PATH[path.partition(b"?")[0]].dialect


def part(name: bytes, content: bytes, more: bytes = b"") -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (name, more, content)


SOUND = part(b"file", b'\0{"model":"no"}\r\n\xff', b'; filename="a.wav"')
WHISPER = SOUND + part(b"model", b"whisper") + part(b"language", b"en") + b"--b--\r\n"


def sent(asked: Head, body: bytes, **edits: object) -> tuple[CallFacts, bytes, bytes]:
    """What is read, and the body and the query that go on."""
    speaks = dialect(asked.path)
    facts = speaks.read(asked, memoryview(body))
    speaks.edit(asked, facts, Edits(**edits))  # type: ignore[arg-type]
    return facts, b"".join(facts.body), facts.query


@pytest.mark.parametrize(
    ("asked", "body", "renamed"),
    [
        (head(content_type=MULTIPART), WHISPER, WHISPER.replace(b"whisper", b"large-v3")),
        (head(), WHISPER, WHISPER.replace(b"whisper", b"large-v3")),
        (head(content_type=JSON), WHISPER, WHISPER.replace(b"whisper", b"large-v3")),
        (head(content_type=FORM), b"a=%20&model=whisper&b=+", b"a=%20&model=large-v3&b=+"),
        (head(), b"model=whisper", b"model=large-v3"),
        (head(content_type=FORM), b"m%6fdel=whisp%65r", b"m%6fdel=large-v3"),
        *[
            (head(content_type=kind), b' { "x":1, "model" : "whisper" }\n', b' { "x":1, "model" : "large-v3" }\n')
            for kind in (JSON, b"", b"text/plain", FORM, b"application/octet-stream", b"APPLICATION/JSON;charset=utf-8")
        ],
    ],
)
def test_the_model_is_found_and_only_its_name_changes(asked: Head, body: bytes, renamed: bytes) -> None:
    for path in PATHS:
        if b"POST" not in BY_PATH[path].methods:
            continue
        asked.target = path
        assert sent(asked, body)[1] == body
        facts, changed, query = sent(asked, body, model="large-v3")
        assert (facts.model, changed, query) == ("whisper", renamed, b"")


@pytest.mark.parametrize("path", [b"/v1/audio/voices", b"/sdapi/v1/loras", b"/props"])
def test_a_get_names_its_model_in_the_query_where_only_the_name_changes(path: bytes) -> None:
    query = b"?a=%2F&a=+&model=a%2fb&c#;=%zz"
    asked = head(path + query, method=b"GET")
    assert sent(asked, b"")[2] == query
    facts, body, changed = sent(asked, b"", model="c d/é&")
    assert (facts.model, body, changed) == ("a/b", b"", b"?a=%2F&a=+&model=c%20d/%C3%A9%26&c#;=%zz")


def test_a_post_without_a_model_in_its_body_may_name_it_in_the_query() -> None:
    facts, body, query = sent(head(b"/props?model=a", JSON), b'{"x":1}', model="b", put={"y": b"2"})
    assert (facts.model, body, query) == ("a", b'{"x":1,"y":2}', b"?model=b")
    assert sent(head(b"/v1/audio/voices?model=a"), b"", model="b")[1:] == (b"", b"?model=b")


@pytest.mark.parametrize("body", [b'{"model":"a"}', b"model=a", part(b"model", b"a") + b"--b--"])
def test_a_query_must_not_name_another_model_than_the_body(body: bytes) -> None:
    renamed = body.replace(b'"a"', b'"b"').replace(b"=a", b"=b").replace(b"\na", b"\nb")
    assert sent(head(b"/v1/audio/speech?model=a"), body, model="b")[1:] == (renamed, b"?model=b")
    with pytest.raises(errors.AmbiguousQuery):
        sent(head(b"/v1/audio/speech?model=b"), body)


def test_filters_change_json_and_leave_forms_alone() -> None:
    edits = {"drop": ("voice",), "put": {"speed": b"2"}, "model": "b"}
    asked = head(b"/v1/audio/speech", JSON)
    assert sent(asked, b'{"model":"a","voice":"x"}', **edits)[1] == b'{"model":"b","speed":2}'
    assert sent(asked, b"model=a&voice=x", **edits)[1] == b"model=b&voice=x"


def test_a_name_can_be_written_a_second_time() -> None:
    for body in (WHISPER, b"model=whisper&x=1", b'{"model":"whisper"}'):
        asked, speaks = head(), media.TRANSCRIPTIONS
        facts = speaks.read(asked, body)
        for model in ("a", "b"):
            speaks.edit(asked, facts, Edits(model=model))
        assert b"".join(facts.body) == body.replace(b"whisper", b"b")


def test_a_name_with_a_line_break_is_written_into_no_form() -> None:
    with pytest.raises(errors.BadRequest, match="line break"):
        sent(head(content_type=MULTIPART), WHISPER, model="a\r\n--b--")


def test_a_file_is_not_copied() -> None:
    body = memoryview(part(b"file", b"x" * 5_000_000, b"; filename=a") + part(b"model", b"a") + b"--b--")
    began_s = time.process_time()
    facts = media.TRANSCRIPTIONS.read(head(content_type=MULTIPART), body)
    media.TRANSCRIPTIONS.edit(head(content_type=MULTIPART), facts, Edits(model="b"))
    assert time.process_time() - began_s < 0.02
    before, name, after = facts.body
    assert isinstance(before, memoryview)
    assert isinstance(after, memoryview)
    assert before.obj is after.obj is body.obj
    assert name == b"b"


@pytest.mark.parametrize(
    ("body", "is_stream"),
    [
        (b'{"model":"a","stream":true}', True),
        (b'{"model":"a","stream":false,"stream_format":"sse"}', True),
        (b'{"model":"a","stream_format":"audio"}', False),
        (b'{"model":"a","stream_format":["sse"]}', False),
        (b"model=a&stream=true", True),
        (b"model=a&stream=False", False),
        (part(b"stream", b"True") + part(b"model", b"a") + b"--b--", True),
        (part(b"stream", b"0") + part(b"model", b"a") + b"--b--", False),
        (part(b"streams", b"1") + part(b"model", b"a") + b"--b--", False),
    ],
)
def test_a_stream_is_asked_for_where_there_can_be_one(body: bytes, *, is_stream: bool) -> None:
    assert media.SPEECH.read(head(), body).is_stream is is_stream
    assert media.VARIATIONS.read(head(), body).is_stream is False


@pytest.mark.parametrize(
    ("fields", "priority", "workload"),
    [
        ({"priority": "2", "metadata[workload]": "batch é"}, 2, "batch é"),
        ({"priority": "-1", "metadata": '{"workload": "night"}'}, -1, "night"),
        ({"priority": "soon", "metadata": "my holiday"}, None, None),
        ({"priority": "9" * 400, "metadata": '{"workload": 7}'}, None, None),
        ({"metadata[workload]": "x" * 129, "metadata": '{"workload": "other"}'}, None, None),
        ({"metadata": "[1]" * 9000}, None, None),
    ],
)
def test_a_form_says_how_urgent_it_is_and_for_whose_work_and_is_passed_on_as_it_is(
    fields: dict[str, str], priority: int | None, workload: str | None
) -> None:
    parts = b"".join(part(name.encode(), value.encode()) for name, value in {"model": "a", **fields}.items())
    escaped = urlencode({"model": "a", **fields}).encode()
    for content_type, body in ((MULTIPART, parts + b"--b--"), (FORM, escaped)):
        facts, changed, _ = sent(head(content_type=content_type), body)
        assert (facts.priority, facts.workload, facts.has_priority) == (priority, workload, False)
        assert changed == body


def test_labels_that_cannot_be_read_refuse_no_form() -> None:
    parts = part(b"model", b"a") + part(b"priority", b"1") * 2 + part(b"metadata", b"\xff") + part(b"priority", b"2")
    assert media.TRANSCRIPTIONS.read(head(content_type=MULTIPART), parts + b"--b--").priority == 2
    assert media.TRANSCRIPTIONS.read(head(), b"model=a&priority=1&priority=2&metadata=%ff").priority is None


def test_files_do_not_count_as_text() -> None:
    body = part(b"image", b"x" * 100_000, b"; filename=a") * 2 + part(b"prompt", b"y" * 4_000)
    facts = media.IMAGES.read(head(content_type=MULTIPART), body + part(b"model", b"a") + b"--b--")
    assert facts.prompt_tokens == 4_001 // 4 + 2_000
    picture = json.dumps({"model": "a", "prompt": "y" * 4_000, "init_images": ["x" * 100_000]}).encode()
    assert media.SDAPI.read(head(), picture).prompt_tokens == 1_000


BAD_NAMES = [
    (b'{"model":["a"]}', errors.BadRequest),
    (b'{"model":7}', errors.BadRequest),
    (b'{"model":{"a":"b"}}', errors.BadRequest),
    (b'{"model":null}', errors.MissingModel),
    (b'{"model":"%b"}' % (b"a" * 1_000_000), errors.MissingModel),
    (b'{"model":"a\\u0000"}', errors.OddModelName),
    (b'{"model":"a\0"}', errors.InvalidJson),
    (b'{"model":"\\ud800"}', errors.InvalidJson),
    (b'{"model":"a","model":"b"}', errors.AmbiguousBody),
    (b"{", errors.InvalidJson),
    (b"[]", errors.BadRequest),
    (b"   ", errors.InvalidJson),
    (b"\0\1\2", errors.InvalidJson),
    (b"model=" + b"a" * 1_000_000, errors.OddModelName),
    (b"model=a%00", errors.OddModelName),
    (b"model=%ed%a0%80", errors.BadRequest),
    (b"model=a&model=b", errors.AmbiguousBody),
    (b"x=a", errors.MissingModel),
    (part(b"x", b"a") + b"--b--", errors.MissingModel),
    (part(b"model", b"a" * 1_000_000) + b"--b--", errors.MissingModel),
    (part(b"model", b"a" * 1_000) + b"--b--", errors.OddModelName),
    (part(b"model", b"") + b"--b--", errors.MissingModel),
    (part(b"model", b"a\0") + b"--b--", errors.OddModelName),
    (part(b"model", b"a\r\nb") + b"--b--", errors.OddModelName),
    (part(b"model", b"\xed\xa0\x80") + b"--b--", errors.BadRequest),
    (part(b"model", b"a", b"; filename=m") + b"--b--", errors.BadRequest),
    (part(b"model", b"a") * 2 + b"--b--", errors.AmbiguousBody),
    (part(b"stream", b"1") * 2 + part(b"model", b"a") + b"--b--", errors.AmbiguousBody),
    (part(b"x", b"") * 10_000 + part(b"model", b"a") + b"--b--", errors.BadRequest),
    (part(b"model", b"a"), errors.BadRequest),
    (part(b"model", b"a").replace(b"--b", b"--" + b"b" * 71) + b"--b--", errors.BadRequest),
]


@pytest.mark.parametrize(("body", "error"), BAD_NAMES)
@pytest.mark.parametrize("path", PATHS)
def test_a_hostile_body_is_refused_in_the_dialect(path: bytes, body: bytes, error: type[errors.BadRequest]) -> None:
    speaks = dialect(path)
    with pytest.raises(errors.BadRequest) as caught:
        speaks.read(head(path), body)
    assert caught.type is error
    reply = speaks.refusal(caught.value, "r")
    said = json.loads(reply.body)
    assert reply.status == 400
    assert len(reply.body) < 1_000
    code = said if path.startswith(b"/sdapi") else said["error"]
    assert code.get("error_code", code["code"]) == error.code


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (b"", errors.MissingModel),
        (b"?model", errors.MissingModel),
        (b"?model=" + b"a" * 60_000, errors.OddModelName),
        (b"?model=%00", errors.OddModelName),
        (b"?model=%ed%a0%80", errors.BadRequest),
        (b"?model=a&m%6fdel=a", errors.AmbiguousQuery),
    ],
)
def test_a_hostile_query_is_refused(query: bytes, error: type[errors.BadRequest]) -> None:
    with pytest.raises(errors.BadRequest) as caught:
        media.VOICES.read(head(b"/v1/audio/voices" + query, method=b"GET"), b"")
    assert caught.type is error


FACTS = CallFacts("m", (b"",))
TOKENS = b'"usage":{"type":"tokens","input_tokens":14,"output_tokens":45,"total_tokens":59}'


def metered(answer: bytes, content_type: bytes, *, step: int = 1) -> tuple[Usage, bool, str | None]:
    """What is known after an answer went by in pieces; it went by unchanged."""
    meter = media.IMAGES.meter(FACTS, content_type)
    pieces = [answer[at : at + step] for at in range(0, len(answer), step)]
    assert b"".join([meter.feed(piece) for piece in pieces] + [meter.finish()]) == answer
    return meter.usage, meter.has_token, meter.failure


@pytest.mark.parametrize(
    "answer",
    [
        b'{"text":"hello",' + TOKENS + b"}",
        b'{"created":1,"data":[{"b64_json":"%b"}],%b}' % (b"A" * 300_000, TOKENS),
        b'{"created":1,%b,"data":[{"b64_json":"%b"}]}' % (TOKENS, b"A" * 300_000),
        b'{"text":"","usage":{"prompt_tokens":14,"completion_tokens":45}}',
    ],
)
def test_the_usage_of_a_document_is_read(answer: bytes) -> None:
    usage, has_token, failure = metered(answer, b"application/json; charset=utf-8", step=997)
    assert (usage.source, usage.prompt_tokens, usage.completion_tokens) == (TokenSource.USAGE, 14, 45)
    assert (has_token, failure) == (False, None)


@pytest.mark.parametrize(
    "answer",
    [
        b'{"text":"hello","usage":{"type":"duration","seconds":3}}',
        b'{"text":"say \\"usage\\": 7"}',
        b'[{"name":"lora","usage":{"input_tokens":1}}]',
        b'{"images":["AAAA"],"parameters":{},"info":"{}"}',
        b"",
        b"no json",
    ],
)
def test_what_counts_no_tokens_leaves_them_unknown(answer: bytes) -> None:
    usage, _, failure = metered(answer, b"application/json")
    assert (usage, failure) == (Usage(), None)


@pytest.mark.parametrize("content_type", [b"audio/mpeg", b"image/png", b"text/plain", b"application/octet-stream", b""])
def test_media_pass_unread(content_type: bytes) -> None:
    usage, has_token, failure = metered(b'{"error":"x",' + TOKENS + b"}\n\n", content_type)
    assert (usage, has_token, failure) == (Usage(), False, None)


def event(kind: bytes, more: bytes) -> bytes:
    return b'event: %b\ndata: {"type":"%b",%b}\n\n' % (kind, kind, more)


TRANSCRIPT = event(b"transcript.text.delta", b'"delta":"a"') * 3
PICTURE = b'"b64_json":"%b"' % (b"A" * 1_500_000)


@pytest.mark.parametrize("step", [7, 4096, 10_000_000])
@pytest.mark.parametrize(
    "stream",
    [
        TRANSCRIPT + event(b"transcript.text.done", b'"text":"aaa",' + TOKENS) + b"data: [DONE]\n\n",
        (
            b'data: {"object":"transcription.chunk","choices":[{"delta":{"content":"a"}}]}\n\n'
            b'data: {"choices":[],"usage":{"prompt_tokens":14,"completion_tokens":45}}\n\ndata: [DONE]\n\n'
        ),
    ],
)
def test_the_usage_of_a_stream_is_read(stream: bytes, step: int) -> None:
    usage, has_token, failure = metered(stream, b"text/event-stream", step=step)
    assert (usage.source, usage.prompt_tokens, usage.completion_tokens) == (TokenSource.USAGE, 14, 45)
    assert (has_token, failure) == (True, None)


@pytest.mark.parametrize("step", [16_000, 70_000])
def test_the_usage_behind_a_large_picture_is_read(step: int) -> None:
    stream = event(b"image_generation.partial_image", PICTURE) + event(
        b"image_generation.completed", PICTURE + b"," + TOKENS
    )
    usage, has_token, _ = metered(stream, b"text/event-stream", step=step)
    assert (usage.source, usage.prompt_tokens, usage.completion_tokens, has_token) == (TokenSource.USAGE, 14, 45, True)


def test_a_failure_inside_a_stream_is_told() -> None:
    stream = TRANSCRIPT + event(b"error", b'"error":{"message":"out of memory","code":"x"}')
    assert metered(stream, b"text/event-stream", step=5)[2] == "out of memory"
    assert metered(b'{"error":{"message":"no such voice"}}', b"application/json")[2] == "no such voice"


def test_a_comment_is_no_token() -> None:
    meter = media.TRANSCRIPTIONS.meter(FACTS, b"text/event-stream")
    meter.feed(b": still here\n\n")
    assert not meter.has_token
    meter.feed(b"data: {}\n\n")
    assert meter.has_token


def test_the_web_uis_own_form_says_no() -> None:
    error = errors.UnknownModel(model="x", hint="")
    reply = dialect(b"/sdapi/v1/txt2img").refusal(error, "r")
    assert reply.status == 404
    assert json.loads(reply.body) == {
        "error": "UnknownModel",
        "detail": error.message,
        "body": "",
        "errors": error.message,
        "code": "model_not_found",
    }
    assert dict(reply.headers)[b"x-should-retry"] == b"false"
    failed = errors.StartFailed(model="x", reason="y", detail="log", retry_after_s=3.0)
    reply = media.SDAPI.refusal(failed, "r")
    assert json.loads(reply.body)["log"] == "log"
    assert dict(reply.headers)[b"retry-after"] == b"3"
    assert media.SDAPI.stream_failure(error, "r") == b""


def test_a_stream_of_events_ends_with_an_error_of_openais() -> None:
    said = media.TRANSCRIPTIONS.stream_failure(errors.EngineDied(model="x"), "r")
    assert json.loads(said.removeprefix(b"data: "))["error"]["code"] == "engine_died"
    assert media.TRANSCRIPTIONS.waiting_text("loading", "x") == b""
