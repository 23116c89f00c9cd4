"""What a command is told by a gateway that refuses it, by servers that are none, and where nobody answers."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from typer.testing import CliRunner

from penstock.cli.client import GatewayClient, NotReachable, Refused
from penstock.cli.main import app
from penstock.cli.shapes import Model, Queue
from tests.cli.strangers import answer_of, stranger

KEY = "sk-0123456789abcdef"
COMMANDS = [
    ["models"], ["ps"], ["queue", "a"], ["cancel", "abcdef"], ["cancel", "--all"], ["priority", "abcdef", "high"],
    ["load", "a"], ["unload", "a"], ["pin", "a"], ["unpin", "a"], ["pause", "--all"], ["resume", "a"], ["profiles"],
    ["profiles", "use", "a"], ["profiles", "none"], ["usage"], ["usage", "consumers"], ["usage", "workloads"],
    ["usage", "requests"], ["usage", "loads"], ["usage", "health"],
]  # fmt: skip


def told_by(*answers: bytes | None, timeout_s: float = 10.0, longest_s: float = 60.0) -> str:
    """What the asking of a list of models ends with."""
    with stranger(*answers) as server, pytest.raises((NotReachable, Refused)) as raised:
        GatewayClient(server.url, None, timeout_s=timeout_s, longest_s=longest_s).get("/x", list[Model])
    return str(raised.value).replace(server.url, "URL")


def told_at(url: str, key: str | None = None) -> str:
    with pytest.raises((NotReachable, Refused)) as raised:
        GatewayClient(url, key).get("/x", list[Model])
    return str(raised.value)


def refusal(status: str, message: str) -> bytes:
    return answer_of(json.dumps({"error": {"message": message}}).encode(), status)


def test_whoever_shows_no_good_key_is_told_how_a_command_is_given_one() -> None:
    assert told_by(refusal("401 Unauthorized", "Not so.")) == (
        "Not so. Give a command its key with --key or PENSTOCK_KEY."
    )


def test_other_refusals_are_told_as_they_came() -> None:
    assert told_by(refusal("403 Forbidden", "Not so.")) == "Not so."


def test_what_a_refusal_says_stays_in_its_line() -> None:
    told = told_by(refusal("403 Forbidden", "one\ntwo \x1b[2J" + "x" * 1000))
    assert told.startswith("one two �[2Jxxx")
    assert len(told) == 501


def test_pages_and_other_json_are_told_from_a_gateway() -> None:
    ours = "as no Penstock does; do --url or PENSTOCK_URL say where the gateway is?"
    assert told_by(answer_of(b"<html>", kind="text/html")) == f"URL answers, but not in JSON, {ours}"
    assert told_by(answer_of(b"[" * 100_000)) == f"URL answers, but not in JSON, {ours}"
    assert told_by(answer_of(b'{"object": "list"}')) == (
        f"URL answers with other JSON (Expected `array`, got `object`), {ours}"
    )
    assert told_by(answer_of(b'[{"id": "a"}]')) == (
        f"URL answers with other JSON (Object missing required field `name` - at `$[0]`), {ours}"
    )
    for strange in (b"<html>", b'{"detail": "Not Found"}', b'{"error": "no"}', b"[" * 100_000):
        assert told_by(answer_of(strange, "404 Not Found")) == f"URL answers with status 404, {ours}"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_nobody_is_followed_elsewhere_with_a_key(status: str) -> None:
    with stranger(answer_of(b"[]")) as other:
        with stranger(answer_of(b"", status, more=f"Location: {other.url}/y\r\n")) as server:
            assert told_at(server.url, KEY) == (
                f"{server.url} sends to {other.url}/y: give --url or PENSTOCK_URL the address of the gateway itself"
            )
        assert other.asked == []


def test_silence_and_answers_without_an_end_are_given_up() -> None:
    assert told_by(None, timeout_s=0.1) == "URL has not answered for 0 s: is that where `penstock serve` runs?"
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 200_000
    assert "has not finished its answer after 0 s" in told_by(endless, longest_s=0.0)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 two hundred\r\n\r\n"])
def test_what_is_not_http_is_said_to_be_that(answer: bytes) -> None:
    assert "is answered by something that is not HTTP" in told_by(answer)


def test_an_answer_that_breaks_off_is_no_answer() -> None:
    assert "not in JSON" in told_by(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{"name": "a')


def test_nobody_there_is_told_from_a_name_that_is_not_known() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    assert told_at(url) == f"{url} is not answered by anybody: is `penstock serve` running?"
    assert "has a name that nobody knows" in told_at("http://no-such-host.invalid")


@pytest.mark.parametrize(
    "url", ["", "nonsense", "localhost:8080", "http://", "http://:80", "http://[", "http://h:port", "http://h:99999",
            "ftp://h", "file:///etc", "http://a b", "http://a\x00b"]
)  # fmt: skip
def test_an_address_that_is_none_is_told_as_that(url: str) -> None:
    assert told_at(url).endswith(
        "is no address of a gateway: give --url or PENSTOCK_URL one like http://127.0.0.1:8080"
    )


@pytest.mark.parametrize("key", [f"{KEY}\n", f"\u201c{KEY}\u201d", f"{KEY}\x00"])
def test_a_key_that_was_copied_badly_is_not_shown(key: str) -> None:
    told = told_at("http://127.0.0.1:1", key)
    assert "has characters that are in no key" in told
    assert KEY not in told


def test_a_server_of_the_other_kind_than_the_address_says_is_told_as_that(tmp_path: Path) -> None:
    certificate, secret = tmp_path / "cert.pem", tmp_path / "key.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    where = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*argv, *where, "-keyout", secret, "-out", certificate], check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, secret)
    with stranger(answer_of(b"[]"), tls=tls) as server:
        assert "shows a certificate that is not trusted here" in told_at(f"https://localhost:{server.port}")
        assert "is it https:// there?" in told_at(server.url)
    with stranger(answer_of(b"[]")) as server:
        assert "speaks no TLS: try http://" in told_at(f"https://127.0.0.1:{server.port}")


def test_what_was_asked_for_comes_with_all_that_it_holds() -> None:
    with stranger(answer_of(b'{"waiting": 0, "calls": [], "more": 1}')) as server:
        assert GatewayClient(server.url, KEY).get("/x", Queue) == {"waiting": 0, "calls": [], "more": 1}
        assert f"Authorization: Bearer {KEY}".encode() in server.asked[0]


# Whatever comes.

NAMES = some.sampled_from(
    ["name", "phase", "since", "running", "waiting", "slots", "aliases", "calls", "id", "models", "error", "message",
     "queued", "paused", "model", "profiles", "active", "requests", "loads", "verdict", "received_at", "estimate_s"]
)  # fmt: skip
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text() | NAMES,
    lambda inner: some.lists(inner) | some.dictionaries(NAMES | some.text(), inner),
    max_leaves=20,
)
FLOATS = some.floats(allow_nan=False)
MODEL = some.fixed_dictionaries(
    {"name": some.text(), "phase": some.text(), "since": FLOATS, "running": some.integers()}
    | {"waiting": some.integers(), "slots": some.none() | some.integers(), "memory_bytes": some.integers()}
    | {"aliases": some.lists(some.text()), "failure": some.none() | some.text(), "breaker_until": FLOATS}
    | {"is_pinned": some.booleans(), "is_paused": some.booleans()}
)
HTTP = some.builds(
    answer_of, JSON.map(lambda each: json.dumps(each).encode()) | some.binary(), some.sampled_from(["200 OK", "404 No"])
)


@given(
    some.sampled_from(COMMANDS),
    HTTP | some.binary() | some.lists(MODEL).map(lambda m: answer_of(json.dumps(m).encode())),
)
@settings(max_examples=200)
def test_every_command_says_in_a_line_what_it_cannot_use(command: list[str], answer: bytes) -> None:
    with stranger(answer) as server:
        done = CliRunner().invoke(app, [*command, "--url", server.url, "--key", KEY])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code in (0, 1, 4)
    assert done.exit_code == 0 or (len(done.stderr.splitlines()), done.stdout) == (1, "")
    assert KEY not in done.output
