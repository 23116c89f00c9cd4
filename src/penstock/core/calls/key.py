"""A key: whom a call is charged to, and what its owner may do here. The secret itself is nowhere; only its SHA-256."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from penstock.core.calls.quota import Quota
from penstock.core.model import Priority


class Role(enum.StrEnum):
    """What a key may do beside calling models. A viewer sees everything and changes nothing."""

    NONE = "none"
    VIEWER = "viewer"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Key:
    """digest: SHA-256 of the secret. models: names or patterns (`*`, `?`); () = all. expires_at: epoch seconds."""

    name: str
    digest: bytes
    ceiling: Priority = Priority.NORMAL
    weight: float = 1.0
    models: tuple[str, ...] = ()
    max_concurrent: int | None = None
    quotas: tuple[Quota, ...] = ()
    role: Role = Role.NONE
    expires_at: float | None = None

    @property
    def fingerprint(self) -> str:
        """What stands for it in records: the first eight hex digits of the digest."""
        return fingerprint(self.digest)

    @property
    def may_look(self) -> bool:
        return self.role is not Role.NONE

    @property
    def may_change(self) -> bool:
        return self.role is Role.ADMIN

    def may_use(self, names: Iterable[str]) -> bool:
        """Whether it may use a model that goes by these names, its aliases included."""
        if not self.models:
            return True
        matches = _pattern(self.models).fullmatch
        return any(matches(name) for name in names)

    def is_expired(self, now: float) -> bool:
        """`now`: epoch seconds."""
        return self.expires_at is not None and now >= self.expires_at


def fingerprint(digest: bytes) -> str:
    """The first eight hex digits of a key's SHA-256."""
    return digest[:4].hex()


@lru_cache(maxsize=1024)
def _pattern(globs: tuple[str, ...]) -> re.Pattern[str]:
    """Brackets are no pattern here: model names contain them."""
    return re.compile("|".join(re.escape(glob).replace(r"\*", ".*").replace(r"\?", ".") for glob in globs), re.DOTALL)
