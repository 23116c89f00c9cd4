"""Keys in front of models: who is let in, what is charged, and that no key ever goes further."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.config.access import hashed
from tests.e2e.program import Program, engine_cmd, error_of, header, until
from tests.fakes import Answer, get, in_loop

CONFIG = f"""
penstock: 1
models:
  a: {{cmd: {engine_cmd()}, parallel: 2, aliases: [gpt-4o]}}
  b: {{cmd: {engine_cmd()}}}
preload: [a]
keys:
  boss: {{hash: "{hashed("sk-boss")}", role: admin, priority: high}}
  app: {{hash: "{hashed("sk-app")}", models: ["gpt-*"]}}
  few: {{hash: "{hashed("sk-few")}", quotas: ["3 requests per 1w", "100k tokens per 1w"]}}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("keys"), CONFIG) as program:
        yield program


async def chat(program: Program, *headers: str, model: str = "a", **members: object) -> Answer:
    return await program.chat(model, headers="".join(f"{line}\r\n" for line in headers), **members)


async def looked(program: Program, path: str) -> Any:
    line = "connection: close\r\nauthorization: Bearer sk-boss\r\n"
    return json.loads((await program.send(program.request(path, method="GET", headers=line))).content)


async def seen(program: Program) -> Any:
    """The requests that the engine of `a` has had."""
    line = "connection: close\r\nauthorization: Bearer sk-boss\r\n"
    log = await program.send(program.request("/api/v1/models/log?model=a", method="GET", headers=line))
    port = int(log.content.decode().rpartition("listening ")[2].partition("\n")[0])
    told: Any = (await get(port, "/__seen?requests=1")).json()
    return told["requests"]


def test_who_wants_keys_says_so_in_its_greeting(program: Program) -> None:
    assert f"curl -H 'Authorization: Bearer KEY' {program.url}/v1/chat/completions" in program.greeting


@in_loop
async def test_no_key_and_a_wrong_one_are_refused_recorded_and_challenged(program: Program) -> None:
    for headers, code in (([], "missing_api_key"), (["x-api-key: sk-eve"], "invalid_api_key")):
        answer = await chat(program, *headers)
        assert (answer.status, error_of(answer)["code"]) == (401, code)
        assert header(answer, "www-authenticate") == 'Bearer realm="penstock"'
        assert b"sk-eve" not in answer.content
        record = await program.record(answer)
        assert (record.outcome, record.key, record.error_code) == ("rejected_auth", None, code)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"authorization: Bearer \0sk-boss\r\n", 400),
        (b"authorization: Bearer sk-\xff\xfe\xf0\r\n", 401),
        (b"x-api-key: " + b"k" * 2**20 + b"\r\n", 431),
        (b"authorization: Basic " + b"A" * 5000 + b"\r\n", 401),
        (b"authorization: Bearer sk-boss\r\nauthorization: Bearer sk-app\r\n", 401),
        (b"authorization: Bearer sk-boss\r\nx-api-key: sk-app\r\n", 401),
        (b"authorization: Bearer sk-boss, Bearer sk-app\r\n", 401),
        (b"authorization: Bearer\r\n sk-boss\r\n", 400),
        (b"authorization: Bearer sk-boss\r\nx-api-key: sk-boss\r\n", 200),
    ],
)
def test_a_hostile_header_lets_nobody_in_and_troubles_nobody_else(program: Program, lines: bytes, status: int) -> None:
    @in_loop
    async def refused() -> None:
        head, _, _ = program.request("/v1/models", method="GET", headers="connection: close\r\n").rpartition(b"\r\n")
        assert (await program.send(head + lines + b"\r\n")).status == status
        assert len((await looked(program, "/v1/models"))["data"]) == 2

    refused()


@in_loop
async def test_a_key_is_charged_by_its_name_and_reaches_no_engine(program: Program) -> None:
    for line in ("Authorization: Bearer sk-app", "x-api-key: sk-app", "api-key: sk-app"):
        answer = await chat(program, line, "cookie: penstock_1=token", model="gpt-4o")
        assert answer.status == 200, answer.content
        assert (await program.record(answer)).key == "app"
    headers = [name.lower() for request in await seen(program) for name, _ in request["headers"]]
    assert not {"authorization", "x-api-key", "api-key", "cookie"} & {*headers}
    assert "sk-app" not in program.log


@in_loop
async def test_a_key_uses_its_models_only_and_sees_no_others(program: Program) -> None:
    refused = await chat(program, "api-key: sk-app", model="b")
    assert (refused.status, error_of(refused)["code"]) == (403, "model_forbidden")
    assert (await program.record(refused)).outcome == "rejected_forbidden"
    listing = program.request("/v1/models", method="GET", headers="connection: close\r\napi-key: sk-app\r\n")
    assert [row["id"] for row in json.loads((await program.send(listing)).content)["data"]] == ["a"]


@in_loop
async def test_nobody_jumps_above_the_ceiling_of_their_key(program: Program) -> None:
    for secret, granted in (("sk-app", "normal"), ("sk-boss", "high")):
        answer = await chat(program, f"api-key: {secret}", "x-request-priority: high", model="gpt-4o")
        assert (await program.record(answer)).priority == granted


@in_loop
async def test_a_quota_is_used_up_refuses_and_outlives_kill_9(tmp_path: Path) -> None:
    with Program(tmp_path, CONFIG) as program:
        answers = await asyncio.gather(*(chat(program, "api-key: sk-few") for _ in range(8)))
        statuses = sorted(answer.status for answer in answers)
        assert statuses == [200] * 3 + [429] * 5
        refused = next(answer for answer in answers if answer.status == 429)
        assert error_of(refused)["code"] == "quota_exceeded"
        assert "3 requests per 1w" in error_of(refused)["message"]
        assert header(refused, "retry-after") is not None
        assert header(refused, "x-should-retry") == "false"
        assert (await program.record(refused)).outcome == "rejected_quota"
        used = await self_used(program)
        assert used[0] == 3
        assert used[1] > 0
        program.kill()
    with Program(tmp_path, CONFIG) as program:
        assert await self_used(program) == used
        assert (await chat(program, "api-key: sk-few")).status == 429


@in_loop
async def test_what_is_refused_for_another_reason_consumes_no_quota(tmp_path: Path) -> None:
    with Program(tmp_path, CONFIG) as program:
        wrong = [
            await chat(program, "api-key: sk-few", model="nobody"),
            await program.post("/v1/chat/completions", [], headers="api-key: sk-few\r\n"),
        ]
        assert [answer.status for answer in wrong] == [404, 400]
        assert await self_used(program) == [0, 0]


@in_loop
async def test_a_flood_of_wrong_keys_is_answered_and_leaves_few_records(tmp_path: Path) -> None:
    with Program(tmp_path, CONFIG) as program:
        answers = await asyncio.gather(*(chat(program, f"api-key: sk-{n}") for n in range(60)))
        assert {answer.status for answer in answers} == {401}

        async def all_are_counted() -> bool:
            return sum(record.count or 1 for record in program.records().values()) == 60

        await until(all_are_counted)
        assert len(program.records()) < 60


async def self_used(program: Program) -> list[int]:
    """What the key `few` has used, once its calls have ended."""
    await program.until_no_record_is_open()
    (key,) = [key for key in await looked(program, "/api/v1/keys") if key["name"] == "few"]
    assert "sk-few" not in json.dumps(key)
    return [quota["used"] for quota in key["quotas"]]


@in_loop
async def test_what_an_engine_printed_is_shown_to_those_who_may_look_at_its_log(tmp_path: Path) -> None:
    config = f"""
penstock: 1
models: {{a: {{cmd: "sh -c 'echo a private word; exit 1' ${{PORT}}"}}}}
keys:
  boss: {{hash: "{hashed("sk-boss")}", role: viewer}}
  few: {{hash: "{hashed("sk-few")}"}}
"""
    with Program(tmp_path, config) as program:
        for key, is_shown in (("boss", True), ("few", False)):
            answer = await chat(program, f"authorization: Bearer sk-{key}")
            assert (answer.status, error_of(answer)["code"]) == (503, "engine_start_failed")
            assert ("a private word" in error_of(answer).get("detail", "")) is is_shown
