"""Asking a running gateway, as anybody else would: over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

NOT_REACHABLE = 4
TIMEOUT_S = 10.0
UNAUTHORIZED = 401


class NotReachable(Exception):
    """No gateway answers there."""


class Refused(Exception):
    """The gateway said no; the message is its own."""


class GatewayClient:
    def __init__(self, url: str, key: str | None) -> None:
        self._url = url.rstrip("/")
        self._key = key

    def get(self, path: str) -> Any:
        """The JSON that a path answers. Raises NotReachable, Refused."""
        return self._ask("GET", path)

    def post(self, path: str, body: dict[str, object]) -> Any:
        """The JSON that a command is answered with. Raises NotReachable, Refused."""
        return self._send("POST", path, body)

    def put(self, path: str, body: dict[str, object]) -> Any:
        """As `post`, for what is set rather than done."""
        return self._send("PUT", path, body)

    def _send(self, method: str, path: str, body: dict[str, object]) -> Any:
        return self._ask(method, path, json.dumps(body).encode("utf-8"), {"Content-Type": "application/json"})

    def _ask(self, method: str, path: str, content: bytes | None = None, headers: Mapping[str, str] = {}) -> Any:
        shown = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            request = urllib.request.Request(self._url + path, content, {**headers, **shown}, method=method)
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as exc:
            hint = " Give a command its key with --key or PENSTOCK_KEY." if exc.code == UNAUTHORIZED else ""
            raise Refused(_message_of(exc) + hint) from exc
        except (OSError, ValueError, HTTPException) as exc:  # also an address that is none, or not a gateway's
            reason = getattr(exc, "reason", exc)
            raise NotReachable(f"no gateway answers at {self._url} ({reason}); is `penstock serve` running?") from exc


def _message_of(exc: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(exc)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"{exc.code} {exc.reason}"
