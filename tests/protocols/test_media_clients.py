"""What real clients send for sound and pictures is read; and nothing that anybody sends makes the reader stumble."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import httpx2 as httpx  # what OpenAI's client is built on
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai import OpenAI

from penstock.core.calls.message import CallFacts, Edits, Head
from penstock.errors import BadRequest
from penstock.protocols.endpoints import BY_PATH, TABLE
from penstock.protocols.media import MediaDialect

SOUND = bytes(range(256)) * 40 + b"\r\n--\r\n"


def file(name: str = 'été "1".wav') -> tuple[str, io.BytesIO]:
    return name, io.BytesIO(SOUND)


def sent_by(call: Callable[[OpenAI], object]) -> tuple[Head, bytes]:
    """The request that OpenAI's client makes of a call."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=b"{}", headers={"content-type": "application/json"})

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        call(OpenAI(api_key="k", base_url="http://h/v1", http_client=client))
    (request,) = seen
    headers = [(name.lower(), value) for name, value in request.headers.raw]
    method, target = request.method.encode(), request.url.raw_path
    return Head(method, target, headers, "1.1", None, dict(headers)), request.content


@pytest.mark.parametrize(
    ("call", "is_stream"),
    [
        (lambda client: client.audio.transcriptions.create(model="m", file=file()), False),
        (lambda client: client.audio.transcriptions.create(model="m", file=file(), stream=True), True),
        (
            lambda client: client.audio.transcriptions.create(
                model="m", file=file(), response_format="verbose_json", timestamp_granularities=["word", "segment"]
            ),
            False,
        ),
        (lambda client: client.audio.translations.create(model="m", file=file(), prompt='say "model"'), False),
        (lambda client: client.images.edit(model="m", image=[file(), file("b.png")], prompt="p"), False),
        (lambda client: client.images.create_variation(model="m", image=file()), False),
        (lambda client: client.images.generate(model="m", prompt="p", stream=True), True),
        (lambda client: client.images.generate(model="m", prompt="p"), False),
        (lambda client: client.audio.speech.create(model="m", voice="v", input="x"), False),
        (lambda client: client.audio.speech.create(model="m", voice="v", input="x", stream_format="sse"), True),
    ],
)
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # two of these calls are, in the client
def test_openais_client_is_understood_and_only_the_name_changes(
    call: Callable[[OpenAI], object], *, is_stream: bool
) -> None:
    head, body = sent_by(call)
    speaks = BY_PATH[head.path].dialect
    assert isinstance(speaks, MediaDialect)
    facts = speaks.read(head, memoryview(body))
    assert (facts.model, facts.is_stream) == ("m", is_stream)
    assert b"".join(facts.body) == body
    speaks.edit(head, facts, Edits(model="other"))
    renamed = b"".join(facts.body)
    if body.startswith(b"{"):
        assert json.loads(renamed) == {**json.loads(body), "model": "other"}
    else:
        assert renamed == body.replace(b'name="model"\r\n\r\nm\r\n', b'name="model"\r\n\r\nother\r\n')
        assert renamed != body


@pytest.mark.parametrize(
    "head",
    [
        'form-data; name="model"',  # browsers, curl, Go
        "form-data; name=model",  # .NET
        'form-data; name="model"\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 1',
        'form-data; name="model"\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8bit',  # Java
    ],
)
@pytest.mark.parametrize(
    "boundary",
    ["----WebKitFormBoundaryAbC123", "------------------------d74496d66958873e", "4f1e6c0a-9d2b-4c55", "'()+_,-./:=?x"],
)
def test_fields_are_read_as_other_clients_write_them(head: str, boundary: str) -> None:
    name = 'filename="C:\\a\\b \\"x\\".wav"; filename*=utf-8\'\'a%20b.wav'
    sound = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; {name}\r\n\r\nx\r\n'
    body = f"{sound}--{boundary}\r\nContent-Disposition: {head}\r\n\r\nm\r\n--{boundary}--\r\n".encode()
    for content_type in (f'multipart/form-data; boundary="{boundary}"', ""):
        fields = {b"content-type": content_type.encode()} if content_type else {}
        asked = Head(b"POST", b"/v1/audio/transcriptions", [], "1.1", None, fields)
        assert BY_PATH[asked.path].dialect.read(asked, body).model == "m"


PIECES = st.sampled_from(
    [
        *(b"{", b"}", b'"model"', b":", b'"a"', b",", b"model=a", b"&", b"stream=true", b"--b", b"\r\n", b"--", b"["),
        *(b'Content-Disposition: form-data; name="model"', b"\r\n\r\n", b"\0", b"\xff", b"%", b" ", b"null", b"1e9"),
    ]
)
BODIES = st.lists(PIECES, max_size=14).map(b"".join) | st.binary(max_size=64)
KINDS = st.sampled_from(
    [
        *(b"", b"application/json", b"text/plain", b"multipart/form-data", b"multipart/form-data; boundary=b"),
        *(b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=", b";", b"\xff", b"multipart/mixed"),
    ]
)


@example(b"POST", b"", b"", b"")
@given(
    st.sampled_from([b"POST", b"GET"]),
    st.sampled_from([b"", b"?model=a", b"?model=%ff", b"?model=a&model=b"]),
    KINDS,
    BODIES,
)
def test_whatever_is_sent_is_understood_or_refused(method: bytes, query: bytes, kind: bytes, body: bytes) -> None:
    for endpoint in TABLE:
        speaks = endpoint.dialect
        asked = Head(method, endpoint.path + query, [], "1.1", None, {b"content-type": kind})
        try:
            facts = speaks.read(asked, memoryview(body))
        except BadRequest:
            continue
        assert 0 < len(facts.model) <= 512
        assert _again(asked, facts, endpoint.path, "other") == "other"


def _again(asked: Head, facts: CallFacts, path: bytes, model: str) -> str:
    """The model of the request that goes on, once it was renamed."""
    speaks = BY_PATH[path].dialect
    speaks.edit(asked, facts, Edits(model=model))
    sent = Head(asked.method, path + facts.query, [], "1.1", None, asked.fields)
    return speaks.read(sent, b"".join(facts.body)).model
