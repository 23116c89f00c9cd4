"""HEAD wherever there is GET: the same answer, and none of its body."""

from __future__ import annotations

from contextlib import suppress

from penstock.web.door import CHANGING_GETS, App, Message, Receive, Send


class _Ended(Exception):
    """The head of an answer that would go on is all that was asked for."""


class AnswersHead:
    """An ASGI wrapper: what is inside knows GET alone. A GET that changes something has no HEAD."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"] in CHANGING_GETS:
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] != "http.response.body":
                await send(message)
                return
            await send({"type": "http.response.body", "body": b""})
            if message.get("more_body"):
                raise _Ended

        with suppress(_Ended):
            await self._app({**scope, "method": "GET"}, receive, send_head)
