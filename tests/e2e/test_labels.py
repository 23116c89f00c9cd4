"""Labels of calls: workloads, sessions and retries, as real clients send them, in the records and in what is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.e2e.program import Program, chat_body, engine_cmd, until
from tests.fakes import in_loop

FAILS_AT_FIRST = json.dumps([{}, {"status": 503}, {}])
"""The first behaviour is for the gateway's own question, which it asks when the engine is ready."""

FAILS = json.dumps([{"status": 500}])


def config(**scripts: str) -> str:
    models = "".join(f"  {name}: {{cmd: {engine_cmd('--script', script)}}}\n" for name, script in scripts.items())
    return f"penstock: 1\nbreaker: off\nmodels:\n{models}"


def client_of(program: Program, **headers: str) -> OpenAI:
    return OpenAI(base_url=f"{program.url}/v1", api_key="k", max_retries=2, default_headers=headers)


def ask(client: OpenAI, model: str, **members: Any) -> None:
    client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}], **members)


async def rows(program: Program, query: str, count: int) -> list[dict[str, Any]]:
    """Requests as they are told, the oldest first, once there are so many."""
    found: list[dict[str, Any]] = []

    async def are_there() -> bool:
        nonlocal found
        answer = await program.get(f"/usage/requests?{query}")
        found = answer.json()["requests"][::-1] if answer.status == 200 else []  # type: ignore[index]
        return len(found) == count and all(row["outcome"] for row in found)

    await until(are_there)
    return found


@in_loop
async def test_the_retries_of_openais_client_lead_to_their_first_try_and_are_no_demand(tmp_path: Path) -> None:
    with Program(tmp_path, config(shaky=FAILS_AT_FIRST, broken=FAILS)) as program:
        client = client_of(program, **{"x-session-id": "s1", "x-penstock-workload": "nightly"})
        await asyncio.to_thread(ask, client, "shaky")
        with pytest.raises(openai.InternalServerError):
            await asyncio.to_thread(ask, client, "broken")
        first, second = await rows(program, "model=shaky", 2)
        told = [(row["retry_count"], row["retry_of"], row["outcome"]) for row in (first, second)]
        assert told == [(0, None, "upstream_error"), (1, first["id"], "completed")]
        in_vain = await rows(program, "model=broken", 3)
        assert [row["retry_count"] for row in in_vain] == [0, 1, 2]
        assert [row["retry_of"] for row in in_vain] == [None, in_vain[0]["id"], in_vain[0]["id"]]
        assert {(row["workload"], row["session"]) for row in (first, second, *in_vain)} == {("nightly", "s1")}
        answer: Any = (await program.get("/usage/workloads")).json()
        (of_all,) = answer["workloads"]
        assert (of_all["workload"], of_all["requests"]) == ("nightly", 5)
        assert (of_all["demand"], of_all["retries"], of_all["completed"]) == (2, 3, 1)


@in_loop
async def test_a_workload_is_taken_from_wherever_it_stands_and_never_reaches_the_engine(tmp_path: Path) -> None:
    members = {"extra_body": {"metadata": {"workload": "in-body", "kept": "1"}}}
    with Program(tmp_path, config(a="[{}]")) as program:
        for headers, more in (
            ({"x-penstock-workload": "ours"}, members),
            ({"x-overlaat-workload": "theirs"}, {}),
            ({"x-overlaat-workload": "theirs", "x-penstock-workload": "both"}, {}),
            ({}, members),
            ({}, {}),
        ):
            await asyncio.to_thread(ask, client_of(program, **headers), "a", **more)
        found = await rows(program, "model=a", 5)
        assert [row["workload"] for row in found] == ["ours", "theirs", "both", "in-body", None]
        assert [row["workload"] for row in await rows(program, "workload=in-body", 1)] == ["in-body"]
        seen = (await program.seen("a", requests=6))["requests"]
        asked = [request for request in seen if request["method"] == "POST"]
        assert not any("workload" in request["body"] or "workload" in str(request["headers"]) for request in asked)
        assert json.loads(asked[0]["body"])["metadata"] == {"kept": "1"}


@in_loop
async def test_a_retry_whose_first_try_nobody_saw_stands_alone(tmp_path: Path) -> None:
    with Program(tmp_path, config(a="[{}]")) as program:
        await program.chat("a", headers="x-stainless-retry-count: 1\r\n")
        await program.chat("a", headers="x-stainless-retry-count: many\r\n")
        await program.send(program.request("/v1/chat/completions", chat_body("a"), headers="connection: close\r\n"))
        found = await rows(program, "model=a", 3)
        assert [(row["retry_count"], row["retry_of"]) for row in found] == [(1, None), (None, None), (None, None)]
