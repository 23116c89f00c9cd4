"""Asking a running gateway, as anybody else would: over HTTP. Whatever answers, or does not, is told in one line."""

from __future__ import annotations

import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec

from penstock.drawing.names import shown_name

NOT_REACHABLE = 4
TIMEOUT_S = 10.0
"""Of silence. Answers to large questions may take longer in sum."""
LONGEST_S = 60.0
MAX_BYTES = 256 * 1024 * 1024
SAID = 500
"""So many characters of what somebody else says are shown."""
UNAUTHORIZED = 401

Shape = TypeVar("Shape")


class NotReachable(Exception):
    """No gateway answers there."""


class Refused(Exception):
    """The gateway said no; the message is its own."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A gateway sends nobody elsewhere, and a key is for it alone."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


class GatewayClient:
    def __init__(
        self, url: str, key: str | None, *, timeout_s: float = TIMEOUT_S, longest_s: float = LONGEST_S
    ) -> None:
        """timeout_s: of silence. longest_s: of a whole answer."""
        self._url = url.rstrip("/")
        self._key = key
        self._timeout_s, self._longest_s = timeout_s, longest_s

    def get(self, path: str, shape: type[Shape]) -> Shape:
        """The JSON that a path answers, with all that it holds. Raises NotReachable, Refused."""
        return self._ask("GET", path, shape)

    def post(self, path: str, body: dict[str, object], shape: type[Shape]) -> Shape:
        """The JSON that a command is answered with. Raises NotReachable, Refused."""
        return self._ask("POST", path, shape, json.dumps(body).encode("utf-8"))

    def put(self, path: str, body: dict[str, object], shape: type[Shape]) -> Shape:
        """As `post`, for what is set rather than done."""
        return self._ask("PUT", path, shape, json.dumps(body).encode("utf-8"))

    def _ask(self, method: str, path: str, shape: type[Shape], content: bytes | None = None) -> Shape:
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            request = urllib.request.Request(_http(self._url) + path, content, headers | self._shown(), method=method)
            try:
                with _opener(self._url).open(request, timeout=self._timeout_s) as answer:
                    return _understood(self._read(answer), shape)
            except urllib.error.HTTPError as exc:
                with exc:
                    raise _refusal(exc, self._read(exc)) from exc
        except NotReachable as exc:
            raise NotReachable(f"{_shown(self._url)} {exc}") from exc
        except (OSError, ValueError, HTTPException) as exc:
            raise NotReachable(f"{_shown(self._url)} {_trouble(exc, self._timeout_s)}") from exc

    def _shown(self) -> dict[str, str]:
        if not self._key:
            return {}
        if not (self._key.isascii() and self._key.isprintable()):
            raise Refused("the key of --key or PENSTOCK_KEY has characters that are in no key: look how it was copied")
        return {"Authorization": f"Bearer {self._key}"}

    def _read(self, answer: HTTPResponse | urllib.error.HTTPError) -> bytes:
        """All of it. Raises NotReachable if that is too much, or takes too long."""
        end_s, parts, count = time.monotonic() + self._longest_s, [], 0
        while part := answer.read1(65536):
            parts.append(part)
            count += len(part)
            if count > MAX_BYTES:
                raise NotReachable(f"answers with more than {MAX_BYTES} bytes{_NOT_OURS}")
            if time.monotonic() > end_s:
                raise NotReachable(f"has not finished its answer after {self._longest_s:.0f} s{_NOT_OURS}")
        return b"".join(parts)


_NOT_OURS = ", as no Penstock does; do --url or PENSTOCK_URL say where the gateway is?"


def _http(url: str) -> str:
    """Raises NotReachable if the address is none."""
    try:
        parts = urlsplit(url)
        has_host = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        has_host = False
    if not has_host or not url.isprintable() or " " in url:
        raise NotReachable("is no address of a gateway: give --url or PENSTOCK_URL one like http://127.0.0.1:8080")
    return url


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Past any proxy of the environment where the gateway is on this machine: a proxy elsewhere cannot reach it."""
    host = urlsplit(url).hostname or ""
    is_here = host in {"localhost", "::1"} or host.startswith("127.")
    proxies = [urllib.request.ProxyHandler({})] if is_here else []
    return urllib.request.build_opener(_NoRedirect, *proxies)


def _understood(content: bytes, shape: type[Shape]) -> Shape:
    """Raises NotReachable if it is not what was asked for."""
    try:
        found: Shape = msgspec.json.decode(content)
    except (ValueError, RecursionError) as exc:
        raise NotReachable(f"answers, but not in JSON{_NOT_OURS}") from exc
    try:
        msgspec.convert(found, shape)
    except msgspec.ValidationError as exc:
        raise NotReachable(f"answers with other JSON ({_shown(str(exc))}){_NOT_OURS}") from exc
    return found


class _Told(msgspec.Struct):
    message: str


class _Refusal(msgspec.Struct):
    """How a gateway refuses."""

    error: _Told


def _refusal(answer: urllib.error.HTTPError, content: bytes) -> Exception:
    status, elsewhere = answer.code, answer.headers.get("Location")
    if elsewhere is not None:
        there = _shown(urljoin(answer.url, elsewhere))
        return NotReachable(f"sends to {there}: give --url or PENSTOCK_URL the address of the gateway itself")
    try:
        message = msgspec.json.decode(content, type=_Refusal).error.message
    except (ValueError, RecursionError):
        return NotReachable(f"answers with status {status}{_NOT_OURS}")
    hint = " Give a command its key with --key or PENSTOCK_KEY." if status == UNAUTHORIZED else ""
    return Refused(_shown(message) + hint)


def _trouble(exc: Exception, timeout_s: float) -> str:
    """What keeps it from answering, and what to do."""
    reason = exc.reason if isinstance(exc, urllib.error.URLError) else exc
    match reason:
        case ssl.SSLCertVerificationError():
            return f"shows a certificate that is not trusted here ({reason.verify_message}): SSL_CERT_FILE names others"
        case ssl.SSLError():
            return "speaks no TLS: try http:// instead of https://"
        case TimeoutError():
            return f"has not answered for {timeout_s:.0f} s: is that where `penstock serve` runs?"
        case socket.gaierror():
            return "has a name that nobody knows: give --url or PENSTOCK_URL the address of the gateway"
        case ConnectionRefusedError():
            return "is not answered by anybody: is `penstock serve` running?"
        case ConnectionError() | HTTPException():
            return "is answered by something that is not HTTP: is that `penstock serve`, and is it https:// there?"
    return f"cannot be reached ({_shown(str(reason))}): is `penstock serve` running?"


def _shown(said: str) -> str:
    """In one line, whatever others put into it."""
    line = shown_name(" ".join(said.split()))
    return line if len(line) <= SAID else line[:SAID] + "…"
