"""`/usage/…` of a gateway: passed on to the usage API in its bookkeeper, with what the gateway knows itself."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from penstock.runtime.usage_relay import UsageRelay
from penstock.web.compat.overlaat import Overlaat

ABOUT_NOW = frozenset({"/usage/now", "/usage/health"})


class UsageRoute:
    """One route for all questions; the bookkeeper's own API says which there are."""

    def __init__(self, relay: UsageRelay, live: Overlaat) -> None:
        self._relay = relay
        self._live = live

    async def ask(self, request: Request) -> Response:
        """Raises UsageUnavailable."""
        scope = request.scope
        target: bytes = scope.get("raw_path") or scope["path"].encode()
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        live = bytes((await self._live.status()).body) if scope["path"] in ABOUT_NOW else b""
        answer = await self._relay.ask(target, live)
        return Response(answer.body, answer.status, media_type=answer.content_type)
