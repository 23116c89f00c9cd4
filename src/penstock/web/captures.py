"""What calls said and were answered, for the operator: listed, shown, put together, exported."""

from __future__ import annotations

import base64
from typing import Annotated

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from penstock.core.calls.capture import KeptBody, KeptCapture, Summary
from penstock.core.calls.conversation import Conversation
from penstock.core.calls.curl import curl_command
from penstock.core.calls.message import Headers
from penstock.errors import NoSuchCapture
from penstock.runtime.captures.captures import Captures
from penstock.web.answers import json_answer


def add_capture_routes(app: FastAPI, captures: Captures) -> None:
    """All of them, also where llama-swap has its own."""
    routes = CaptureRoutes(captures)
    app.get("/api/v1/captures")(routes.page)
    app.delete("/api/v1/captures")(routes.clear)
    app.get("/api/v1/captures/one")(routes.one)
    app.get("/api/v1/captures/curl")(routes.curl)
    for prefix in ("", "/compat/llama-swap"):
        app.get(f"{prefix}/api/captures/{{capture_id}}", include_in_schema=False)(routes.llama_swap)


class BodyView(msgspec.Struct, frozen=True):
    """passed_bytes: how many came by. text: what is kept of them; None = it is no text, then `base64` has it.

    missing_bytes: not kept between beginning and end. absence: why nothing is kept; null = it is.
    """

    passed_bytes: int
    missing_bytes: int
    absence: str | None
    coding: str | None
    text: str | None
    base64: str | None


class RequestView(msgspec.Struct, frozen=True):
    method: str
    target: str
    http_version: str
    headers: list[tuple[str, str]]
    body: BodyView


class ResponseView(msgspec.Struct, frozen=True):
    """status None = no answer came (yet)."""

    status: int | None
    headers: list[tuple[str, str]]
    body: BodyView


class CaptureView(msgspec.Struct, frozen=True):
    """conversation: the same put together for reading; None = it is no conversation."""

    call: Summary
    level: str
    request: RequestView
    response: ResponseView
    conversation: Conversation | None


class CaptureRoutes:
    """Raises NoSuchCapture."""

    def __init__(self, captures: Captures) -> None:
        self._captures = captures

    async def page(self, before: int | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
        """Captures of calls that have ended, newest first. `next` = the `before` of the following page."""
        page = await self._captures.page(before=before, limit=limit)
        return json_answer({"captures": page.captures, "next": page.next})

    async def one(self, id: str, download: bool = False) -> Response:  # noqa: A002  # the query's names
        """One call; also of one that still runs, as far as it has come."""
        capture = await self._found(id)
        answer = json_answer(capture_view(capture, await self._captures.retold(capture)))
        if download:
            answer.headers["content-disposition"] = f'attachment; filename="capture-{_file_name(id)}.json"'
        return _private(answer)

    async def curl(self, request: Request, id: str) -> Response:  # noqa: A002  # the query's name
        """The call as a command that can be pasted into a shell."""
        capture = await self._found(id)
        address = str(request.base_url).rstrip("/")
        return _private(Response(curl_command(capture, address), media_type="text/plain; charset=utf-8"))

    async def clear(self) -> Response:
        """Throw away what is kept of calls that have ended."""
        await self._captures.clear()
        return json_answer({"captures": []})

    async def llama_swap(self, capture_id: str) -> Response:
        """One call in llama-swap's shape: bodies in base64, of each header its first value."""
        capture = await self._found(capture_id)
        return _private(
            json_answer(
                {
                    "id": capture.summary.id,
                    "req_path": capture.summary.path,
                    "req_headers": _first_values(capture.request_headers),
                    "req_body": base64.b64encode(capture.request.shown).decode("ascii"),
                    "resp_headers": _first_values(capture.response_headers),
                    "resp_body": base64.b64encode(capture.response.shown).decode("ascii"),
                }
            )
        )

    async def _found(self, capture_id: str) -> KeptCapture:
        capture = await self._captures.one(capture_id)
        if capture is None:
            raise NoSuchCapture(id=capture_id[:64])
        return capture


def capture_view(capture: KeptCapture, conversation: Conversation | None) -> CaptureView:
    summary = capture.summary
    request_headers, response_headers = _header_texts(capture.request_headers), _header_texts(capture.response_headers)
    target = capture.target.decode("utf-8", "replace")
    return CaptureView(
        summary,
        capture.level.value,
        RequestView(summary.method, target, capture.http_version, request_headers, _body_view(capture.request)),
        ResponseView(capture.status, response_headers, _body_view(capture.response)),
        conversation,
    )


def _body_view(body: KeptBody) -> BodyView:
    shown = body.shown
    try:
        text, encoded = shown.decode("utf-8", "replace" if body.missing_bytes else "strict"), None
    except UnicodeDecodeError:
        text, encoded = None, base64.b64encode(shown).decode("ascii")
    return BodyView(
        body.passed_bytes, body.missing_bytes, body.absence.value or None, body.coding or None, text, encoded
    )


def _header_texts(headers: Headers) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def _first_values(headers: Headers) -> dict[str, str]:
    return dict(reversed(_header_texts(headers)))


def _file_name(capture_id: str) -> str:
    return "".join(letter for letter in capture_id if letter.isascii() and (letter.isalnum() or letter == "-"))[:64]


def _private(answer: Response) -> Response:
    answer.headers["cache-control"] = "no-store"
    return answer
