"""Sessions of the page: a key was shown once, a cookie stands for it from then on. Kept in memory only."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

LIFETIME_S = 12 * 3600
MOST = 1_000
COOKIE_PREFIX = "penstock_"


@dataclass(frozen=True, slots=True)
class _Session:
    key_digest: bytes
    ends_s: float


class Sessions:
    """cookie_name: of this gateway alone; cookies know no ports, and another gateway may be on the same host."""

    def __init__(self, gateway_id: str, clock: Callable[[], float]) -> None:
        self.cookie_name = COOKIE_PREFIX + gateway_id[:8]
        self._name = self.cookie_name.encode("ascii")
        self._clock = clock
        self._sessions: dict[bytes, _Session] = {}  # by the SHA-256 of the token; oldest first

    def open(self, key_digest: bytes) -> str:
        """The token of a new session."""
        token = secrets.token_urlsafe(32)
        if len(self._sessions) >= MOST:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[_digest(token.encode("ascii"))] = _Session(key_digest, self._clock() + LIFETIME_S)
        return token

    def find(self, cookies: bytes) -> bytes | None:
        """The digest of the key that a Cookie header stands for; None = no session, or none any more."""
        token = self._token(cookies)
        session = self._sessions.get(_digest(token)) if token else None
        if session is None or self._clock() >= session.ends_s:
            return None
        return session.key_digest

    def close(self, cookies: bytes) -> None:
        """Idempotent."""
        self._sessions.pop(_digest(self._token(cookies)), None)

    def _token(self, cookies: bytes) -> bytes:
        for cookie in cookies.split(b";"):
            name, _, value = cookie.strip().partition(b"=")
            if name == self._name:
                return value
        return b""


def _digest(token: bytes) -> bytes:
    """What is looked up is a hash, so how long the look-up takes tells nothing about the tokens there are."""
    return hashlib.sha256(token).digest()
