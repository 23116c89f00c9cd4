"""A captured call as a command: pasted into a shell it asks the same again, and nothing in it is ever executed."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.core.calls.capture import Absence, CaptureLevel, KeptBody, KeptCapture, Summary
from penstock.core.calls.curl import LONGEST_ARGUMENT, curl_command
from penstock.core.calls.message import Headers
from penstock.core.calls.redact import MASK
from tests.fakes import FakeEngine, in_loop

ADDRESS = "http://127.0.0.1:9"
JSON: Headers = [(b"content-type", b"application/json")]
FORM = "multipart/form-data; boundary=b"


def capture(body: bytes, headers: Headers = JSON, target: bytes = b"/v1/chat/completions") -> KeptCapture:
    summary = Summary("i", 0.0, "POST", target.decode("latin-1"), "d", "m", None, 200, "completed", 1.0, len(body), 0)
    kept = KeptBody(len(body), body)
    return KeptCapture(summary, CaptureLevel.FULL, target, "1.1", headers, kept, 200, [], KeptBody())


def said_by_shell(command: str, key: str = "my-key") -> list[bytes]:
    """The words that curl would get, and what it would read: run with a curl that only tells."""
    script = 'curl() { for word; do printf "%s\\0" "$word"; done; printf "<<"; [ "$word" != @- ] || cat; }\n'
    ran = subprocess.run(
        ["/bin/sh", "-eu", "-s"],
        input=(script + command).encode(),
        env={"PENSTOCK_KEY": key, "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        check=True,
        timeout=20,
    )
    words, _, piped = ran.stdout.partition(b"\0<<")
    return [*words.split(b"\0"), piped]


def sent_body(words: list[bytes]) -> bytes:
    return words[-1] if b"--data-binary" in words else words[words.index(b"--data-raw") + 1]


@in_loop
async def test_the_command_run_by_a_shell_asks_an_engine_the_same() -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not on this machine")
    bodies = [
        '{"model":"m","messages":[{"role":"user","content":"it\'s $HOME `id` \\\\n é"}]}'.encode(),
        b'{"model":"m",\n "messages":[]}\n',
        b'{"messages":"' + b"x" * (2 * LONGEST_ARGUMENT) + b'"}',
        b'{"odd":"\x1b[201~\x7f","messages":[]}',
        bytes(range(256)),
    ]
    async with FakeEngine() as engine:
        for body in bodies:
            headers = [*JSON, (b"Authorization", b"Bearer " + MASK), (b"x-empty", b""), (b"x-it's", b'"$1"')]
            command = curl_command(capture(body, headers), f"http://127.0.0.1:{engine.port}")
            shell = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", command if len(command) < 120_000 else "sh -s",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, env={"PENSTOCK_KEY": "k1"},
            )  # fmt: skip
            await shell.communicate(command.encode() if len(command) >= 120_000 else None)
            assert shell.returncode == 0
            seen = engine.seen.requests[-1]
            assert (seen.method, seen.path, seen.body) == ("POST", "/v1/chat/completions", body)


@settings(max_examples=60, deadline=None)
@given(
    st.binary(min_size=1, max_size=200)
    | st.text(min_size=1, max_size=100).map(lambda text: text.encode("utf-8", "replace"))
)
def test_no_body_ever_leaves_its_quotes(body: bytes) -> None:
    words = said_by_shell(curl_command(capture(body), ADDRESS))
    assert sent_body(words) == body
    assert words[:5] == [b"-sS", b"-N", b"-g", b"--path-as-is", b"http://127.0.0.1:9/v1/chat/completions"]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_no_header_and_no_path_does_either(value: bytes, target: bytes) -> None:
    command = curl_command(capture(b"{}", [*JSON, (b"x-said", value)], b"/" + target), ADDRESS)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", command)
    words = said_by_shell(command, key="")
    assert words.count(b"--data-raw") == 1 or b"--data-raw" in value + target
    assert all(
        word.startswith((b"-", b"http://127.0.0.1:9/", b"{}", b"content-type: ", b"x-said", b"expect:")) or not word
        for word in words
    )


def test_the_key_is_a_placeholder_and_other_secrets_are_left_out() -> None:
    headers = [
        *JSON,
        (b"Authorization", b"Bearer " + MASK),
        (b"X-Api-Key", MASK),
        (b"Cookie", MASK),
        (b"x-auth-token", MASK),
        (b"Content-Length", b"2"),
    ]
    command = curl_command(capture(b"{}", headers, b"/v1/x?key=" + MASK), ADDRESS)
    words = said_by_shell(command)
    assert words[4] == b"http://127.0.0.1:9/v1/x?key=my-key"
    assert [word for word in words if b"my-key" in word[:40]][1:] == [
        b"Authorization: Bearer my-key",
        b"X-Api-Key: my-key",
    ]
    assert b"ookie" not in command.encode()
    assert "x-auth-token" not in command
    assert "# set PENSTOCK_KEY to your key\n" in command


def test_what_is_not_as_it_was_is_said_above() -> None:
    whole = capture(b"")
    media = replace(whole, request=KeptBody(9, absence=Absence.MEDIA))
    cut = replace(whole, request=KeptBody(99, b"a " + MASK, 50, b"b"))
    assert "# its body (9 bytes) is not kept, as sound, pictures and files never are\n" in curl_command(media, ADDRESS)
    assert curl_command(cut, ADDRESS).startswith("# 50 bytes in the middle")
    assert "# secrets in its body are masked\n" in curl_command(cut, ADDRESS)


@in_loop
async def test_for_a_body_that_is_not_kept_the_command_has_a_place(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not on this machine")
    (tmp_path / "FILE").write_bytes(b'{"model":"m"}')
    async with FakeEngine() as engine:
        for content_type, path in (("application/json", "/v1/audio/voices"), (FORM, "/v1/images/edits")):
            headers = [(b"content-type", content_type.encode())]
            whole = capture(b"", headers, path.encode())
            kept = KeptBody(900, absence=Absence.ENDPOINT)
            absent = replace(whole, summary=replace(whole.summary, model="@FILE"), request=kept)
            command = curl_command(absent, f"http://127.0.0.1:{engine.port}")
            assert command.startswith(
                "# its body (900 bytes) is not kept, as it never is for this path\n# put your own"
            )
            shell = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", command, cwd=tmp_path, stdout=asyncio.subprocess.DEVNULL
            )
            assert await shell.wait() == 0
        as_it_is, form = engine.seen.requests[-2:]
        assert (as_it_is.method, as_it_is.body) == ("POST", b'{"model":"m"}')
        assert b'name="model"\r\n\r\n@FILE\r\n' in form.body
        assert b'name="image"; filename="FILE"' in form.body
