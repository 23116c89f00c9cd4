"""The routes of captures: listed in pages, one by one in JSON, as curl, in llama-swap's shape, and cleared."""

from __future__ import annotations

import base64
import json
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI

from penstock.errors import NoSuchCapture
from penstock.runtime.captures.captures import Captures
from penstock.web.captures import add_capture_routes
from tests.fakes import in_loop
from tests.runtime.captures.capturing import CONFIGURED, call, capturing, head

SECRET = "shown-by-the-client-1"
STREAM = [(b"content-type", b"text/event-stream"), (b"x-twice", b"first"), (b"x-twice", b"second")]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


async def asked(captures: Captures, target: str, method: str = "GET") -> Answer:
    """One request to the routes alone, as a server would give it to them."""
    app = FastAPI()
    add_capture_routes(app, captures)
    path, _, query = target.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": query.encode(),
        "headers": [(b"host", b"gate:8080")], "client": ("127.0.0.1", 1), "server": ("gate", 8080),
    }  # fmt: skip
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


def chat(captures: Captures, call_id: str, *, is_ended: bool = True) -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": f"My key is {SECRET}."}]}
    said = [f"It is {CONFIGURED[:9]}", f"{CONFIGURED[9:]}!"]  # in two pieces, as engines stream
    events = [
        b'data: {"choices":[{"index":0,"delta":{"content":%b}}]}\n\n' % json.dumps(each).encode() for each in said
    ]
    call(
        captures,
        call_id,
        asked=json.dumps(request).encode(),
        answered=(*events, b"data: [DONE]\n\n"),
        request_head=head([(b"content-type", b"application/json"), (b"Authorization", f"Bearer {SECRET}".encode())]),
        response_headers=STREAM,
        is_ended=is_ended,
    )


@in_loop
async def test_a_call_is_shown_with_its_bytes_and_put_together_and_without_secrets() -> None:
    with capturing() as captures:
        chat(captures, "c")
        answer = await asked(captures, "/api/v1/captures/one?id=c")
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        assert SECRET not in answer.text
        assert CONFIGURED not in answer.text
        shown = answer.json()
        assert shown["call"]["id"] == "c"
        assert ["Authorization", "Bearer [redacted]"] in shown["request"]["headers"]
        assert shown["response"]["body"]["text"].endswith("data: [DONE]\n\n")
        conversation = shown["conversation"]
        assert conversation["asked"][0]["pieces"][0]["text"] == "My key is [redacted]."
        assert conversation["answered"][0]["pieces"][0]["text"] == "It is [redacted]!"
        saved = await asked(captures, "/api/v1/captures/one?id=c&download=true")
        assert saved.headers["content-disposition"] == 'attachment; filename="capture-c.json"'


@in_loop
async def test_the_list_is_paged_newest_first_and_cleared() -> None:
    with capturing() as captures:
        for number in range(5):
            call(captures, str(number))
        first = (await asked(captures, "/api/v1/captures?limit=3")).json()
        second = (await asked(captures, f"/api/v1/captures?limit=3&before={first['next']}")).json()
        assert [each["id"] for each in first["captures"] + second["captures"]] == list("43210")
        assert second["next"] is None
        assert (await asked(captures, "/api/v1/captures", "DELETE")).status == 200
        assert (await asked(captures, "/api/v1/captures")).json() == {"captures": [], "next": None}


@in_loop
async def test_a_call_that_runs_is_shown_as_far_as_it_has_come() -> None:
    with capturing() as captures:
        chat(captures, "r", is_ended=False)
        shown = (await asked(captures, "/api/v1/captures/one?id=r")).json()
        assert (shown["call"]["outcome"], shown["response"]["status"]) == (None, 200)
        assert (await asked(captures, "/api/v1/captures")).json()["captures"] == []


@in_loop
async def test_it_is_exported_as_a_command_for_this_gateway_with_a_placeholder_for_the_key() -> None:
    with capturing() as captures:
        chat(captures, "c")
        answer = await asked(captures, "/api/v1/captures/curl?id=c")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert "'http://gate:8080/v1/chat/completions'" in answer.text
        assert "'Authorization: Bearer '\"$PENSTOCK_KEY\"''" in answer.text
        assert SECRET not in answer.text


@in_loop
async def test_llama_swaps_shape_has_bodies_in_base64_and_the_first_of_each_header() -> None:
    with capturing() as captures:
        chat(captures, "c")
        for prefix in ("", "/compat/llama-swap"):
            shown = (await asked(captures, f"{prefix}/api/captures/c")).json()
            assert shown["req_path"] == "/v1/chat/completions"
            assert json.loads(base64.b64decode(shown["req_body"]))["model"] == "m"
            assert base64.b64decode(shown["resp_body"]).startswith(b"data: ")
            assert shown["resp_headers"].items() >= {"content-type": "text/event-stream", "x-twice": "first"}.items()
            assert shown["req_headers"]["Authorization"] == "Bearer [redacted]"


@in_loop
async def test_bytes_that_are_no_text_come_in_base64() -> None:
    with capturing() as captures:
        call(captures, "c", asked=b"\xff\xfe\x00")
        body = (await asked(captures, "/api/v1/captures/one?id=c")).json()["request"]["body"]
        assert (body["text"], base64.b64decode(body["base64"])) == (None, b"\xff\xfe\x00")


@in_loop
async def test_what_is_not_kept_is_not_found() -> None:
    with capturing() as captures:
        for path in ("/api/v1/captures/one?id=x", "/api/v1/captures/curl?id=x", "/api/captures/x"):
            with pytest.raises(NoSuchCapture):
                await asked(captures, path)
