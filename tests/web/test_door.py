"""Who may use the routes that are no calls, and how they may say it."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from penstock.web.door import Door, Message
from tests.fakes import in_loop


async def asked(
    door: Door, *, peer: str = "127.0.0.1", method: str = "GET", path: str = "/api/v1/state", **headers: str
) -> int:
    """The status of the answer to one request."""
    fields = [
        (name.replace("_", "-").encode(), value.encode()) for name, value in {"host": "127.0.0.1", **headers}.items()
    ]
    scope = {"type": "http", "method": method, "path": path, "headers": fields, "client": (peer, 1)}
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    await door(scope, receive, send)
    return int(sent[0]["status"])


async def inside(scope: Message, receive: Any, send: Any) -> None:
    is_json = dict(scope["headers"]).get(b"content-type") == b"application/json"
    await send({"type": "http.response.start", "status": 202 if is_json else 200, "headers": []})


def door(*, origins: tuple[str, ...] = (), proxies: tuple[str, ...] = ()) -> Door:
    networks = [ip_network(each) for each in proxies]
    return Door(inside, checks_host=True, allowed_origins=origins, trusted_proxies=networks)


@in_loop
async def test_this_machine_may_look_and_another_may_not() -> None:
    assert await asked(door()) == 200
    assert await asked(door(), peer="10.0.0.7") == 403
    assert await asked(door(), peer="10.0.0.7", path="/health") == 200


@in_loop
async def test_a_forwarded_request_is_local_only_if_a_trusted_proxy_says_so() -> None:
    assert await asked(door(), x_forwarded_for="127.0.0.1") == 403
    assert await asked(door(), forwarded="for=10.0.0.7") == 403
    trusting = door(proxies=("127.0.0.1/32",))
    assert await asked(trusting, x_forwarded_for="127.0.0.1") == 200
    assert await asked(trusting, x_forwarded_for="127.0.0.1, 10.0.0.7") == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example"])
def test_a_name_that_was_made_to_point_here_is_refused(host: str) -> None:
    @in_loop
    async def refused() -> None:
        assert await asked(door(), host=host) == 403

    refused()


@in_loop
async def test_a_foreign_page_may_look_at_nothing_it_cannot_read_and_change_nothing() -> None:
    assert await asked(door(), method="POST", origin="https://evil.example") == 403
    assert await asked(door(origins=("*",)), method="POST", origin="https://evil.example") == 403
    assert await asked(door(origins=("https://mine.example",)), method="POST", origin="https://mine.example") == 202
    assert await asked(door(), method="POST", origin="http://127.0.0.1", host="127.0.0.1") == 202


@in_loop
async def test_a_command_is_json_whatever_the_client_calls_it() -> None:
    assert await asked(door(), method="POST", content_type="application/x-www-form-urlencoded") == 202
