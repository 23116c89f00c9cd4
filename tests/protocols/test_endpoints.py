"""The table of endpoints: one row for every path, however it is spelled."""

from __future__ import annotations

import pytest

from penstock.protocols.endpoints import BY_PATH, TABLE, Endpoint


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
