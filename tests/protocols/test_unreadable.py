"""A body that cannot be read is refused in words that say where it is wrong, or what it is instead."""

from __future__ import annotations

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import BadRequest, InvalidJson
from penstock.protocols.unreadable import LOOKED_AT_BYTES, explained


class Options(msgspec.Struct):
    include_usage: bool | None = None


class Peek(msgspec.Struct):
    model: str | None = None
    stream: bool | None = None
    stream_options: Options | None = None


def refusal(body: bytes) -> BadRequest:
    """What is said of a body that is none of ours."""
    try:
        msgspec.json.decode(body, type=Peek)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        return explained(exc, body)
    raise AssertionError("it can be read")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"hello", "expecting value (line 1, column 1)"),
        (b'{"model": "m",\n "messages": [}', "expecting value (line 2, column 15)"),
        (b"{'model': 'm'}", "expecting property name enclosed in double quotes (line 1, column 2)"),
        (b'{"model": "m", "messages": [', "it ends too early"),
        (b'{"model": "m"} {}', "extra data (line 1, column 16)"),
        (b'{"model":"\0"}', "invalid control character (line 1, column 11)"),
        (b'{"model":"\xe9"}', "it is not UTF-8 (byte 10)"),
        (b'{"model":"\\ud800"}', "an escape in it (\\ud800 to \\udfff) is only half of a character"),
        (b'{"model":"m","temperature":NaN}', "NaN is no number in JSON"),
        (b"\xef\xbb\xbf{}", "it begins with a byte order mark; leave that out"),
        ('{"model":"m"}'.encode("utf-16"), "it is UTF-16 or UTF-32; JSON is sent as UTF-8"),
        ('{"model":"m"}'.encode("utf-16-le"), "it is UTF-16 or UTF-32; JSON is sent as UTF-8"),
        (b"\x1f\x8b\x08\x00abc", "it is compressed with gzip; send it uncompressed"),
        (b"model=m&stream=true", "it is a form (name=value), and this path takes JSON"),
        (b"--b\r\nContent-Disposition", "it is a form (multipart/form-data), and this path takes JSON"),
        (b'{"x":' + b"[" * 60_000, "it is nested too deeply"),
    ],
)
def test_what_is_no_json_is_told_with_the_place_or_with_what_it_is(body: bytes, reason: str) -> None:
    error = refusal(body)
    assert (type(error), error.message) == (InvalidJson, f"The request body is not valid JSON: {reason}.")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[1]", 'it must be a JSON object ({"model": …}), and is an array'),
        (b"null", 'it must be a JSON object ({"model": …}), and is null'),
        (b'"x"', 'it must be a JSON object ({"model": …}), and is a string'),
        (b'{"model":7}', "`model` must be a string, and is a number"),
        (b'{"model":["m"]}', "`model` must be a string, and is an array"),
        (b'{"model":null,"stream":"yes"}', "`stream` must be a boolean, and is a string"),
        (b'{"stream":1}', "`stream` must be a boolean, and is a number"),
        (b'{"stream_options":[]}', "`stream_options` must be an object, and is an array"),
        (
            b'{"stream_options":{"include_usage":0.5}}',
            "`stream_options.include_usage` must be a boolean, and is a number",
        ),
    ],
)
def test_a_member_of_a_wrong_type_is_named_with_the_type_that_it_must_have(body: bytes, reason: str) -> None:
    error = refusal(body)
    assert (type(error), error.message) == (BadRequest, f"The request is not valid: {reason}.")


def test_a_long_body_is_told_by_its_byte_at_once() -> None:
    body = b'{"x": "' + b"y" * 50_000_000 + b'", }'
    began_s = time.process_time()
    error = explained(msgspec.DecodeError("JSON is malformed: trailing comma in object (byte 50000010)"), body)
    assert error.message.endswith("trailing comma in object (byte 50000010).")
    assert time.process_time() - began_s < 0.05


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_every_body_that_cannot_be_read_has_a_reason(body: bytes) -> None:
    said: list[str] = []
    for padded in (body, body + b" " * LOOKED_AT_BYTES):
        try:
            msgspec.json.decode(padded, type=Peek)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            said.append(explained(exc, padded).message)
    assert all(len(message) > len("The request is not valid: .") for message in said)
