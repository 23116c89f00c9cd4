"""Who may use the routes that are no calls, and how they may say it."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from penstock.config.access import KeySettings, hashed
from penstock.runtime.access.keys import Keyring
from penstock.web.door import Door, Message
from tests.fakes import in_loop

Doors = Callable[..., Door]


async def asked(
    door: Door, *, peer: str = "127.0.0.1", method: str = "GET", path: str = "/api/v1/state", **headers: str
) -> int:
    """The status of the answer to one request."""
    fields = [
        (name.replace("_", "-").encode(), value.encode()) for name, value in {"host": "127.0.0.1", **headers}.items()
    ]
    scope: Message = {"type": "http", "method": method, "path": path, "headers": fields, "client": (peer, 1)}
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


def keyring(folder: Path, **keys: dict[str, object]) -> Keyring:
    written = {name: KeySettings.model_validate({"hash": hashed(f"sk-{name}"), **key}) for name, key in keys.items()}
    return Keyring(written, folder, "01234567")


@pytest.fixture
def door(tmp_path: Path) -> Doors:
    """A door, without keys unless told."""

    def made(*, origins: tuple[str, ...] = (), proxies: tuple[str, ...] = (), keys: Keyring | None = None) -> Door:
        networks = [ip_network(each) for each in proxies]
        keys = keys or keyring(tmp_path)
        return Door(inside, keys, checks_host=True, allowed_origins=origins, trusted_proxies=networks)

    return made


@pytest.fixture
def guarded(door: Doors, tmp_path: Path) -> Door:
    """One key of each role: `sk-boss`, `sk-eye` and `sk-app`."""
    return door(keys=keyring(tmp_path, boss={"role": "admin"}, eye={"role": "viewer"}, app={}))


@in_loop
async def test_this_machine_may_look_and_another_may_not(door: Doors) -> None:
    assert await asked(door()) == 200
    assert await asked(door(), peer="10.0.0.7") == 403
    assert await asked(door(), peer="10.0.0.7", path="/health") == 200


@in_loop
async def test_a_forwarded_request_is_local_only_if_a_trusted_proxy_says_so(door: Doors) -> None:
    assert await asked(door(), x_forwarded_for="127.0.0.1") == 403
    assert await asked(door(), forwarded="for=10.0.0.7") == 403
    trusting = door(proxies=("127.0.0.1/32",))
    assert await asked(trusting, x_forwarded_for="127.0.0.1") == 200
    assert await asked(trusting, x_forwarded_for="127.0.0.1, 10.0.0.7") == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example"])
def test_a_name_that_was_made_to_point_here_is_refused(host: str, door: Doors) -> None:
    @in_loop
    async def refused() -> None:
        assert await asked(door(), host=host) == 403

    refused()


@in_loop
async def test_a_foreign_page_may_look_at_nothing_it_cannot_read_and_change_nothing(door: Doors) -> None:
    assert await asked(door(), method="POST", origin="https://evil.example") == 403
    assert await asked(door(origins=("*",)), method="POST", origin="https://evil.example") == 403
    assert await asked(door(origins=("https://mine.example",)), method="POST", origin="https://mine.example") == 202
    assert await asked(door(), method="POST", origin="http://127.0.0.1", host="127.0.0.1") == 202


@in_loop
async def test_a_command_is_json_whatever_the_client_calls_it(door: Doors) -> None:
    assert await asked(door(), method="POST", content_type="application/x-www-form-urlencoded") == 202


@pytest.mark.parametrize("path", ["/health", "/", "/ui", "/page/main.js", "/api/v1/session"])
def test_with_keys_only_a_sign_of_life_and_the_page_to_log_in_on_need_none(path: str, guarded: Door) -> None:
    @in_loop
    async def answered() -> None:
        assert await asked(guarded, path=path, peer="10.0.0.7") == 200

    answered()


@pytest.mark.parametrize(
    ("method", "path", "statuses"),  # for: no key, an unknown one, app, eye, boss
    [
        ("GET", "/v1/models", [401, 401, 200, 200, 200]),
        ("GET", "/v1/models/qwen", [401, 401, 200, 200, 200]),
        ("GET", "/api/v1/state", [401, 401, 403, 200, 200]),
        ("HEAD", "/metrics", [401, 401, 403, 200, 200]),
        ("GET", "/api/openapi.json", [401, 401, 403, 200, 200]),
        ("GET", "/nothing/here", [401, 401, 403, 200, 200]),
        ("GET", "/ui.bak", [401, 401, 403, 200, 200]),
        ("POST", "/api/v1/models/load", [401, 401, 403, 403, 202]),
        ("POST", "/__queue/cancel/x", [401, 401, 403, 403, 202]),
        ("DELETE", "/api/v1/x", [401, 401, 403, 403, 200]),
        ("GET", "/unload", [401, 401, 403, 403, 200]),
        ("OPTIONS", "/v1/chat/completions", [200, 200, 200, 200, 200]),
        ("OPTIONS", "/api/v1/state", [401, 401, 403, 200, 200]),
    ],
)
def test_with_keys_a_viewer_looks_and_an_admin_changes(
    method: str, path: str, statuses: list[int], guarded: Door
) -> None:
    @in_loop
    async def answered() -> None:
        keys = [{}, *({"x_api_key": f"sk-{name}"} for name in ("nobody", "app", "eye", "boss"))]
        assert [await asked(guarded, method=method, path=path, peer="10.0.0.7", **key) for key in keys] == statuses

    answered()


@in_loop
async def test_a_session_looks_by_its_cookie_and_changes_only_with_the_pages_header(
    door: Doors, tmp_path: Path
) -> None:
    keys = keyring(tmp_path, boss={"role": "admin"})
    guarded, sessions = door(keys=keys), keys.sessions
    cookie = f"{sessions.cookie_name}={sessions.open(keys.keys[0].digest)}"
    assert await asked(guarded, cookie=cookie) == 200
    assert await asked(guarded, cookie=cookie, method="POST") == 403
    assert await asked(guarded, cookie=cookie, path="/unload") == 403
    assert await asked(guarded, cookie=cookie, method="POST", x_penstock_page="1") == 202
    evil = "https://evil.example"
    assert await asked(guarded, cookie=cookie, method="POST", x_penstock_page="1", origin=evil) == 403
    sessions.close(cookie.encode())
    assert await asked(guarded, cookie=cookie) == 401


@pytest.mark.parametrize("configured", [{"eye": {"role": "viewer"}}, {}], ids=["revoked", "first"])
@in_loop
async def test_an_answer_that_goes_on_ends_when_its_key_is_revoked_and_with_the_first_key_of_all(
    configured: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    keys = keyring(tmp_path, **configured)
    sent: list[bytes] = []
    went_on: list[bool] = []

    async def stream(scope: Message, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        keys.configure({"other": KeySettings.model_validate({"hash": hashed("sk-other")})})
        await send({"type": "http.response.body", "body": b"second", "more_body": True})
        went_on.append(True)

    async def send(message: Message) -> None:
        sent.append(message.get("body", b"head"))

    scope: Message = {
        "type": "http", "method": "GET", "path": "/api/v1/live", "client": ("127.0.0.1", 1),
        "headers": [(b"host", b"localhost"), (b"authorization", b"Bearer sk-eye")],
    }  # fmt: skip
    guarded = Door(stream, keys, checks_host=True, allowed_origins=(), trusted_proxies=())
    await guarded(scope, None, send)  # type: ignore[arg-type]
    assert (sent, went_on) == ([b"head", b"first", b""], [])
