"""The embedded engine, run for real on the demo models."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from penstock.discovery.demo import DemoModels, ensure_demo_models
from penstock.launch.llamacpp_engine import FLAGS, Switch, Value, configure, read_flags

pytest.importorskip("xllamacpp", reason="the embedded engine is not installed")

COMMAND = (sys.executable, "-m", "penstock.launch.llamacpp_engine")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> DemoModels:
    return ensure_demo_models(tmp_path_factory.mktemp("models"))


@contextmanager
def running(*flags: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """An engine that said that it is ready, and its address."""
    argv = (*COMMAND, "--port", "0", "-t", "1", *map(str, flags))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as engine:
        try:
            assert engine.stdout
            ready, address = engine.stdout.readline().split()
            assert ready == "ready"
            yield engine, address
        finally:
            engine.kill()


def call(url: str, body: object = None) -> bytes:
    content = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, content, {"Content-Type": "application/json"})) as reply:
        answer: bytes = reply.read()
        return answer


class Answer(NamedTuple):
    text: str
    tokens: int
    ended: str


def ask(address: str, text: str, **members: object) -> Answer:
    body = {"messages": [{"role": "user", "content": text}], **members}
    reply = json.loads(call(f"{address}/v1/chat/completions", body))
    choice = reply["choices"][0]
    return Answer(choice["message"]["content"], reply["usage"]["completion_tokens"], choice["finish_reason"])


def test_a_ready_engine_answers_a_chat_and_shows_its_slots_metrics_and_settings(models: DemoModels) -> None:
    with running("-m", models.chat_a, "-c", "1024", "-np", "2", "--alias", "ann,bob") as (_, address):
        assert json.loads(call(f"{address}/health")) == {"status": "ok"}
        answer = ask(address, "hello", max_tokens=5)
        assert (answer.tokens, answer.ended) == (5, "length")
        assert [slot["n_ctx"] for slot in json.loads(call(f"{address}/slots"))] == [512, 512]
        assert json.loads(call(f"{address}/props"))["total_slots"] == 2
        assert b"llamacpp:tokens_predicted_total 5" in call(f"{address}/metrics")
        assert json.loads(call(f"{address}/v1/completions", {"prompt": "a class is", "max_tokens": 3}))["choices"]


def test_a_stream_ends_with_usage_and_timings(models: DemoModels) -> None:
    body = {
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    with running("-m", models.chat_a, "-c", "1024") as (_, address):
        *chunks, done = call(f"{address}/v1/chat/completions", body).decode().strip().split("\n\n")
    assert done == "data: [DONE]"
    last = json.loads(chunks[-1].removeprefix("data: "))
    assert last["usage"]["completion_tokens"] == 7
    assert last["timings"]["predicted_n"] == 7


def test_the_embedding_model_tells_texts_apart(models: DemoModels) -> None:
    with running("-m", models.embed, "--embedding") as (_, address):
        answer = json.loads(call(f"{address}/v1/embeddings", {"input": ["a class", "an exception", "a class"]}))
    first, second, again = (row["embedding"] for row in answer["data"])
    assert len(first) == 64
    assert first != second
    assert first == pytest.approx(again)


def test_the_two_chat_models_give_different_answers_that_end_by_themselves(models: DemoModels) -> None:
    answers = []
    for model in (models.chat_a, models.chat_b):
        with running("-m", model, "-c", "2048", "-n", "400") as (_, address):
            for temperature in (0.0, 0.8, 1.2):
                answer = ask(address, "What is a class?", temperature=temperature, seed=1)
                assert answer.ended == "stop"
                assert 20 <= answer.tokens <= 200
                assert answer.text.isprintable()
                assert answer.text.isascii()
                answers.append(answer.text)
    assert len(set(answers)) == len(answers)


def test_a_prompt_beyond_the_context_is_refused_by_name(models: DemoModels) -> None:
    with running("-m", models.chat_a, "-c", "256") as (_, address), pytest.raises(HTTPError) as refused:
        ask(address, "word " * 500)
    with refused.value as reply:
        assert reply.code == 400
        assert json.load(reply)["error"]["type"] == "exceed_context_size_error"


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_engine_at_once_and_by_the_kernel(models: DemoModels, ending: signal.Signals) -> None:
    with running("-m", models.chat_a, "-c", "512") as (engine, _):
        started_s = time.monotonic()
        engine.send_signal(ending)
        assert engine.wait(5) == -ending  # a handler of Python's would be deaf while a model loads
        assert time.monotonic() - started_s < 1


def example(flag: Value | Switch) -> list[str]:
    """The flag, with a value if it takes one."""
    name = flag.flags.split()[-1]
    if isinstance(flag, Switch):
        return [name]
    if name == "--override-tensor":
        return [name, "exps=CPU"]
    for value in ("1", "none", "f16", "on", "numactl", "linear", '{"a": true}', __file__):
        try:
            flag.read(value)
        except (ValueError, AttributeError, ArgumentTypeError):
            continue
        return [name, value]
    raise AssertionError(f"no example for {name}")


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.flags.split()[-1])
def test_every_flag_finds_its_place_in_the_engine(flag: Value | Switch) -> None:
    import xllamacpp

    configure(xllamacpp.CommonParams(), read_flags(["-m", "x", *example(flag)]))


def refused(*flags: str | Path) -> tuple[int, list[str]]:
    """The exit code and what was said, of an engine that does not start."""
    ended = subprocess.run((*COMMAND, *map(str, flags)), capture_output=True, text=True, timeout=20, check=False)
    return ended.returncode, ended.stderr.splitlines()


def test_a_missing_model_is_one_clear_line(tmp_path: Path) -> None:
    missing = tmp_path / "missing.gguf"
    assert refused("-m", missing) == (1, [f"llamacpp_engine: there is no file {missing}"])


def test_a_file_that_is_no_model_is_told_last_behind_the_engines_own_reasons(tmp_path: Path) -> None:
    (tmp_path / "junk.gguf").write_bytes(b"junk" * 9)
    code, said = refused("-m", tmp_path / "junk.gguf", "--port", "0")
    assert code == 1
    assert any(line.startswith(f"llamacpp_engine: cannot serve {tmp_path / 'junk.gguf'}") for line in said[-3:])


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--port", "0"), "required: -m/--model"),
        (("-m", "x", "--gpu-laiers", "3"), "unrecognized arguments: --gpu-laiers 3"),
        (("-m", "x", "-c", "many"), "-c/--ctx-size: invalid int value: 'many'"),
        (("-m", "x", "-fa", "maybe"), "'maybe' is none of on, off, auto"),
        (("-m", __file__, "-ot", "nonsense"), "llama.cpp refuses tensor_buft_overrides = 'nonsense'"),
        (("-m", "x", "--chat-template-file", "/nowhere"), "cannot read /nowhere"),
    ],
)
def test_a_wrong_flag_is_named_and_ends_with_code_2(flags: tuple[str, ...], reason: str) -> None:
    code, said = refused(*flags)
    assert code == 2
    assert reason in said[-1]
