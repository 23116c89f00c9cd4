"""Asking a running gateway, as anybody else would: over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

NOT_REACHABLE = 4
TIMEOUT_S = 10.0


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
        return self._ask(urllib.request.Request(self._url + path))

    def post(self, path: str, body: dict[str, object]) -> Any:
        """The JSON that a command is answered with. Raises NotReachable, Refused."""
        return self._send("POST", path, body)

    def put(self, path: str, body: dict[str, object]) -> Any:
        """As `post`, for what is set rather than done."""
        return self._send("PUT", path, body)

    def _send(self, method: str, path: str, body: dict[str, object]) -> Any:
        content, headers = json.dumps(body).encode("utf-8"), {"Content-Type": "application/json"}
        return self._ask(urllib.request.Request(self._url + path, content, headers, method=method))

    def _ask(self, request: urllib.request.Request) -> Any:
        if self._key:
            request.add_header("Authorization", f"Bearer {self._key}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as exc:
            raise Refused(_message_of(exc)) from exc
        except (OSError, ValueError) as exc:
            reason = getattr(exc, "reason", exc)
            raise NotReachable(f"no gateway answers at {self._url} ({reason}); is `penstock serve` running?") from exc


def _message_of(exc: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(exc)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"{exc.code} {exc.reason}"
