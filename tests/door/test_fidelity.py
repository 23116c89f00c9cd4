"""What passes through Penstock is what passes through nginx, but for a list of differences that are meant.

One engine stands behind both; each exchange goes both ways, and what engine and client saw is compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from penstock.wire.headers import HOP_BY_HOP
from tests.door.beside_nginx import Seen, Ways, both_ways, nginx_program
from tests.door.odd_http import Odd, odd_exchanges
from tests.door.raw import Fields, Heard
from tests.fakes import Request

pytestmark = pytest.mark.skipif(nginx_program() is None, reason="nginx is not on this machine")

PREFIX = "/upstream/m"
CHAT = "/v1/chat/completions"
FEW, MANY = 150, 5000

OURS = (
    "x-request-id",
    "x-penstock-id",
    "x-penstock-model",
    "x-penstock-queue-ms",
    "x-penstock-load-ms",
    "x-penstock-position",
)
"""We say of every answer where its record is, and what the wait was."""

HOP = frozenset(name.decode() for name in HOP_BY_HOP) - {"transfer-encoding"}
"""nginx passes on TE, Keep-Alive, Proxy-Connection and others, which RFC 9110 section 7.6.1 has a proxy remove.
What a sender names in Connection is for the next hop only, too; nginx overlooks that."""


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    with both_ways(tmp_path_factory.mktemp("fidelity")) as ways:
        yield ways


def named_in_connection(odd: Odd) -> set[str]:
    return {each.strip().lower() for name, value in odd.headers if name == "Connection" for each in value.split(",")}


def request_fields(request: Request, odd: Odd) -> Fields:
    """The headers that must be the same for the engine."""
    dropped = HOP | named_in_connection(odd) | {"host"}  # the two write the engine's address differently
    fields = [(name.lower(), value.encode("latin-1")) for name, value in request.headers]
    return in_order([(name, value) for name, value in fields if name not in dropped])


def reply_fields(heard: Heard) -> Fields:
    """The headers that must be the same for the client."""
    dropped = {*HOP, *OURS}
    return in_order([(name, value) for name, value in heard.headers if name not in dropped])


def in_order(fields: Fields) -> Fields:
    """Of headers, only the order of those with the same name means something (RFC 9110, section 5.3)."""
    return sorted(fields, key=lambda each: each[0])


def request_differences(odd: Odd, ours: Seen, theirs: Seen) -> list[str]:
    """In what the engine was asked otherwise than through nginx, or than the client asked."""
    if ours.asked is None or theirs.asked is None:
        return [] if ours.asked is theirs.asked else [f"only one reached the engine: {ours.heard}, {theirs.heard}"]
    pairs = {
        "method": (ours.asked.method, theirs.asked.method),
        "method as asked": (ours.asked.method, odd.method),
        "target": (ours.asked.target, theirs.asked.target),
        "version": (ours.asked.version, theirs.asked.version),
        "body": (ours.asked.body, theirs.asked.body),
        "body as asked": (ours.asked.body, odd.body),
        "headers": (request_fields(ours.asked, odd), request_fields(theirs.asked, odd)),
    }
    return [f"request {name}: {one!r}, not {other!r}" for name, (one, other) in pairs.items() if one != other]


def reply_differences(ours: Heard, theirs: Heard) -> list[str]:
    """In what the client heard otherwise."""
    pairs = {
        "status": (ours.status, theirs.status),
        "interim": (ours.interim, theirs.interim),
        "framing": ((ours.framing, ours.is_whole), (theirs.framing, theirs.is_whole)),
        "body": (ours.body, theirs.body),
        "headers": (reply_fields(ours), reply_fields(theirs)),
    }
    return [f"reply {name}: {one!r}, not {other!r}" for name, (one, other) in pairs.items() if one != other]


def differences(ways: Ways, odd: Odd) -> list[str]:
    """Between what passes below `/upstream` and what passes through nginx."""
    theirs = ways.through_nginx(odd)
    ours = ways.through_penstock(odd, PREFIX)
    return request_differences(odd, ours, theirs) + reply_differences(ours.heard, theirs.heard)


def chat_differences(ways: Ways, odd: Odd) -> list[str]:
    """The same for a row of the table, whose requests are read."""
    body = b'{ "model":"m" ,\n "messages":[], "odd": 1.50 ,"dup":1,"dup":2, "u":"\\u00e9"}' + b" " * (
        len(odd.body) % 100
    )
    asked = replace(odd, method="POST", path=CHAT, body=body)
    theirs = ways.through_nginx(asked)
    ours = ways.through_penstock(asked, "")
    return request_differences(asked, ours, theirs) + reply_differences(ours.heard, theirs.heard)


QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@given(odd=odd_exchanges())
@settings(max_examples=FEW, suppress_health_check=QUIET)
def test_what_passes_below_upstream_is_what_nginx_passes(ways: Ways, odd: Odd) -> None:
    assert differences(ways, odd) == []


@given(odd=odd_exchanges())
@settings(max_examples=FEW, suppress_health_check=QUIET)
def test_what_passes_on_an_endpoint_is_what_nginx_passes(ways: Ways, odd: Odd) -> None:
    assert chat_differences(ways, odd) == []


@pytest.mark.long
@pytest.mark.timeout(1800)
@given(odd=odd_exchanges())
@settings(max_examples=MANY, suppress_health_check=QUIET)
def test_very_many_pass_as_nginx_passes_them(ways: Ways, odd: Odd) -> None:
    assert differences(ways, odd) == []
    assert chat_differences(ways, odd) == []
