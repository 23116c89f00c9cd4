"""What comes from outside is bounded, and what is no HTTP or comes from elsewhere is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from tests.e2e.program import CHAT, Program, chat_body, engine_cmd, error_of, header
from tests.fakes import Answer, in_loop

CONFIG = f"""
penstock: 1
limits: {{body: 64KiB, head: 8KiB, head_fields: 40}}
models:
  a: {{cmd: {engine_cmd()}, memory: 1MiB, parallel: 4, aliases: [other/name]}}
preload: [a]
"""
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("bounds"), CONFIG) as program:
        yield program


def head(program: Program, *lines: str, version: str = "HTTP/1.1") -> bytes:
    host = f"host: 127.0.0.1:{program.port}"
    return "\r\n".join([f"POST {CHAT} {version}", host, *lines, "", ""]).encode()


async def detail(program: Program, name: str) -> object:
    return (await program.get("/health/detail")).json()[name]


async def requests_seen(program: Program) -> int:
    return len((await program.seen("a"))["requests"])


@in_loop
async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(program: Program) -> None:
    answer = await program.send(head(program, "content-length: 70000", "expect: 100-continue"))
    assert (answer.status, error_of(answer)["code"]) == (413, "request_too_large")
    assert (header(answer, "connection"), header(answer, "x-should-retry")) == ("close", "false")
    record = await program.record(answer)
    assert (record.outcome, record.http_status) == ("rejected_too_large", 413)
    assert record.model is record.model_requested is None
    assert record.request_bytes is None


@in_loop
async def test_a_chunked_body_is_refused_where_it_becomes_too_large(program: Program) -> None:
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    answer = await program.send(head(program, "transfer-encoding: chunked") + 3 * chunk + b"0\r\n\r\n")
    assert (answer.status, error_of(answer)["code"]) == (413, "request_too_large")
    assert (await program.record(answer)).outcome == "rejected_too_large"


@pytest.mark.parametrize(
    "lines", [["x-long: " + "y" * 9000], [f"x-{n}: y" for n in range(50)]], ids=["large", "many fields"]
)
@in_loop
async def test_a_head_beyond_its_bounds_is_a_431(program: Program, lines: list[str]) -> None:
    assert (await program.send(head(program, *lines))).status == 431


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00 not HTTP\r\n\r\n",
        POST.replace(b"/1.1", b"/9.9") + b"\r\n",
        POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        POST + b"content-length: -5\r\n\r\n",
        POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n\r\n",
    ],
    ids=["no HTTP", "version", "length and chunks", "two lengths", "negative length", "bad chunk"],
)
@in_loop
async def test_what_is_no_http_is_counted_and_never_reaches_an_engine(program: Program, sent: bytes) -> None:
    before, seen = await detail(program, "malformed_requests"), await requests_seen(program)
    answer = await program.send(sent)
    assert not answer.raw or answer.status == 400
    after = await detail(program, "malformed_requests")
    assert isinstance(before, int)
    assert after == before + 1
    assert await requests_seen(program) == seen


@in_loop
async def test_an_old_client_gets_a_stream_that_ends_with_its_connection(program: Program) -> None:
    body = json.dumps(chat_body("a", stream=True)).encode()
    answer = await program.send(head(program, f"content-length: {len(body)}", version="HTTP/1.0") + body)
    assert answer.status == 200
    assert header(answer, "transfer-encoding") is None
    assert answer.body.startswith(b"data: ")
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert (await program.record(answer)).outcome == "completed"


@in_loop
async def test_three_requests_in_one_packet_are_answered_in_their_order(program: Program) -> None:
    ask = [program.request(CHAT, chat_body("a", fake={"tokens": tokens})) for tokens in (1, 2, 3)]
    last = program.request(CHAT, chat_body("nobody"), headers="connection: close\r\n")
    text = (await program.send(b"".join([*ask, last]))).raw.decode()
    parts = ["HTTP/1.1" + part for part in text.split("HTTP/1.1")[1:]]
    answers = [Answer(part.encode()) for part in parts]
    assert [answer.status for answer in answers] == [200, 200, 200, 404]
    assert [f'"completion_tokens": {n}' in part for n, part in enumerate(parts[:3], start=1)] == [True] * 3
    assert len({(await program.record(answer)).id for answer in answers}) == 4


@in_loop
async def test_a_client_that_asks_whether_to_go_on_is_told_so(program: Program) -> None:
    body = json.dumps(chat_body("a")).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", program.port)
    writer.write(head(program, f"content-length: {len(body)}", "expect: 100-continue", "connection: close"))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert (await reader.read(-1)).startswith(b"HTTP/1.1 200")
    writer.close()


@in_loop
async def test_a_name_that_was_made_to_point_here_is_refused(program: Program) -> None:
    sent = program.request(CHAT, chat_body("a"), headers="connection: close\r\n")
    for name in (b"evil.example", b".".join([b"a" * 60] * 4) + b".example"):
        answer = await program.send(sent.replace(b"host: 127.0.0.1", b"host: " + name))
        assert (answer.status, error_of(answer)["code"]) == (403, "foreign_host")
        assert (await program.record(answer)).outcome == "rejected_forbidden"
    state = program.request("/api/v1/state", method="GET", headers="connection: close\r\n")
    assert (await program.send(state.replace(b"host: 127.0.0.1", b"host: evil.example"))).status == 403


@pytest.mark.parametrize("path", [CHAT, "/api/v1/models/unload"])
@in_loop
async def test_a_page_from_elsewhere_may_not_post(program: Program, path: str) -> None:
    answer = await program.post(path, chat_body("a"), headers="origin: https://evil.example\r\n")
    assert (answer.status, error_of(answer)["code"]) == (403, "foreign_origin")
    own = await program.chat("a", headers=f"origin: {program.url}\r\n")
    assert own.status == 200


@pytest.mark.parametrize(
    ("body", "status", "code", "outcome"),
    [
        (b"{nope", 400, "invalid_json", "rejected_invalid"),
        (b'{"messages":[]}', 400, "missing_model", "rejected_invalid"),
        (b'{"model":"a","model":"nobody","messages":[]}', 400, "ambiguous_body", "rejected_invalid"),
        (b'{"model":"nobody","messages":[]}', 404, "model_not_found", "rejected_unknown_model"),
    ],
)
@in_loop
async def test_a_request_that_cannot_be_read_leaves_a_record(
    program: Program, body: bytes, status: int, code: str, outcome: str
) -> None:
    answer = await program.post(CHAT, body, headers="x-request-id: mine\r\nauthorization: Bearer sk-1\r\n")
    assert (answer.status, error_of(answer)["code"]) == (status, code)
    assert header(answer, "x-request-id") == "mine"
    record = await program.record(answer)
    assert (record.outcome, record.http_status, record.error_code) == (outcome, status, code)
    assert (record.client_request_id, record.request_bytes) == ("mine", len(body))
    assert record.key_fingerprint is not None
    assert record.admitted_s is record.sent_s is record.first_byte_s is None
    assert record.completion_tokens is record.response_bytes is None
    assert b"sk-1" not in (program.state_dir / "penstock.db").read_bytes()


@in_loop
async def test_another_method_is_refused_and_other_spellings_of_the_path_are_not(program: Program) -> None:
    wrong = await program.get(CHAT)
    assert (wrong.status, error_of(wrong)["code"]) == (405, "method_not_allowed")
    for path in ("/chat/completions", f"{CHAT}/", f"{CHAT}?a=1&a=2%2F"):
        assert (await program.post(path, chat_body("other/name"))).status == 200
    targets = [request["target"] for request in (await program.seen("a"))["requests"][-3:]]
    assert targets == [CHAT, CHAT, f"{CHAT}?a=1&a=2%2F"]


@in_loop
async def test_a_key_shown_to_the_gateway_never_reaches_an_engine(program: Program) -> None:
    await program.chat("a", headers="authorization: Bearer sk-secret\r\nx-api-key: sk-secret\r\ncookie: c=1\r\n")
    names = {name.lower() for name, _ in (await program.seen("a"))["requests"][-1]["headers"]}
    assert not names & {"authorization", "x-api-key", "cookie"}
