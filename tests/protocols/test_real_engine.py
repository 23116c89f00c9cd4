"""What a real llama.cpp says, understood: each endpoint of its own, of OpenAI's and of Anthropic's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from penstock.core.calls.message import CallFacts, Head, TokenSource, Usage
from penstock.discovery.demo import DemoModels, ensure_demo_models
from penstock.protocols.dialect import Dialect, Meter
from penstock.protocols.endpoints import BY_PATH

pytest.importorskip("xllamacpp", reason="the embedded engine is not installed")

MESSAGES: list[object] = [{"role": "user", "content": "hello there"}]
PROMPT_TOKENS = 16  # of these messages, in the template of the demo models
Engine = Callable[[str, dict[str, object]], tuple[Meter, CallFacts]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> DemoModels:
    return ensure_demo_models(tmp_path_factory.mktemp("models"))


@contextmanager
def running(*flags: str | Path) -> Iterator[Engine]:
    argv = (sys.executable, "-m", "penstock.launch.llamacpp_engine", "--port", "0", "-t", "1", *map(str, flags))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as engine:
        try:
            assert engine.stdout
            _, address = engine.stdout.readline().split()
            yield lambda path, asked: exchange(address, path, asked)
        finally:
            engine.kill()


@pytest.fixture(scope="module")
def engine(models: DemoModels) -> Iterator[Engine]:
    with running("-m", models.chat_a) as ask:
        yield ask


def exchange(address: str, path: str, asked: dict[str, object]) -> tuple[Meter, CallFacts]:
    """Ask as the gateway would, and let the endpoint's own meter watch the answer, byte by byte as it comes."""
    dialect: Dialect = BY_PATH[path.encode()].dialect
    body = json.dumps({"model": "m", **asked}).encode()
    facts = dialect.read(Head(b"POST", path.encode(), [], "1.1", None, {}), body)
    request = Request(address + path, b"".join(facts.body), {"Content-Type": "application/json"})
    try:
        reply = urlopen(request)
    except HTTPError as error:
        reply = error
    with reply:
        meter = dialect.meter(facts, (reply.headers.get("content-type") or "").encode())
        while piece := reply.read(7):
            meter.feed(piece)
        meter.finish()
    return meter, facts


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("path", "asked", "finish_reason", "knows_cached"),
    [
        ("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 3}, "length", True),
        ("/v1/responses", {"input": "hello there", "max_output_tokens": 3}, None, True),
        ("/v1/messages", {"messages": MESSAGES, "max_tokens": 3}, "max_tokens", True),
    ],
)
def test_a_conversation_is_counted_the_same_in_every_dialect(
    engine: Engine, path: str, asked: dict[str, object], finish_reason: str | None, *, knows_cached: bool, stream: bool
) -> None:
    meter, facts = engine(path, {**asked, "stream": stream})
    usage = meter.usage
    assert facts.is_stream is stream
    assert (usage.source, usage.prompt_tokens, usage.completion_tokens) == (TokenSource.USAGE, PROMPT_TOKENS, 3)
    assert (meter.has_token, meter.failure) == (stream, None)
    assert (usage.cached_tokens is not None) is knows_cached
    assert finish_reason in (None, usage.finish_reason)


@pytest.mark.parametrize("stream", [True, False])
def test_a_completion_in_llamacpps_own_form_is_counted(engine: Engine, *, stream: bool) -> None:
    for _ in range(2):  # the second time most of the prompt comes from the cache
        meter, _ = engine("/completion", {"prompt": "hello there", "n_predict": 3, "stream": stream})
        usage = meter.usage
        assert (usage.source, usage.prompt_tokens, usage.completion_tokens) == (TokenSource.TIMINGS, 4, 3)
        assert (usage.finish_reason, meter.failure) == ("limit", None)
    assert (usage.cached_tokens or 0) > 0
    meter, _ = engine("/completion", {"prompt": ["hello there", "b"], "n_predict": 3, "stream": stream})
    assert (meter.usage.prompt_tokens, meter.usage.completion_tokens) == (5, 6)


@pytest.mark.parametrize("stream", [True, False])
def test_a_plain_completion_is_counted(engine: Engine, *, stream: bool) -> None:
    meter, _ = engine("/v1/completions", {"prompt": "hello there", "max_tokens": 3, "stream": stream})
    assert (meter.usage.prompt_tokens, meter.usage.completion_tokens) == (4, 3)


def test_a_prompt_that_is_only_counted_was_not_read(engine: Engine) -> None:
    assert engine("/v1/messages/count_tokens", {"messages": MESSAGES})[0].usage == Usage()


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/chat/completions", {"messages": "no list"}),
        ("/v1/messages", {"max_tokens": 3}),
        ("/infill", {"input_prefix": "a", "input_suffix": "b"}),  # the model has no tokens for it
    ],
)
def test_why_a_request_was_refused_is_kept(engine: Engine, path: str, asked: dict[str, object]) -> None:
    meter, _ = engine(path, asked)
    assert meter.failure
    assert meter.usage.source is TokenSource.NONE


@pytest.mark.parametrize(
    ("flag", "path", "asked"),
    [
        ("--embeddings", "/v1/embeddings", {"input": ["hello there", "b"]}),
        ("--reranking", "/rerank", {"query": "x", "documents": ["a", "b"]}),
    ],
)
def test_vectors_and_rankings_are_counted(models: DemoModels, flag: str, path: str, asked: dict[str, object]) -> None:
    with running("-m", models.embed, flag) as ask:
        meter, _ = ask(path, asked)
    assert (meter.usage.source, meter.usage.completion_tokens) == (TokenSource.USAGE, None)
    assert (meter.usage.prompt_tokens or 0) > 4
