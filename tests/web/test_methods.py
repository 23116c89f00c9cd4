"""What the gateway's paths answer to HEAD and OPTIONS, and to methods that they do not know."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from penstock.errors import MethodNotAllowed
from penstock.protocols.refusals import anthropic_refusal, llamacpp_refusal, openai_refusal
from penstock.web.door import Message, Receive, Send
from penstock.web.heads import AnswersHead
from tests.e2e.program import Program, engine_cmd, until
from tests.fakes import in_loop

CONFIG = f"penstock: 1\nmodels: {{m: {{cmd: {engine_cmd()}}}}}\n"
OF_THE_MOMENT = {"date", "content-length", "x-request-id", "x-penstock-id", "x-penstock-queue-ms", "x-penstock-load-ms"}
"""Headers that differ from one answer to the next."""
GETS = [
    "/", "/ui", "/page/main.js", "/page/nothing.js", "/health", "/health/detail", "/metrics", "/v1/models", "/models/",
    "/v1/models/m", "/v1/models/nobody", "/api/v1/version", "/api/v1/state", "/api/v1/models", "/api/v1/calls",
    "/api/v1/queue?limit=3", "/api/v1/queue?limit=0", "/api/v1/models/log?model=m", "/api/v1/keys", "/api/v1/profiles",
    "/api/v1/session", "/api/v1/captures", "/api/v1/captures/one?id=nothing", "/api/openapi.json", "/__queue/status",
    "/compat/llama-swap/api/profiles", "/usage/now", "/usage/models?last=1h", "/usage/nothing", "/nothing",
    "/props?model=m", "/v1/audio/voices?model=m", "/v1/audio/voices?model=nobody", "/upstream/m/props",
]  # fmt: skip


@dataclass(frozen=True)
class Heard:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def lasting(self) -> dict[str, str]:
        return {name: value for name, value in self.headers.items() if name not in OF_THE_MOMENT}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("methods"), CONFIG) as program:
        asyncio.run(until(lambda: _has_a_store(program)))
        yield program


async def _has_a_store(program: Program) -> bool:
    """Before, what is asked of it may be refused in one moment and answered in the next."""
    return (await program.get("/usage/now")).status == 200


def ask(program: Program, method: str, path: str, **headers: str) -> Heard:
    connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=20)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return Heard(answer.status, named, answer.read())
    finally:
        connection.close()


@pytest.mark.parametrize("path", GETS)
def test_head_is_answered_as_get_is_without_a_body(path: str, program: Program) -> None:
    asked, got = ask(program, "HEAD", path), ask(program, "GET", path)
    assert (asked.status, asked.lasting, asked.body) == (got.status, got.lasting, b"")
    assert abs(int(asked.headers["content-length"]) - len(got.body)) < 64  # the state of another moment is as long


def test_the_head_of_a_stream_without_end_ends(program: Program) -> None:
    asked = ask(program, "HEAD", "/api/v1/live")
    assert (asked.status, asked.headers["content-type"].split(";")[0]) == (200, "text/event-stream")


@in_loop
async def test_a_get_that_changes_something_has_no_head() -> None:
    seen: list[str] = []

    async def inside(scope: Message, receive: Receive, send: Send) -> None:
        seen.append(scope["method"])

    for path in ("/unload", "/health"):
        await AnswersHead(inside)({"type": "http", "method": "HEAD", "path": path}, None, None)  # type: ignore[arg-type]
    assert seen == ["HEAD", "GET"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/", "GET, HEAD, OPTIONS"),
        ("/page/main.js", "GET, HEAD"),
        ("/api/v1/session", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("/api/v1/models/load", "POST, OPTIONS"),
        ("/v1/chat/completions", "POST, OPTIONS"),
        ("/chat/completions/", "POST, OPTIONS"),
        ("/props", "GET, HEAD, POST, OPTIONS"),
    ],
)
def test_a_browser_that_asks_what_a_foreign_page_may_do_is_told_the_methods_and_no_consent(
    path: str, allowed: str, program: Program
) -> None:
    said = ask(program, "OPTIONS", path, Origin="https://a.example", Access_Control_Request_Method="POST")
    assert (said.status, said.headers["allow"], said.body) == (204, allowed, b"")
    assert not [name for name in said.headers if name.startswith("access-control")]


def test_anybody_who_asks_what_a_path_allows_is_told(program: Program) -> None:
    for path in ("/v1/chat/completions", "/props"):
        said = ask(program, "OPTIONS", path)
        assert (said.status, said.body) == (204, b"")
        assert said.headers["allow"].endswith("POST, OPTIONS")


def test_what_is_no_path_has_no_methods(program: Program) -> None:
    assert ask(program, "OPTIONS", "/nothing").status == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/v1/state", "GET, HEAD, OPTIONS"),
        ("PUT", "/api/v1/session", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("GET", "/v1/chat/completions", "POST"),
        ("DELETE", "/v1/messages", "POST"),
        ("PUT", "/props", "GET, HEAD, POST"),
    ],
)
def test_a_method_that_a_path_does_not_know_is_refused_with_those_it_knows(
    method: str, path: str, allowed: str, program: Program
) -> None:
    said = ask(program, method, path)
    assert (said.status, said.headers["allow"]) == (405, allowed)
    assert json.loads(said.body)["error"]["message"] == f"{path} accepts {allowed}, not {method}."


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/v1/chat/completion", "Did you mean /v1/chat/completions?"),
        ("/v1/v1/messages", "Did you mean /v1/messages?"),
        ("/v1/model", "Did you mean /v1/models?"),
        ("/api/v1/states", "Did you mean /api/v1/state?"),
        ("/api/generate", "Calls go to /v1/chat/completions"),
        ("/" + "x" * 8000, "Calls go to /v1/chat/completions"),
    ],
)
def test_a_path_that_is_not_there_is_told_with_the_one_that_may_have_been_meant(
    path: str, meant: str, program: Program
) -> None:
    said = ask(program, "GET", path)
    error = json.loads(said.body)["error"]
    assert (said.status, error["code"], error["type"]) == (404, "not_found", "not_found_error")
    assert error["message"].startswith(f"There is no path {path} here. ")
    assert meant in error["message"]


def test_every_dialect_says_which_methods_are_allowed() -> None:
    error = MethodNotAllowed(path="/x", allowed="GET, HEAD", method="PUT")
    for refusal in (openai_refusal, anthropic_refusal, llamacpp_refusal):
        assert (b"allow", b"GET, HEAD") in refusal(error, "").headers
