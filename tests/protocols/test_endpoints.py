"""The table of endpoints: one row for every path, however it is spelled."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.protocols.endpoints import BY_PATH, TABLE, Capture, Endpoint, ModelIn
from penstock.protocols.media import MediaDialect
from penstock.protocols.reference import markdown


@pytest.mark.parametrize("endpoint", TABLE, ids=lambda endpoint: endpoint.path.decode())
def test_every_spelling_of_a_path_leads_to_its_row(endpoint: Endpoint) -> None:
    assert BY_PATH[endpoint.path] is BY_PATH[endpoint.path + b"/"] is endpoint
    short = endpoint.path.removeprefix(b"/v1")
    assert BY_PATH[short] is BY_PATH[short + b"/"]
    assert BY_PATH[short] is endpoint or BY_PATH[short].path == short, "unless it has a row of its own"


def test_no_two_rows_share_a_spelling() -> None:
    paths = {endpoint.path for endpoint in TABLE}
    short = {path.removeprefix(b"/v1") for path in paths}
    assert len(paths) == len(TABLE)
    assert len(BY_PATH) == 2 * len(paths | short)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (b"/chat/completions/", b"/v1/chat/completions"),
        (b"/v/chat/completions", b"/chat/completions"),
        (b"/v/messages/count_tokens/", b"/messages/count_tokens"),
        (b"/completions", b"/v1/completions"),
        (b"/completion", b"/completion"),
        (b"/rerank", b"/rerank"),
        (b"/v1/rerank", b"/v1/rerank"),
        (b"/v/rerank", b"/rerank"),
    ],
)
def test_an_engine_is_asked_by_the_path_that_it_knows(path: bytes, asked: bytes) -> None:
    endpoint = BY_PATH[path]
    assert (endpoint.engine_path or endpoint.path) == asked


@pytest.mark.parametrize("path", [b"", b"/", b"/v1", b"/v1/", b"//v1/chat/completions", b"/v1/chat/completions//"])
def test_a_path_that_is_in_no_row_is_nobodys(path: bytes) -> None:
    assert path not in BY_PATH


def test_the_published_page_is_the_generated_one() -> None:
    assert Path("docs/endpoints.md").read_text("utf-8") == markdown()
    assert all(f"| `{endpoint.path.decode()}` |" in markdown() for endpoint in TABLE)


@pytest.mark.parametrize(
    ("path", "methods", "model_in", "asked"),
    [
        ("/v1/audio/speech", "POST", ModelIn.JSON, ""),
        ("/v1/audio/transcriptions", "POST", ModelIn.FORM, ""),
        ("/v1/audio/translations", "POST", ModelIn.FORM, ""),
        ("/v1/audio/voices", "GET HEAD POST", ModelIn.JSON, ""),
        ("/v1/images/generations", "POST", ModelIn.JSON, ""),
        ("/v1/images/edits", "POST", ModelIn.FORM, ""),
        ("/v1/images/variations", "POST", ModelIn.FORM, ""),
        ("/sdapi/v1/txt2img", "POST", ModelIn.JSON, ""),
        ("/sdapi/v1/img2img", "POST", ModelIn.JSON, ""),
        ("/sdapi/v1/loras", "GET HEAD", ModelIn.QUERY, ""),
        ("/audioapi/v1/tasks/run", "POST", ModelIn.JSON, "/v1/tasks/run"),
        ("/props", "GET HEAD POST", ModelIn.JSON, ""),
    ],
)
def test_an_endpoint_is_asked_as_its_clients_ask(path: str, methods: str, model_in: ModelIn, asked: str) -> None:
    endpoint = BY_PATH[path.encode()]
    assert endpoint.methods == tuple(methods.encode().split())
    assert (endpoint.model_in, endpoint.engine_path) == (model_in, asked.encode())
    assert endpoint.admin_methods == ((b"POST",) if path == "/props" else ())
    assert isinstance(endpoint.dialect, MediaDialect)


@pytest.mark.parametrize(
    ("path", "capture"),
    [
        # At least as careful as llama-swap, which keeps no sounds and no pictures.
        (b"/v1/audio/speech", Capture.REQUEST),
        (b"/v1/images/generations", Capture.REQUEST),
        (b"/sdapi/v1/txt2img", Capture.REQUEST),
        (b"/v1/audio/voices", Capture.ANSWER),
        (b"/v1/audio/transcriptions", Capture.ANSWER),
        (b"/v1/audio/translations", Capture.ANSWER),
        (b"/v1/images/edits", Capture.HEADS),
        (b"/v1/images/variations", Capture.HEADS),
        (b"/sdapi/v1/img2img", Capture.HEADS),
        (b"/audioapi/v1/tasks/run", Capture.HEADS),
        (b"/v1/chat/completions", Capture.BODIES),
    ],
)
def test_no_media_are_captured(path: bytes, capture: Capture) -> None:
    assert BY_PATH[path].capture is capture
    assert capture.keeps_request is (capture in (Capture.BODIES, Capture.REQUEST))
    assert capture.keeps_answer is (capture in (Capture.BODIES, Capture.ANSWER))


@pytest.mark.parametrize(
    "path",
    [
        b"/V1/chat/completions",
        b"/v1/chat%2Fcompletions",
        b"/v1/chat/completions?",
        b"/v1//audio/speech",
        b"/v2/audio/speech",
        b"/v/audio/speech",
        b"/v1/sdapi/v1/loras",
        b"/sdapi/loras",
        b"/audioapi/v1/tasks",
        b"/v1/props",
        b"/slots",
        b"/lora-adapters",
        b"/sleep",
    ],
)
def test_a_path_that_is_spelled_otherwise_is_no_call(path: bytes) -> None:
    assert path not in BY_PATH
