"""`/usage/…` of a gateway: passed on to the usage API in its bookkeeper, with what the gateway knows itself."""

from __future__ import annotations

import asyncio

from fastapi import Request
from fastapi.responses import Response

from penstock.runtime.records.usage_relay import UsageRelay
from penstock.web.compat.overlaat import Overlaat
from penstock.web.leaving import when_left

ABOUT_NOW = frozenset({"/usage/now", "/usage/health"})


class UsageRoute:
    """One route for all questions; the bookkeeper's own API says which there are."""

    def __init__(self, relay: UsageRelay, live: Overlaat) -> None:
        self._relay = relay
        self._live = live

    async def ask(self, request: Request) -> Response:
        """Raises UsageUnavailable. The bookkeeper, too, learns of an asker who leaves: its connection is gone."""
        scope = request.scope
        target: bytes = scope.get("raw_path") or scope["path"].encode()
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        live = bytes((await self._live.status()).body) if scope["path"] in ABOUT_NOW else b""
        asking = asyncio.create_task(self._relay.ask(target, live))
        try:
            async with when_left(request, asking.cancel):
                await asyncio.wait({asking})
        finally:
            asking.cancel()
        if asking.cancelled():
            return Response(status_code=503)  # to nobody
        answer = asking.result()
        return Response(answer.body, answer.status, media_type=answer.content_type)
