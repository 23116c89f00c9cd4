"""Who may use the routes that are no calls: checked once, before any of them.

A plain ASGI wrapper: streams pass through it untouched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from contextlib import suppress
from typing import Any

from penstock.core.calls.key import Key, Role
from penstock.core.calls.origin import Network, client_of, is_allowed_origin, is_loopback, is_own_host
from penstock.errors import ForeignHost, ForeignOrigin, GatewayError, LoopbackOnly, PageHeaderMissing, RoleRequired
from penstock.protocols.endpoints import BY_PATH
from penstock.protocols.refusals import anthropic_refusal, openai_refusal
from penstock.runtime.access.keys import Keyring
from penstock.runtime.calls.told import CHALLENGE

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

OPEN_PATHS = frozenset({"/health", "/v1/models", "/models", "/models/"})
"""Answered to everybody while no keys are configured."""
KEYLESS_PATHS = frozenset({"/health", "/", "/ui", "/ui/", "/api/v1/session"})
"""Answered without a key: that it lives, and the page on which a key can be shown."""
CHANGING_GETS = frozenset({"/unload", "/compat/llama-swap/unload"})
"""Another system's routes that change something although they are asked for with GET."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PAGE_HEADER = b"x-penstock-page"
ANTHROPIC_HEADER = b"anthropic-version"
"""Anthropic's own clients send it, and read answers in their form."""
KEY = "penstock.key"
"""Where, in a request's scope, its Key is; None = no keys are configured, or the path needs none."""
JSON = (b"content-type", b"application/json")
SECURITY_HEADERS = [
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class _Ended(Exception):
    """Who is being answered, on and on, would not be let in any more: the key is gone, or keys are wanted now."""


class Door:
    """Refuses foreign hosts and origins. What shows or changes the gateway needs a key with a role for it; while no
    keys are configured, it is answered to this machine only.
    """

    def __init__(
        self,
        app: App,
        keyring: Keyring,
        *,
        checks_host: bool,
        allowed_origins: Collection[str],
        trusted_proxies: Collection[Network],
    ) -> None:
        self._app = app
        self._keyring = keyring
        self._checks_host = checks_host
        self._allowed_origins = [origin for origin in allowed_origins if origin != "*"]  # `*` opens inference only
        self._trusted_proxies = trusted_proxies

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        scope[KEY] = None
        if error := self._refusal(scope, headers):
            await answer_error(error, send, is_anthropics=ANTHROPIC_HEADER in headers)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *SECURITY_HEADERS]
            elif message.get("more_body") and self._refusal(scope, headers):
                await send({"type": "http.response.body", "body": b""})
                raise _Ended
            await send(message)

        if scope["method"] in ("POST", "PUT"):  # bodies here are JSON, also from a `curl -d` that says otherwise
            scope["headers"] = [*(h for h in scope["headers"] if h[0] != b"content-type"), JSON]
        with suppress(_Ended):
            await self._app(scope, receive, send_guarded)

    def _refusal(self, scope: Message, headers: dict[bytes, bytes]) -> GatewayError | None:
        host = headers.get(b"host", b"").decode("latin-1") or None
        origin = headers[b"origin"].decode("latin-1") if b"origin" in headers else None
        if self._checks_host and not is_own_host(host):
            return ForeignHost(host=host)
        if scope["method"] not in SAFE_METHODS and not is_allowed_origin(origin, host, self._allowed_origins):
            return ForeignOrigin(origin=origin)
        if scope["method"] == "OPTIONS" and scope["path"].encode("utf-8", "surrogateescape") in BY_PATH:
            return None  # which methods calls are made with is no secret, and a browser asks it without a key
        if not self._keyring.is_open:
            return self._refusal_by_key(scope, headers)
        if not _is_open(scope["path"]) and not self._is_local(scope, headers):
            return LoopbackOnly(path=scope["path"])
        return None

    def _refusal_by_key(self, scope: Message, headers: dict[bytes, bytes]) -> GatewayError | None:
        path, changes = scope["path"], scope["method"] not in SAFE_METHODS or scope["path"] in CHANGING_GETS
        if path in KEYLESS_PATHS or path.startswith("/page/"):
            return None
        key: Key | GatewayError | None = self._keyring.in_session(headers)
        if key is not None and changes and PAGE_HEADER not in headers:
            return PageHeaderMissing()
        if key is None:
            key = self._keyring.judge_fields(headers, scope["headers"])
        if isinstance(key, GatewayError):
            return key
        scope[KEY] = key
        needed = None if _is_open(path) else Role.ADMIN if changes else Role.VIEWER
        if key is None or needed is None or (key.may_change if changes else key.may_look):
            return None
        return RoleRequired(path=path, needed=needed.value, key=key.name, role=key.role.value)

    def _is_local(self, scope: Message, headers: dict[bytes, bytes]) -> bool:
        """Asked from this machine. A proxy that nobody declared trusted may stand for anybody."""
        peer = scope["client"][0] if scope.get("client") else None
        forwarded = headers.get(b"x-forwarded-for", b"").decode("latin-1")
        if not self._trusted_proxies:
            return is_loopback(peer) and not forwarded and b"forwarded" not in headers
        return is_loopback(client_of(peer, forwarded, self._trusted_proxies))


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith("/v1/models/")


async def answer_error(error: GatewayError, send: Send, *, is_anthropics: bool = False) -> None:
    """A refusal, from before any application. is_anthropics: in the form that Anthropic's clients read."""
    reply = (anthropic_refusal if is_anthropics else openai_refusal)(error, "")
    headers = [*reply.headers, (b"content-length", b"%d" % len(reply.body)), *SECURITY_HEADERS]
    if error.status == 401:
        headers.append(CHALLENGE)
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
