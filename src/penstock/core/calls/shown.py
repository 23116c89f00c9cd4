"""The secrets that one call shows by itself: wherever they come back in it, they are masked too."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from urllib.parse import quote, unquote_to_bytes

from penstock.core.calls.message import Headers
from penstock.core.calls.redact import MASK, SHORTEST_SECRET, is_telling


def shown_secrets(headers: Headers, target: bytes) -> list[bytes]:
    """What a head shows in places for secrets, in all spellings in which it may come back; the longest first.

    An engine that repeats its request in its answer, or a client that writes its key into a prompt, repeats these.
    """
    spellings: set[bytes] = set()
    for name, value in headers:
        if is_telling(name.decode("latin-1")):
            spellings.update(*map(_spellings, _secrets_in(value.strip())))
    for pair in target.partition(b"?")[2].split(b"&"):
        name, _, value = pair.partition(b"=")
        if is_telling(name.decode("latin-1")) or name.lower() == b"key":
            spellings |= _spellings(value) | _spellings(unquote_to_bytes(value))
    return sorted((each for each in spellings if len(each) >= SHORTEST_SECRET), key=len, reverse=True)


def without(content: bytes, secrets: Iterable[bytes]) -> bytes:
    """The content with each of the secrets masked."""
    for secret in secrets:
        content = content.replace(secret, MASK)
    return content


def _secrets_in(value: bytes) -> Iterable[bytes]:
    """The value as it stands, less its scheme, and the parts of cookies and of Basic's name and password."""
    yield value
    scheme, _, rest = value.partition(b" ")
    if rest:
        yield rest.strip()
    for cookie in value.split(b";") if b"=" in value else ():
        yield cookie.partition(b"=")[2].strip()
    if scheme.lower() == b"basic":
        try:
            yield base64.b64decode(rest).partition(b":")[2]
        except ValueError:
            return


def _spellings(secret: bytes) -> set[bytes]:
    """As it is, in JSON (as the writers of it differ), and in a URL."""
    text = secret.decode("utf-8", "surrogateescape")
    plain = json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "surrogateescape")
    escaped = json.dumps(text)[1:-1].encode("ascii")
    return {secret, plain, escaped, plain.replace(b"/", rb"\/"), quote(secret, safe="").encode("ascii")}
