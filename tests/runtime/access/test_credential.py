"""Which key a request shows, whatever stands in its headers."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.calls.message import Headers
from penstock.errors import AmbiguousKey
from penstock.runtime.access.credential import CARRIERS, secret_in, shown_digest

BASIC = b"Basic " + base64.b64encode(b"ann:sk-1")


def shown(*headers: tuple[bytes, bytes]) -> bytes | None:
    """As the wire hands them over: all of them, and one value of each by its name in lower case."""
    written: Headers = [(b"Host", b"h"), *headers]
    return shown_digest({name.lower(): value for name, value in written}, written)


@pytest.mark.parametrize(
    "header",
    [
        (b"Authorization", b"Bearer sk-1"),
        (b"authorization", b"bearer   sk-1 "),
        (b"Authorization", BASIC),
        (b"Authorization", b"sk-1"),
        (b"x-api-key", b"sk-1"),
        (b"Api-Key", b" sk-1"),
        (b"x-api-key", b"Bearer sk-1"),
    ],
)
def test_the_same_key_is_the_same_wherever_it_is_shown(header: tuple[bytes, bytes]) -> None:
    assert shown(header) == hashlib.sha256(b"sk-1").digest()


@pytest.mark.parametrize("value", [b"", b" ", b"Bearer", b"Bearer ", b"Basic !", b"Basic " + base64.b64encode(b"ann:")])
def test_what_shows_nothing_shows_no_key(value: bytes) -> None:
    assert shown((b"authorization", value)) is None
    assert shown((b"authorization", value), (b"x-api-key", b"sk-1")) == hashlib.sha256(b"sk-1").digest()
    assert shown() is None


def test_the_same_key_may_be_shown_twice() -> None:
    both = shown((b"authorization", b"Bearer sk-1"), (b"x-api-key", b"sk-1"), (b"Authorization", b"Bearer sk-1"))
    assert both == hashlib.sha256(b"sk-1").digest()


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer sk-1"), (b"x-api-key", b"sk-2")],
        [(b"Authorization", b"Bearer sk-1"), (b"authorization", b"Bearer sk-2")],
        [(b"x-api-key", b"sk-1"), (b"api-key", b"sk-2")],
        [(b"authorization", BASIC), (b"authorization", b"Bearer sk-2")],
    ],
)
def test_different_keys_are_refused_and_none_is_repeated_to_the_caller(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(AmbiguousKey) as refused:
        shown(*headers)
    assert refused.value.status == 401
    assert "sk-" not in refused.value.message


@pytest.mark.parametrize("value", [b"\0", b"Bearer \0\xff\xfe", b"\xf0\x28", b"k" * 2**20, b"Basic " + b"A" * 2**20])
def test_a_hostile_value_is_a_key_that_nobody_has(value: bytes) -> None:
    digest = shown((b"authorization", value))
    assert digest is None or len(digest) == 32


@given(st.lists(st.tuples(st.sampled_from([*CARRIERS, b"X-Api-Key", b"accept"]), st.binary(max_size=40)), max_size=6))
def test_any_headers_show_one_key_none_or_are_refused(headers: list[tuple[bytes, bytes]]) -> None:
    secrets = {secret_in(value) for name, value in headers if name.lower() in CARRIERS} - {b""}
    try:
        digest = shown(*headers)
    except AmbiguousKey:
        assert len(secrets) > 1
    else:
        assert digest == next((hashlib.sha256(each).digest() for each in secrets), None)
