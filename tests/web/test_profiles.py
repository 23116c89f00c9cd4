"""Profiles of a running gateway: seen, switched, and what that does to calls and to the list of models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.program import Program, engine_cmd, error_of, header
from tests.fakes import Answer, in_loop

CONFIG = f"""
penstock: 1
models:
  a: {{cmd: {engine_cmd()}, parallel: 1, aliases: [fast]}}
  b: {{cmd: {engine_cmd()}, parallel: 1}}
residency: groups
groups: {{all: {{members: [a, b], swap: false}}}}
profiles:
  day: {{description: All on b., pins: {{a: b, gpt: b, fast: ""}}}}
  night: {{pins: {{b: a}}}}
"""
ROUTES = ["/api/v1/profiles", "/api/profiles", "/compat/llama-swap/api/profiles"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("profiles"), CONFIG) as program:
        yield program


async def put(program: Program, body: object, route: str = ROUTES[0], headers: str = "") -> Answer:
    return await program.send(
        program.request(f"{route}/active", body, method="PUT", headers=f"connection: close\r\n{headers}")
    )


async def listed(program: Program) -> list[str]:
    models: Any = (await program.get("/v1/models")).json()
    return [row["id"] for row in models["data"]]


@in_loop
async def test_a_switch_holds_for_the_next_call_and_for_the_list(program: Program) -> None:
    assert (await listed(program)) == ["a", "b"]
    assert (await put(program, {"name": "day"})).json() == {"active": "day"}
    assert (await listed(program)) == ["a", "b", "gpt"]
    for name in ("a", "gpt"):
        answer = await program.chat(name)
        assert (answer.status, header(answer, "x-penstock-model")) == (200, "b")
    record = await program.record(answer)
    assert (record.model_requested, record.model) == ("gpt", "b")
    bodies = [json.loads(request["body"])["model"] for request in (await program.seen("b", requests=2))["requests"]]
    assert bodies == ["b", "b"], "the engine reads what was meant"
    refused = await program.chat("fast")
    assert (refused.status, error_of(refused)["code"]) == (404, "model_not_found")
    assert "`day` has switched it off" in error_of(refused)["message"]
    assert (await program.get("/v1/models/gpt")).json()["id"] == "gpt"
    assert (await program.get("/v1/models/fast")).status == 404
    assert (await put(program, {"name": None})).json() == {"active": None}
    assert header(await program.chat("a"), "x-penstock-model") == "a"
    assert (await program.chat("gpt")).status == 404


@in_loop
@pytest.mark.parametrize("route", ROUTES)
async def test_each_route_shows_and_switches_the_same(program: Program, route: str) -> None:
    assert (await put(program, {"name": "night"}, route)).json() == {"active": "night"}
    for each in ROUTES:
        shown: Any = (await program.get(each)).json()
        name = "name" if each == ROUTES[0] else "id"
        assert shown == {
            "active": "night",
            "profiles": [
                {name: "day", "description": "All on b.", "pins": {"a": "b", "gpt": "b", "fast": ""}},
                {name: "night", "description": "", "pins": {"b": "a"}},
            ],
        }
    await put(program, {"name": None}, route)


@in_loop
@pytest.mark.parametrize("route", ROUTES)
async def test_what_is_no_profile_changes_nothing(program: Program, route: str) -> None:
    await put(program, {"name": "night"}, route)
    unknown = await put(program, {"name": "noon"}, route)
    assert (unknown.status, error_of(unknown)["code"]) == (404, "profile_not_found")
    for body in (b"{", b"[]", b"", b"{}", b'{"name": 1}', b'{"nam": null}', b'"day"'):
        malformed = await put(program, body, route)
        assert (malformed.status, error_of(malformed)["code"]) == (400, "invalid_request")
    assert (await program.get(route)).json()["active"] == "night"
    await put(program, {"name": None}, route)


@in_loop
async def test_commands_are_about_the_models_themselves(program: Program) -> None:
    await put(program, {"name": "day"})
    for name, model in (("a", "a"), ("fast", "a")):
        answer = await program.post("/api/v1/models/load", {"model": name})
        assert (answer.status, answer.json()["model"]) == (202, model)
    assert (await program.post("/api/v1/models/load", {"model": "gpt"})).status == 404
    await put(program, {"name": None})


@in_loop
async def test_another_origin_switches_nothing(program: Program) -> None:
    assert (await put(program, {"name": "day"}, headers="origin: https://evil.example\r\n")).status == 403
    assert (await program.get(ROUTES[0])).json()["active"] is None
