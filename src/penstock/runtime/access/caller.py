"""What the head of a request says about who calls and what they ask of the gateway."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from functools import lru_cache

MAX_LABEL_CHARACTERS = 128
MAX_COUNT_DIGITS = 9
"""Of tries: what the store cannot hold would cost the whole record."""

KNOWN_BYTES = 256
"""What shows a key in so few bytes is hashed once: callers show the same one again and again."""

_LABELS = {
    b"origin": "origin",
    b"x-request-id": "request_id",
    b"x-request-priority": "priority",
    b"x-overlaat-workload": "workload",
    b"x-penstock-workload": "workload",  # of two that say the same, the later one counts
    b"x-litellm-session-id": "session",
    b"x-session-id": "session",
    b"x-stainless-retry-count": "retry_count",
    b"x-request-timeout": "request_timeout",
    b"x-stainless-timeout": "read_timeout",
    b"x-stainless-read-timeout": "read_timeout",
    b"x-penstock-max-queue-wait": "max_queue_wait",
}


@dataclass(slots=True)  # not frozen: there may be one for every call, and that would make it four times as dear
class Caller:
    """Everything that a head can say to the gateway itself. None = it did not say, or said nonsense. Never changed."""

    host: str | None = None  # which a page believes to ask; None = no page asks
    origin: str | None = None
    request_id: str | None = None
    priority: str | None = None
    workload: str | None = None
    session: str | None = None
    retry_count: str | None = None
    request_timeout: str | None = None
    read_timeout: str | None = None
    max_queue_wait: str | None = None


SILENT = Caller()
"""Whoever says nothing of all that."""


def read_caller(fields: dict[bytes, bytes]) -> Caller:
    """From the first value of each header, by its name in lower case."""
    if _LABELS.keys().isdisjoint(fields):
        return SILENT
    said = {label: _label(fields[name]) for name, label in _LABELS.items() if name in fields}
    if len(said.get("retry_count") or "") > MAX_COUNT_DIGITS:
        said["retry_count"] = None
    if "origin" in said:
        said["host"] = host_of(fields)
    return Caller(**said)


def host_of(fields: dict[bytes, bytes]) -> str | None:
    """The host that is asked."""
    return _label(fields.get(b"host"))


def fingerprint_of(fields: dict[bytes, bytes]) -> str | None:
    """The first eight hex digits of SHA-256 of the key that is shown; None = none is."""
    shown = fields.get(b"authorization") or fields.get(b"x-api-key") or fields.get(b"api-key")
    if shown is None:
        return None
    return _known_fingerprint(shown) if len(shown) <= KNOWN_BYTES else fingerprint(shown)


def fingerprint(value: bytes) -> str | None:
    """Of a header that shows a key: a bearer token, the password of Basic, or the value itself."""
    scheme, _, rest = value.strip().partition(b" ")
    if scheme.lower() == b"bearer":
        secret = rest.strip()
    elif scheme.lower() == b"basic":
        try:
            secret = base64.b64decode(rest, validate=True).partition(b":")[2]
        except binascii.Error:
            return None
    else:
        secret = value.strip()
    return hashlib.sha256(secret).hexdigest()[:8] if secret else None


_known_fingerprint = lru_cache(1024)(fingerprint)


def _label(value: bytes | None) -> str | None:
    """Printable ASCII of a bounded length, without the blanks around it; anything else is nobody's label."""
    if value is None or not 0 < len(value) <= MAX_LABEL_CHARACTERS:
        return None
    text = value.decode("latin-1").strip(" \t")
    return text if text and text.isascii() and text.isprintable() else None
