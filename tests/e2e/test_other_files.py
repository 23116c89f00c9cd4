"""Files written for other systems are served as they are."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.program import Program, engine_cmd, error_of, header, run
from tests.fakes import Behaviour, FakeEngine, engine_argv, in_loop

LLAMA_SWAP = f"""
healthCheckTimeout: 30
startPort: 10001
macros:
  engine: {json.dumps(shlex.join(engine_argv("--port")) + " ${PORT}")}
models:
  "big":
    cmd: |
      # a comment
      ${{engine}} \\
      --load-s 0.1
    aliases: ["gpt-4o", "org/big"]
    checkEndpoint: /health
    ttl: 1
  "small":
    cmd: ${{engine}}
    env: ["CUDA_VISIBLE_DEVICES=0"]
    useModelName: "inner/name"
    concurrencyLimit: 2
  "always":
    cmd: {engine_cmd()}
    checkEndpoint: none
    unlisted: true
groups:
  "kept":
    persistent: true
    swap: false
    exclusive: false
    members: ["always"]
"""

LITELLM = """
model_list:
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY, max_parallel_requests: 1}
  - model_name: local
    litellm_params: {model: ollama/llama3, api_base: "http://nowhere:11434"}
litellm_settings: {drop_params: true}
general_settings: {master_key: sk-1234}
"""


@in_loop
async def test_a_llama_swap_file_is_served_unchanged(tmp_path: Path) -> None:
    with Program(tmp_path, LLAMA_SWAP) as program:
        listed = (await program.get("/v1/models")).json()["data"]
        assert isinstance(listed, list)
        assert sorted(model["id"] for model in listed) == ["big", "small"]
        await program.post("/api/v1/models/load", {"model": "always"})
        for name in ("gpt-4o", "org/big", "big"):
            answer = await program.chat(name)
            assert (answer.status, header(answer, "x-penstock-model")) == (200, "big")
        await program.chat("small")
        assert json.loads((await program.seen("small"))["requests"][0]["body"])["model"] == "inner/name"
        models = (await program.state())["models"]
        assert (models["big"]["phase"], models["small"]["phase"]) == ("stopped", "ready"), "they swap"
        assert models["always"]["phase"] == "ready", "the group persists"
        assert models["small"]["slots"] == 2
        await program.chat("big")
        await program.until_phase("big", "stopped")  # its ttl


@in_loop
async def test_pages_from_anywhere_may_use_a_llama_swap_files_models(tmp_path: Path) -> None:
    with Program(tmp_path, LLAMA_SWAP) as program:
        assert (await program.chat("big", headers="origin: https://chat.example\r\n")).status == 200


@in_loop
async def test_a_litellm_file_puts_the_queue_in_front_of_that_litellm(tmp_path: Path) -> None:
    async with FakeEngine([Behaviour(delay_s=0.05)]) as engine:
        with Program(tmp_path, LITELLM, "--upstream", engine.address) as program:
            key = "authorization: Bearer sk-mine\r\n"
            answers = await asyncio.gather(*(program.chat("gpt-4o", headers=key) for _ in range(4)))
            assert [answer.status for answer in answers] == [200] * 4
            assert engine.seen.busy_max == 1, "max_parallel_requests is a cap, and the others wait"
            assert engine.seen.requests[0].header("authorization") == "Bearer sk-mine"
            await asyncio.gather(*(program.chat("local") for _ in range(3)))
            assert engine.seen.busy_max == 3, "no cap"
            label = {"workload": "nightly"}
            answer = await program.chat("claude", stream=True, metadata=label)  # it may be in that LiteLLM's database
            unlisted = await program.record(answer)
            assert (unlisted.model_requested, unlisted.model, unlisted.outcome) == ("claude", None, "completed")
            assert (unlisted.workload, unlisted.streamed) == ("nightly", True)
            assert unlisted.prompt_tokens_estimated
            assert unlisted.first_token_s is not None
            record = await program.record(answers[0])
            assert (record.model, record.outcome) == ("gpt-4o", "completed")
            assert record.key_fingerprint is not None


@in_loop
async def test_an_upstream_that_is_not_there_is_a_502_that_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with Program(tmp_path, LITELLM, "--upstream", address) as program:
        answer = await program.chat("local")
        assert (answer.status, error_of(answer)["code"]) == (502, "engine_unreachable")
        record = await program.record(answer)
        assert (record.outcome, record.sent_s, record.first_byte_s) == ("upstream_error", None, None)


@pytest.mark.parametrize(
    ("text", "port", "flags"), [(LLAMA_SWAP, 8080, ()), (LITELLM, 4000, ("--upstream", "http://x:1"))]
)
def test_without_listen_the_port_is_the_one_that_its_clients_use(
    tmp_path: Path, text: str, port: int, flags: tuple[str, ...]
) -> None:
    (tmp_path / "file.yaml").write_text(text)
    with socket.socket() as taken:
        with suppress(OSError):  # taken by somebody else does as well
            taken.bind(("127.0.0.1", port))
            taken.listen()
        done = run("serve", "--config", str(tmp_path / "file.yaml"), *flags, home=tmp_path)
    assert done.returncode == 1
    assert re.search(rf"cannot listen on \S+:{port}: Address already in use", done.stderr)
