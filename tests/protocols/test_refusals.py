"""Errors in the form of OpenAI; those of others are tested beside their dialects."""

from __future__ import annotations

import json

import pytest

from penstock import errors
from penstock.protocols.refusals import anthropic_refusal, openai_failure, openai_refusal


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
def test_an_error_is_an_object_with_everything_that_clients_look_for(
    error: errors.GatewayError, kind: str, param: str | None
) -> None:
    reply = openai_refusal(error, "r")
    said = json.loads(reply.body)["error"]
    assert (reply.status, said["message"], said["type"]) == (error.status, error.message, kind)
    assert (said["param"], said["code"], said.get("detail")) == (param, error.code, error.detail)
    headers = dict(reply.headers)
    assert headers.get(b"retry-after") == (None if error.retry_after_s is None else b"7")
    assert (headers.get(b"x-should-retry") == b"false") is not error.is_retry_useful
    assert openai_failure(error, "r") == b"data: " + reply.body + b"\n\n"


def test_only_who_may_come_back_later_is_told_that_anthropics_api_is_overloaded() -> None:
    kinds = {
        error: json.loads(anthropic_refusal(error, "").body)["error"]["type"]
        for error in (errors.QueueFull(room="m", limit=1), errors.StartFailed(model="m", reason="x"))
    }
    assert list(kinds.values()) == ["overloaded_error", "api_error"]
