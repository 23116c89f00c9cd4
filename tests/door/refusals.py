"""What an error must look like to clients of each dialect; written down once more, and not taken from the program."""

from __future__ import annotations

import json
from typing import Any

from tests.door.asks import Ask
from tests.fakes import Answer


def code_of_refusal(ask: Ask, answer: Answer) -> str:
    """The stable code of a complete answer that says no; a form that the dialect does not have is an AssertionError."""
    assert b"content-type: application/json\r\n" in answer.head + b"\r\n"
    return _code(ask, json.loads(answer.content), answer.status)


def code_of_failure(ask: Ask, rest: bytes) -> str:
    """The same of what follows in a stream after the engine's last whole event."""
    assert rest.startswith(b"event: error\n") is ask.dialect.startswith(("anthropic", "openai.responses")), rest
    assert rest.endswith(b"\n\n"), rest
    said = json.loads(rest[rest.index(b"data: ") + 6 :])
    if ask.dialect == "openai.responses":
        assert said["type"] == "error", said
        assert said["code"] == said["error"]["code"], said
        return str(said["code"])
    return _code(ask, said, None)


def _code(ask: Ask, said: Any, status: int | None) -> str:
    family = ask.dialect.partition(".")[0]
    match family:
        case "anthropic":
            assert said["type"] == "error", said
            error, code = said["error"], said["error"]["code"]
        case "llamacpp":
            error, code = said["error"], said["error"]["error_code"]
            assert status is None or error["code"] == status, said
        case "sdapi":
            assert said["detail"] == said["errors"], said
            return str(said["code"])
        case _:
            error, code = said["error"], said["error"]["code"]
            assert "param" in error, said
    assert error["message"], said
    assert error["type"], said
    return str(code)
