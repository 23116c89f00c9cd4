"""The key that a request shows: where it may stand, and which one counts.

`Authorization: Bearer KEY`, the password of Basic, `x-api-key` and `api-key` are all the same to us. Different keys in
one request are refused rather than ranked: whoever reads the request next might rank them differently.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping

from penstock.core.calls.message import Headers
from penstock.errors import AmbiguousKey

CARRIERS = (b"authorization", b"x-api-key", b"api-key")


def shown_digest(fields: Mapping[bytes, bytes], headers: Headers) -> bytes | None:
    """SHA-256 of the secret that is shown; None = none is. Raises AmbiguousKey.

    fields: one value of each header, by its name in lower case. headers: all of them.
    """
    shown = [(name, fields[name]) for name in CARRIERS if name in fields]
    if shown and len(headers) != len(fields):  # something is repeated
        shown = [(name.lower(), value) for name, value in headers if name.lower() in CARRIERS]
    if not shown:
        return None
    secrets = {secret for _, value in shown if (secret := secret_in(value))}
    if len(secrets) > 1:
        places = ", ".join(name.decode("ascii") for name, _ in shown)
        raise AmbiguousKey(places=places)
    return hashlib.sha256(secrets.pop()).digest() if secrets else None


def secret_in(value: bytes) -> bytes:
    """Of a header that shows a key: a bearer token, the password of Basic, or the value itself; b"" = nothing."""
    value = value.strip()
    scheme, _, rest = value.partition(b" ")
    match scheme.lower():
        case b"bearer":
            return rest.strip()
        case b"basic":
            try:
                return base64.b64decode(rest, validate=True).partition(b":")[2]
            except binascii.Error:
                return b""
    return value
