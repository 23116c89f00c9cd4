"""What names lead to, seen from outside: peers, selectors and pins of a llama-swap file, and our own failover."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import Program, engine_cmd, error_of, header
from tests.fakes import Behaviour, FakeEngine, in_loop


def model_of(engine: FakeEngine, index: int = -1) -> str:
    """The model that the engine was asked for."""
    return str(json.loads(engine.seen.requests[index].body)["model"])


def llama_swap_file(hub: FakeEngine, lab: FakeEngine) -> str:
    return f"""
includeAliasesInList: true
models:
  a:
    cmd: {engine_cmd()}
    aliases: [fast]
    concurrencyLimit: 1
    capabilities: {{in: [text], out: [text], tools: true}}
  org/b: {{cmd: {engine_cmd()}, useModelName: inner, unlisted: true, concurrencyLimit: 1}}
groups: {{all: {{members: [a, org/b], swap: false}}}}
peers:
  hub: {{proxy: "{hub.address}/base", models: [big, a, x/y], apiKey: sk-hub}}
  lab: {{proxy: "{lab.address}", models: [big, small]}}
selectors:
  any: {{strategy: spillover, targets: [a, org/b], name: Any}}
  first: {{strategy: pin, targets: [small, a]}}
  ready: {{strategy: warm, targets: [a, org/b]}}
profiles:
  away: {{pins: {{a: hub/x/y, fast: first, org/b: "", new: any}}}}
"""


@in_loop
async def test_peers_get_their_own_names_and_keys_and_never_the_callers(tmp_path: Path) -> None:
    async with FakeEngine() as hub, FakeEngine() as lab:
        with Program(tmp_path, llama_swap_file(hub, lab)) as program:
            key = "authorization: Bearer sk-mine\r\nx-api-key: sk-mine\r\napi-key: sk-mine\r\n"
            for name, told in (("hub/big", "big"), ("hub/x/y", "x/y"), ("x/y", "x/y")):
                answer = await program.chat(name, headers=key)
                assert (answer.status, header(answer, "x-penstock-model")) == (200, f"hub/{told}")
                assert model_of(hub) == told
            sent = hub.seen.requests[-1]
            assert (sent.header("authorization"), sent.header("x-api-key")) == ("Bearer sk-hub", "sk-hub")
            assert (sent.header("api-key"), sent.header("host")) == (None, f"127.0.0.1:{hub.port}")
            assert sent.target == "/base/v1/chat/completions"
            await program.chat("small", headers=key)
            sent = lab.seen.requests[-1]
            assert [sent.header(name) for name in ("authorization", "x-api-key", "api-key")] == [None] * 3
            assert header(await program.chat("a"), "x-penstock-model") == "a", "our own model comes first"
            ambiguous = await program.chat("big")
            assert (ambiguous.status, error_of(ambiguous)["code"]) == (404, "model_not_found")
            record = await program.record(answer)
            assert (record.model_requested, record.model) == ("x/y", "hub/x/y")
            lab.die()
            assert (await program.chat("small")).status == 502


@in_loop
async def test_models_are_listed_as_llama_swap_lists_them(tmp_path: Path) -> None:
    async with FakeEngine() as hub, FakeEngine() as lab:
        with Program(tmp_path, llama_swap_file(hub, lab)) as program:
            listed: Any = (await program.get("/v1/models")).json()
            rows = {row["id"]: row for row in listed["data"]}
            assert list(rows) == [
                "a",
                "any",
                "fast",
                "first",
                "hub/a",
                "hub/big",
                "hub/x/y",
                "lab/big",
                "lab/small",
                "ready",
            ]
            assert {row["meta"]["llamaswap"]["type"] for row in rows.values()} == {"model", "alias", "selector", "peer"}
            assert rows["a"]["supported_parameters"] == ["tools", "tool_choice"]
            assert rows["a"]["status"]["value"] == "unloaded"
            assert (rows["hub/x/y"]["name"], rows["hub/x/y"]["meta"]["llamaswap"]["modelID"]) == ("hub: x/y", "x/y")
            await program.chat("a")
            for path, name in (("a", "a"), ("fast", "fast"), ("any", "any"), ("org/b", "org/b"), ("x/y", "x/y")):
                row: Any = (await program.get(f"/v1/models/{path}")).json()
                assert row["id"] == name
                assert row["status"]["value"] == ("loaded" if name in ("a", "fast", "any") else "unloaded")


@in_loop
async def test_a_selector_spills_over_and_gives_back(tmp_path: Path) -> None:
    async with FakeEngine() as hub, FakeEngine() as lab:
        with Program(tmp_path, llama_swap_file(hub, lab)) as program:
            first = asyncio.create_task(program.chat("any", fake={"gate_at": 0}))
            await program.until_phase("a", "ready")
            await program.seen("a", busy=1)
            second = await program.chat("any")
            assert header(second, "x-penstock-model") == "org/b"
            seen = await program.seen("org/b", requests=1)
            assert [json.loads(request["body"])["model"] for request in seen["requests"]] == ["inner"]
            await program.release("a")
            assert header(await first, "x-penstock-model") == "a"
            record = await program.record(second)
            assert (record.model_requested, record.model) == ("any", "org/b")


@in_loop
async def test_a_selector_prefers_what_is_loaded(tmp_path: Path) -> None:
    async with FakeEngine() as hub, FakeEngine() as lab:
        with Program(tmp_path, llama_swap_file(hub, lab)) as program:
            await program.chat("org/b")
            assert header(await program.chat("ready"), "x-penstock-model") == "org/b"
            assert await program.phase("a") == "stopped"
            assert header(await program.chat("first"), "x-penstock-model") == "lab/small"
            assert model_of(lab) == "small"


@in_loop
async def test_pins_hold_for_calls_and_paths_and_selectors_do_not_for_paths(tmp_path: Path) -> None:
    async with FakeEngine() as hub, FakeEngine() as lab:
        with Program(tmp_path, llama_swap_file(hub, lab)) as program:
            refused = await program.get("/upstream/any/v1/models")
            assert (refused.status, error_of(refused)["code"]) == (404, "model_not_found")
            assert "It stands for several models" in error_of(refused)["message"]
            body = program.request(
                "/api/profiles/active", {"name": "away"}, method="PUT", headers="connection: close\r\n"
            )
            assert (await program.send(body)).json() == {"active": "away"}
            assert header(await program.chat("a"), "x-penstock-model") == "hub/x/y"
            assert model_of(hub) == "x/y"
            assert header(await program.chat("fast"), "x-penstock-model") == "lab/small"
            assert header(await program.chat("new"), "x-penstock-model") == "a", "selectors lead past pins"
            assert (await program.chat("org/b")).status == 404
            assert (await program.get("/upstream/a/v1/x%2Fy?z=1")).status != 404
            assert hub.seen.requests[-1].target == "/base/v1/x%2Fy?z=1"
            assert hub.seen.requests[-1].header("x-api-key") == "sk-hub"
            for name in ("fast", "org/b", "org%2Fb"):
                assert (await program.get(f"/upstream/{name}/v1/models")).status == 404


@in_loop
@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_goes_to_the_next_when_an_engine_fails_before_its_first_byte(tmp_path: Path, stream: bool) -> None:
    async with (
        FakeEngine() as gone,
        FakeEngine([Behaviour(kind="nothing", ending="close")]) as dying,
        FakeEngine() as sound,
    ):
        config = f"""
penstock: 1
models:
  gone: {{upstream: "{gone.address}"}}
  dying: {{upstream: "{dying.address}", use_model_name: inner}}
peers:
  far: {{upstream: "{sound.address}", models: [m], api_key: sk-far}}
selectors:
  sure: {{strategy: failover, targets: [gone, dying, m]}}
"""
        with Program(tmp_path, config) as program:
            gone.die()
            answer = await program.chat("sure", stream=stream)
            assert (answer.status, header(answer, "x-penstock-model")) == (200, "far/m")
            assert (model_of(dying), model_of(sound)) == ("inner", "m")
            assert dying.seen.requests[-1].header("authorization") is None
            assert sound.seen.requests[-1].header("authorization") == "Bearer sk-far"
            record = await program.record(answer)
            assert (record.model_requested, record.model, record.outcome) == ("sure", "far/m", "completed")


@in_loop
async def test_a_gateway_behind_another_does_not_tell_the_callers_of_its_own_waits(tmp_path: Path) -> None:
    (tmp_path / "behind").mkdir()
    (tmp_path / "front").mkdir()
    with Program(tmp_path / "behind", f"penstock: 1\nmodels: {{m: {{cmd: {engine_cmd()}}}}}\n") as behind:
        config = f'penstock: 1\npeers: {{far: {{upstream: "{behind.url}", models: [m]}}}}\n'
        with Program(tmp_path / "front", config) as front:
            answer = await front.chat("m")
            told = [line.partition(":")[0].lower() for line in answer.head.decode("latin-1").split("\r\n")[1:] if line]
            assert answer.status == 200
            assert sorted(told) == sorted({*told}), "nothing twice"
            assert header(answer, "x-penstock-model") == "far/m"
            assert (await front.record(answer)).outcome == "completed"
