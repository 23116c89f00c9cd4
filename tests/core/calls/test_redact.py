"""Secrets are masked wherever they can show, and nothing else is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.calls.redact import MASK, Redactor, is_telling

SECRET = "sk-penstock-Zm9vYmFyYmF6MTIzNDU2Nzg5MA"
plain = Redactor()


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "x-api-key",
        "API-Key",
        "cookie",
        "Set-Cookie",
        "proxy-authorization",
        "x-goog-api-key",
        "x-auth-token",
        "Ocp-Apim-Subscription-Key",
        "cf-access-client-secret",
        "HF_TOKEN",
        "OPENAI_API_KEY",
        "api_key",
    ],
)
def test_a_telling_name_is_told(name: str) -> None:
    assert is_telling(name)
    assert plain.headers([(name.encode(), b"hunter2")]) == [(name.encode(), MASK)]


@pytest.mark.parametrize(
    "name",
    [
        "host",
        "x-request-id",
        "idempotency-key",
        "sec-websocket-key",
        "max-tokens",
        "x-ratelimit-limit-tokens",
        "tokenizer",
    ],
)
def test_a_name_that_only_sounds_like_one_is_left_alone(name: str) -> None:
    assert plain.headers([(name.encode(), b"hunter2")]) == [(name.encode(), b"hunter2")]


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"Basic", b"Digest"])
def test_the_scheme_of_an_authorization_stays_readable(scheme: bytes) -> None:
    masked = plain.headers([(b"authorization", scheme + b" " + SECRET.encode())])
    assert masked == [(b"authorization", scheme + b" " + MASK)]


def test_a_bare_key_and_a_key_with_spaces_are_masked_whole() -> None:
    for value in (SECRET.encode(), b"two words", b"Bearer", b"\xff\x00secret", b""):
        assert plain.headers([(b"authorization", value)]) == [(b"authorization", MASK)]


def test_a_shape_is_known_in_any_header_body_message_and_query() -> None:
    line = f"the engine said: wrong key {SECRET}, try again"
    assert plain.text(line) == "the engine said: wrong key [redacted], try again"
    assert plain.content(b'{"note":"%s"}' % SECRET.encode()) == b'{"note":"[redacted]"}'
    protocol = b"realtime, openai-insecure-api-key." + SECRET.encode()
    assert SECRET.encode() not in plain.headers([(b"sec-websocket-protocol", protocol)])[0][1]
    assert (
        plain.target(b"/v1/models?x=1&api_key=abc&key=def#g") == b"/v1/models?x=1&api_key=[redacted]&key=[redacted]#g"
    )


@pytest.mark.parametrize(
    "text", ["a basic understanding", "task-management-for-2024", "sk-learn-for-beginners-only", "max_tokens: 12"]
)
def test_ordinary_words_are_not_masked(text: str) -> None:
    assert plain.text(text) == text


def test_what_the_operator_wrote_down_is_masked_wherever_it_stands() -> None:
    redactor = Redactor(["sk-1234", "sk-1234-longer", "abc"])
    assert redactor.text("x=sk-1234-longer y=sk-1234 z=abc") == "x=[redacted] y=[redacted] z=abc"
    assert redactor.headers([(b"x-note", b"sk-1234")]) == [(b"x-note", MASK)]


def test_a_command_shows_everything_but_its_secrets() -> None:
    command = (
        "HF_TOKEN=hunter2 llama-server --api-key hunter2 --port 8080 --max-tokens 12 -m 'a b.gguf' --api-key='h 2'"
    )
    shown = plain.command(command)
    assert shown == (
        "HF_TOKEN=[redacted] llama-server --api-key [redacted] --port 8080 --max-tokens 12 -m 'a b.gguf' "
        "--api-key=[redacted]"
    )
    assert plain.command("run --api-key --port 80") == "run --api-key --port 80"
    assert plain.variable("HF_TOKEN", "x") == "[redacted]"
    assert plain.variable("HOME", "/root") == "/root"


@given(st.text(max_size=200), st.text(alphabet="abcdefghijklmnop0123456789", min_size=6, max_size=40))
def test_a_known_secret_never_survives(around: str, secret: str) -> None:
    redactor = Redactor([secret])
    assert secret not in redactor.text(f"{around}{secret}{around}").replace("[redacted]", "")


@given(st.text())
def test_any_text_is_read_and_masking_twice_changes_nothing_more(text: str) -> None:
    for mask in (plain.text, plain.command):
        once = mask(text)
        assert mask(once) == once


@pytest.mark.parametrize("piece", [b"sk-", b"Bearer ", b"sk-a", b"hf_", b"--a ", b"?a=&", b"a" * 64])
def test_a_megabyte_made_to_be_slow_is_masked_in_time(piece: bytes) -> None:
    hostile = (piece * (1_000_000 // len(piece)))[:1_000_000]
    began_s = time.process_time()
    plain.content(hostile)
    plain.target(hostile)
    plain.command(hostile.decode())
    assert time.process_time() - began_s < 5.0
