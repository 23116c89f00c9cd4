"""Who may ask the usage API when it runs alone: who shows its key; without one, this machine only.

A plain ASGI wrapper. Inside the bookkeeper it is not needed: there the gateway's own door has judged before.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from penstock.core.calls.origin import is_loopback, is_own_host
from penstock.errors import ForeignHost, GatewayError, LoopbackOnly, UnknownKey
from penstock.web.door import SECURITY_HEADERS, App, Message, Receive, Send, answer_error


class UsageDoor:
    """key None = none is needed, from this machine."""

    def __init__(self, app: App, key: str | None, *, checks_host: bool) -> None:
        self._app = app
        self._key = None if key is None else key.encode()
        self._checks_host = checks_host

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if error := self._refusal(scope, dict(scope["headers"])):
            await answer_error(error, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *SECURITY_HEADERS]
            await send(message)

        await self._app(scope, receive, send_guarded)

    def _refusal(self, scope: Message, headers: Mapping[bytes, bytes]) -> GatewayError | None:
        host = headers.get(b"host", b"").decode("latin-1") or None
        if self._checks_host and not is_own_host(host):
            return ForeignHost(host=host)
        if self._key is not None:
            shown = headers.get(b"x-api-key") or headers.get(b"authorization", b"").removeprefix(b"Bearer ").strip()
            return None if hmac.compare_digest(shown, self._key) else UnknownKey()
        peer = scope["client"][0] if scope.get("client") else None
        is_forwarded = b"x-forwarded-for" in headers or b"forwarded" in headers
        return None if is_loopback(peer) and not is_forwarded else LoopbackOnly(path=scope["path"])
