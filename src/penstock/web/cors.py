"""Lets pages of origins that the operator named use what is for clients: the answers to their browsers' questions."""

from __future__ import annotations

from collections.abc import Collection

from penstock.core.calls.origin import is_allowed_origin
from penstock.runtime.access.cors import EXPOSED
from penstock.web.door import OPEN_PATHS, App, Message, Receive, Send

METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
MAX_AGE_S = 86_400


class Cors:
    """An ASGI wrapper: answers preflights, and says in answers to clients that their page may read them."""

    def __init__(self, app: App, allowed_origins: Collection[str]) -> None:
        self._app = app
        self._allowed = allowed_origins

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        origin: bytes | None = headers.get(b"origin")
        host = headers.get(b"host", b"").decode("latin-1") or None
        if origin is None or not self._allowed or not is_allowed_origin(origin.decode("latin-1"), host, self._allowed):
            await self._app(scope, receive, send)
            return
        allowed = [(b"access-control-allow-origin", origin), (b"vary", b"origin")]
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await _answer_preflight(allowed, headers, send)
            return

        async def send_allowed(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["path"] in OPEN_PATHS:
                exposed = (b"access-control-expose-headers", EXPOSED)
                message["headers"] = [*message.get("headers", ()), *allowed, exposed]
            await send(message)

        await self._app(scope, receive, send_allowed)


async def _answer_preflight(allowed: list[tuple[bytes, bytes]], headers: dict[bytes, bytes], send: Send) -> None:
    asked = headers.get(b"access-control-request-headers", b"")
    answer = [*allowed, (b"access-control-allow-methods", METHODS), (b"access-control-max-age", b"%d" % MAX_AGE_S)]
    if asked:
        answer.append((b"access-control-allow-headers", asked))
    await send({"type": "http.response.start", "status": 204, "headers": answer})
    await send({"type": "http.response.body", "body": b""})
