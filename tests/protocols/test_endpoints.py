"""The table of endpoints: one row for every path, however it is spelled."""

from __future__ import annotations

import json

import pytest

from penstock import errors
from penstock.protocols.endpoints import BY_PATH, TABLE, Endpoint


@pytest.mark.parametrize("endpoint", TABLE, ids=lambda endpoint: endpoint.path.decode())
def test_every_spelling_of_a_path_leads_to_its_row(endpoint: Endpoint) -> None:
    short = endpoint.path.removeprefix(b"/v1")
    for spelling in (endpoint.path, endpoint.path + b"/", short, short + b"/"):
        assert BY_PATH[spelling] is endpoint


def test_no_two_rows_share_a_spelling() -> None:
    spellings = [
        spelling
        for endpoint in TABLE
        for form in {endpoint.path, endpoint.path.removeprefix(b"/v1")}
        for spelling in (form, form + b"/")
    ]
    assert len(spellings) == len(set(spellings)) == len(BY_PATH)


@pytest.mark.parametrize("path", [b"", b"/", b"/v1", b"/v1/", b"//v1/chat/completions", b"/v1/chat/completions//"])
def test_a_path_that_is_in_no_row_is_nobodys(path: bytes) -> None:
    assert path not in BY_PATH


@pytest.mark.parametrize(
    ("error", "kind", "param"),
    [
        (errors.MissingModel(), "invalid_request_error", "model"),
        (errors.UnknownModel(model='a"\n', hint=""), "not_found_error", "model"),
        (errors.TooLarge(limit_bytes=1), "invalid_request_error", None),
        (errors.ForeignHost(host="x"), "permission_error", None),
        (errors.QueueFull(room="a", limit=1, retry_after_s=7.4), "server_error", None),
        (errors.StartFailed(model="a", reason="x", detail="log\n"), "server_error", None),
    ],
)
def test_a_refusal_has_the_dialects_form(error: errors.GatewayError, kind: str, param: str | None) -> None:
    for endpoint in TABLE:
        reply = endpoint.dialect.refusal(error, "r")
        said = json.loads(reply.body)["error"]
        assert reply.status == error.status
        assert (said["message"], said["type"], said["param"], said["code"]) == (error.message, kind, param, error.code)
        assert said.get("detail") == error.detail
        headers = dict(reply.headers)
        assert headers.get(b"retry-after") == (None if error.retry_after_s is None else b"7")
        assert (headers.get(b"x-should-retry") == b"false") is not error.is_retry_useful
        in_stream = endpoint.dialect.stream_failure(error, "r")
        assert in_stream == b"data: " + reply.body + b"\n\n"
