"""One trace of calls, played at the same time through Overlaat 0.0.13 and through Penstock, to one engine behind both.

Both are given the same LiteLLM file, and each a LiteLLM of its own: that counts what runs at a time, too. Every call
has a workload of its own, by which its rows are found on both sides.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.door.test_litellm import litellm_proxy
from tests.e2e.program import Program
from tests.fakes import engine_process

FILE = """
model_list:
  - model_name: alone
    litellm_params: {{model: openai/m, api_base: "{engine}/v1", api_key: k, max_parallel_requests: 1, max_retries: 0}}
    model_info: {{overlaat_pool: for_alone}}
  - model_name: two
    litellm_params: {{model: openai/m, api_base: "{engine}/v1", api_key: k, max_parallel_requests: 2, max_retries: 0}}
    model_info: {{overlaat_pool: for_two}}
  - model_name: one
    litellm_params: {{model: openai/m, api_base: "{engine}/v1", api_key: k, max_parallel_requests: 1, max_retries: 0}}
    model_info: {{overlaat_pool: for_one}}
  - model_name: four
    litellm_params: {{model: openai/m, api_base: "{engine}/v1", api_key: k, max_parallel_requests: 4, max_retries: 0}}
    model_info: {{overlaat_pool: for_four}}
router_settings: {{num_retries: 0, disable_cooldowns: true}}
general_settings: {{dangerously_permit_weak_or_unset_master_key: true}}
"""
CHAT, TEXT, BARE = "/v1/chat/completions", "/v1/completions", "/chat/completions"

Json = dict[str, Any]

QUESTIONS = (
    "now", "timeline?last=30m", "models?last=30m", "consumers?last=30m", "workloads?last=30m", "requests?limit=200",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ask:
    """One call of the trace. at_s: after its begin. leaves_s: its client hangs up so long after that; None = it stays.

    fake: what the engine does. label_in: where its workload stands; "" = nowhere.
    """

    name: str
    at_s: float
    model: str
    fake: Mapping[str, object] = field(default_factory=dict)
    path: str = CHAT
    stream: bool = False
    key: str = "sk-one"
    label_in: str = "x-overlaat-workload"
    leaves_s: float | None = None
    headers: str = ""

    def request(self, port: int) -> bytes:
        body: Json = {"model": self.model, "fake": self.fake}
        body |= {"prompt": "hi"} if self.path == TEXT else {"messages": [{"role": "user", "content": "hi"}]}
        body |= {"stream": True} if self.stream else {}
        label = f"{self.label_in}: {self.name}\r\n" if self.label_in.startswith("x-") else ""
        body |= {"metadata": {"workload": self.name}} if self.label_in == "metadata" else {}
        content = json.dumps(body).encode()
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(content)}\r\nauthorization: Bearer {self.key}\r\nconnection: close\r\n"
        )
        return f"{head}{label}{self.headers}\r\n".encode() + content


@contextmanager
def served(python: str, module: str, folder: Path, **environ: str) -> Iterator[str]:
    """The address at which an ASGI application of another environment answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    argv = [python, "-m", "uvicorn", module, "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
    with (folder / f"{module.partition(':')[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            argv, stdout=log, stderr=log, cwd=folder, env={"PATH": os.environ["PATH"], **environ}
        )
        try:
            end_s = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < end_s:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.1)  # no-sleep-needed: between two looks, not instead of one
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def said_by(asked: str | urllib.request.Request) -> Json:
    with urllib.request.urlopen(asked, timeout=30) as answer:
        found: Json = json.load(answer)
        return found


@dataclass(frozen=True, slots=True)
class Both:
    """queue: Overlaat's proxy; usage: its usage API. Penstock is one program for both."""

    queue: str
    usage: str
    penstock: Program

    def ask(self, question: str) -> tuple[Json, Json]:
        """What they say, and what we say."""
        return said_by(f"{self.usage}/{question}"), said_by(f"{self.penstock.url}/usage/{question}")

    def ask_all(self) -> dict[str, tuple[Json, Json]]:
        """By question."""
        return {question.partition("?")[0]: self.ask(question) for question in QUESTIONS}

    async def play(self, trace: Sequence[Ask]) -> dict[str, tuple[bytes, bytes]]:
        """All of it, through both; gives what each client heard."""
        began_s = asyncio.get_running_loop().time()
        ports = int(self.queue.rpartition(":")[2]), self.penstock.port
        heard = await asyncio.gather(*(_heard(ask, port, began_s) for ask in trace for port in ports))
        return {ask.name: (heard[2 * number], heard[2 * number + 1]) for number, ask in enumerate(trace)}


async def _heard(ask: Ask, port: int, began_s: float) -> bytes:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(max(0.0, began_s + ask.at_s - loop.time()))  # no-sleep-needed: the trace says when
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(ask.request(port))
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(ask.leaves_s):
                return await reader.read(-1)
        return b""
    finally:
        writer.transport.abort()


@asynccontextmanager
async def both(python: str, folder: Path) -> AsyncIterator[Both]:
    """python: of an environment that has Overlaat and LiteLLM."""
    async with engine_process() as engine:
        file = folder / "litellm.yaml"
        file.write_text(FILE.format(engine=f"http://127.0.0.1:{engine.port}"))
        database = f"sqlite:///{folder / 'overlaat.db'}"
        subprocess.run([python, "-m", "overlaat.db", "init", database], check=True, capture_output=True)
        with (
            litellm_proxy(Path(python).parent, made(folder / "theirs"), file) as litellm,
            litellm_proxy(Path(python).parent, made(folder / "ours"), file) as other,
            served(
                python, "overlaat.queue_proxy:app", folder,
                DATABASE_URL=database, QUEUE_PROXY_UPSTREAM=f"http://127.0.0.1:{litellm}",
                QUEUE_PROXY_LITELLM_CONFIG=str(file),
            ) as queue,
            served(
                python, "overlaat.usage_api:app", folder,
                DATABASE_URL=database, QUEUE_STATUS_URL=f"{queue}/__queue/status",
            ) as usage,
            Program(folder, file.read_text(), "--upstream", f"http://127.0.0.1:{other}") as penstock,
        ):  # fmt: skip
            yield Both(queue, usage, penstock)


def environment_with(tmp: Path, *packages: str) -> str:
    """The Python of an environment that has them; `PENSTOCK_TEST_OVERLAAT` may name one."""
    if python := os.environ.get("PENSTOCK_TEST_OVERLAAT"):
        return python
    python = str(tmp / "bin" / "python")
    for argv in ([sys.executable, "-m", "venv", str(tmp)], [python, "-m", "pip", "install", "-q", *packages]):
        if subprocess.run(argv, capture_output=True, check=False).returncode:
            if os.environ.get("PENSTOCK_TEST_ALL") == "1":
                pytest.fail(f"{packages} are missing, and nothing may be skipped here")
            pytest.skip(f"{packages} cannot be installed here")
    return python
