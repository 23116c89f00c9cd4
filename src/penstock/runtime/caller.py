"""What the head of a request says about who calls and what they ask of the gateway."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

MAX_LABEL_CHARACTERS = 128


@dataclass(slots=True)
class Caller:
    """Everything that a head can say to the gateway itself. None = it did not say, or said nonsense."""

    fingerprint: str | None  # the first eight hex digits of SHA-256 of the key that was shown
    host: str | None
    origin: str | None
    request_id: str | None
    priority: str | None
    workload: str | None
    session: str | None
    retry_count: str | None


def read_caller(fields: dict[bytes, bytes]) -> Caller:
    """From the first value of each header, by its name in lower case."""
    get = fields.get
    shown = get(b"authorization") or get(b"x-api-key") or get(b"api-key")
    return Caller(
        fingerprint=None if shown is None else fingerprint(shown),
        host=_label(get(b"host")),
        origin=_label(get(b"origin")),
        request_id=_label(get(b"x-request-id")),
        priority=_label(get(b"x-request-priority")),
        workload=_label(get(b"x-penstock-workload") or get(b"x-overlaat-workload")),
        session=_label(get(b"x-session-id") or get(b"x-litellm-session-id")),
        retry_count=_label(get(b"x-stainless-retry-count")),
    )


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


def _label(value: bytes | None) -> str | None:
    """Printable ASCII of a bounded length; anything else is nobody's label."""
    if value is None or not 0 < len(value) <= MAX_LABEL_CHARACTERS:
        return None
    text = value.decode("latin-1")
    return text if text.isascii() and text.isprintable() else None
