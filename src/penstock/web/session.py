"""Logging in to the page: a key is traded for a cookie, which only the page's own requests can use."""

from __future__ import annotations

import hashlib

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from penstock.core.calls.key import Key
from penstock.errors import BadRequest, GatewayError, PageHeaderMissing, RoleRequired
from penstock.runtime.access.sessions import LIFETIME_S
from penstock.runtime.gateway import Gateway
from penstock.web.answers import json_answer
from penstock.web.door import PAGE_HEADER


class Shown(BaseModel):
    """The key that is shown."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    key: str


class SessionRoutes:
    """Raises Unauthorized, RoleRequired, PageHeaderMissing, BadRequest."""

    def __init__(self, gateway: Gateway) -> None:
        self._keyring = gateway.keyring

    async def show(self, request: Request) -> Response:
        """Whether a key is needed at all, and whose session this is."""
        key = self._keyring.in_session({b"cookie": _header(request, "cookie")})
        return json_answer({"is_needed": not self._keyring.is_open, "key": None if key is None else _told(key)})

    async def open(self, request: Request, body: Shown) -> Response:
        _check_page(request)
        if self._keyring.is_open:
            raise BadRequest(reason="no keys are configured, so there is nothing to log in to")
        key = self._keyring.known(hashlib.sha256(body.key.strip().encode("utf-8", "surrogatepass")).digest())
        if isinstance(key, GatewayError):
            raise key
        if not key.may_look:
            raise RoleRequired(path="The page", needed="viewer", key=key.name, role=key.role.value)
        answer = json_answer({"is_needed": True, "key": _told(key)})
        self._set_cookie(request, answer, self._keyring.sessions.open(key.digest), LIFETIME_S)
        return answer

    async def close(self, request: Request) -> Response:
        _check_page(request)
        self._keyring.sessions.close(_header(request, "cookie"))
        answer = json_answer({"is_needed": not self._keyring.is_open, "key": None})
        self._set_cookie(request, answer, "", 0)
        return answer

    def _set_cookie(self, request: Request, answer: Response, token: str, max_age_s: int) -> None:
        """`Secure` where the page came by https, which the browser says itself, or the proxy before us."""
        is_https = request.headers.get("origin", "").startswith("https://")
        is_https |= request.headers.get("x-forwarded-proto") == "https"
        name = self._keyring.sessions.cookie_name
        answer.set_cookie(name, token, max_age=max_age_s, secure=is_https, httponly=True, samesite="strict")


def _check_page(request: Request) -> None:
    """A form of another site could log somebody in under a key of its own choice."""
    if PAGE_HEADER.decode("ascii") not in request.headers:
        raise PageHeaderMissing()


def _header(request: Request, name: str) -> bytes:
    return request.headers.get(name, "").encode("latin-1")


def _told(key: Key) -> dict[str, str]:
    return {"name": key.name, "role": key.role.value}
