"""The real LiteLLM, in a virtual environment of its own: before the gateway as a client, behind it as a gateway.

`PENSTOCK_TEST_LITELLM` may name an environment that has it; otherwise one is made, which takes minutes.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.door.beside_nginx import Engine
from tests.e2e.program import Program, error_of
from tests.fakes import in_loop

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

SAID = "water flows where the gate"
CLIENT = """
import json, sys, litellm
litellm.suppress_debug_info = True
said = {}
ask = dict(api_base=sys.argv[1] + "/v1", api_key="k", num_retries=0, max_retries=0)
hi = [{"role": "user", "content": "hi"}]
whole = litellm.completion(model="openai/m", messages=hi, **ask)
said["whole"] = [whole.choices[0].message.content, whole.usage.completion_tokens]
pieces = litellm.completion(model="openai/m", messages=hi, stream=True, **ask)
said["stream"] = "".join(piece.choices[0].delta.content or "" for piece in pieces)
said["vector"] = litellm.embedding(model="openai/m", input=["a"], encoding_format="float", **ask).data[0]["embedding"]
for name, model, body in (
    ("unknown", "nobody", {}),
    ("refused", "m", {"fake": {"status": 400}}),
    ("died", "m", {"fake": {"kind": "nothing", "ending": "close"}}),
):
    try:
        litellm.completion(model="openai/" + model, messages=hi, extra_body=body, **ask)
    except Exception as exc:
        said[name] = [type(exc).__name__, getattr(exc, "status_code", None)]
anthropic = dict(api_base=sys.argv[1], api_key="k", num_retries=0, max_tokens=9)
message = litellm.completion(model="anthropic/m", messages=hi, **anthropic)
said["message"] = [message.choices[0].message.content, message.usage.prompt_tokens]
print("SAID" + json.dumps(said))
"""
FILE = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/inner, api_base: "http://127.0.0.1:{engine}/v1", api_key: sk-engine}}
general_settings: {{master_key: sk-master}}
"""


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with its programs."""
    if given := os.environ.get("PENSTOCK_TEST_LITELLM"):
        return Path(given) / "bin"
    folder = tmp_path_factory.mktemp("litellm")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "litellm[proxy]"]
    if subprocess.run(pip, check=False, timeout=800).returncode:
        pytest.skip("LiteLLM cannot be installed here")
    return folder / "bin"


def test_litellm_as_a_client_reads_answers_streams_and_errors(venv: Path, tmp_path: Path) -> None:
    with Engine() as engine:
        config = f"penstock: 1\nbreaker: off\nmodels: {{m: {{upstream: 'http://127.0.0.1:{engine.port}'}}}}\n"
        with Program(tmp_path, config) as program:
            argv = [str(venv / "python"), "-c", CLIENT, program.url]
            ended = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
            assert "SAID" in ended.stdout, ended.stderr[-2000:]
            said = json.loads(ended.stdout.partition("SAID")[2])
            assert said["whole"] == [SAID, 5]
            assert said["stream"] == SAID
            assert said["vector"] == [0.25, -0.5, 0.125]
            assert said["unknown"] == ["NotFoundError", 404]
            assert said["refused"] == ["BadRequestError", 400]
            assert said["died"][0] in ("APIError", "BadGatewayError", "InternalServerError")
            assert said["message"] == [SAID, 7]


@contextlib.contextmanager
def litellm_proxy(venv: Path, folder: Path, file: Path) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    argv = [str(venv / "litellm"), "--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
    env = {"PATH": f"{venv}:{os.environ['PATH']}", "HOME": str(folder)}
    with (folder / "litellm.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, env=env, cwd=folder)
        try:
            _wait_until_it_answers(process, port, folder / "litellm.log")
            yield port
        finally:
            process.terminate()
            process.wait(30)


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end_s = time.monotonic() + 180
    while time.monotonic() < end_s and process.poll() is None:
        with contextlib.suppress(OSError), contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=5)) as asked:
            asked.request("GET", "/health/liveliness")
            if asked.getresponse().status == 200:
                return
        time.sleep(0.2)  # no-sleep-needed: between two looks, not instead of one
    raise AssertionError(log.read_text()[-3000:])


@in_loop
async def test_litellm_behind_the_gateway_keeps_its_keys_and_its_paths(venv: Path, tmp_path: Path) -> None:
    master, stranger = "authorization: Bearer sk-master\r\n", "authorization: Bearer sk-other\r\n"
    with Engine() as engine:
        file = tmp_path / "litellm.yaml"
        file.write_text(FILE.format(engine=engine.port))
        with (
            litellm_proxy(venv, tmp_path, file) as port,
            Program(tmp_path, file.read_text(), "--upstream", f"http://127.0.0.1:{port}") as program,
        ):
            answer = await program.chat("m", headers=master)
            assert answer.status == 200, answer.content
            said: Any = answer.json()
            assert said["choices"][0]["message"]["content"] == SAID
            record = await program.record(answer)
            assert (record.outcome, record.model, record.completion_tokens) == ("completed", "m", 5)
            streamed = await program.chat("m", stream=True, headers=master)
            assert streamed.events[-1] == "[DONE]"
            assert (await program.record(streamed)).completion_tokens == 5
            refused = await program.chat("m", headers=stranger)
            assert refused.status in (400, 401)
            assert error_of(refused)["message"]
            assert (await program.record(refused)).outcome == "upstream_refused"
            own = await program.send(
                program.request("/model/info", method="GET", headers=f"connection: close\r\n{master}")
            )
            assert (own.status, b"openai/inner" in own.content) == (200, True)
            assert (await program.record(own)).model is None
