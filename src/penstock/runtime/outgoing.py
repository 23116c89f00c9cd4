"""What an engine is sent: the caller's request, changed only where the configuration or the gateway must."""

from __future__ import annotations

from dataclasses import replace

from penstock.core.message import CallFacts, Edits, Head
from penstock.protocols.endpoints import Endpoint, ModelIn
from penstock.runtime.catalog import Target
from penstock.runtime.errand import Request
from penstock.runtime.sessions import COOKIE_PREFIX
from penstock.wire.headers import CODINGS, CREDENTIALS, wants_trailers

Header = tuple[bytes, bytes]

NO_HEADERS: frozenset[bytes] = frozenset()
NO_EDITS = Edits()


def edited(endpoint: Endpoint, head: Head, facts: CallFacts, target: Target) -> CallFacts:
    """The facts with the body as this target's engine is to read it. Raises BadRequest."""
    edits = target.edits
    if facts.has_priority and not target.settings.forward_priority:
        edits = edits or NO_EDITS
        edits = replace(edits, drop=(*edits.drop, "priority"))
    if edits is None or edits.is_empty:
        return facts
    facts = replace(facts)
    endpoint.dialect.edit(head, facts, edits)
    return facts


def request_to(
    endpoint: Endpoint, head: Head, facts: CallFacts, target: Target, *, is_own_key: bool, is_promised: bool
) -> Request:
    """`is_own_key`: what the caller shows is a key of this gateway, which nobody else gets to see.

    `is_promised`: the client was told that a stream will come, and cannot be told of a coding any more.
    """
    headers, dropped = head.headers, CREDENTIALS
    if target.credentials:
        headers = [*(header for header in headers if header[0].lower() not in CREDENTIALS), *target.credentials]
        dropped = NO_HEADERS
    elif target.forwards_client_key and not is_own_key:
        headers = [_without_session(header) for header in headers] if b"cookie" in head.fields else headers
        dropped = NO_HEADERS
    if facts.hides_usage_chunk or is_promised:  # from a compressed stream nothing can be taken out
        dropped |= CODINGS
    path = (endpoint.engine_path or endpoint.path) + facts.query
    is_framed = b"content-length" in head.fields or b"transfer-encoding" in head.fields
    return Request(
        head.method,
        path,
        headers,
        dropped,
        facts.body,
        has_body=is_framed or facts.body_bytes > 0,
        asks_upgrade=asks_websocket(endpoint, head),
        connect_s=target.settings.limits.connect,
        wants_trailers=b"te" in head.fields and wants_trailers(head.fields[b"te"]),
    )


def asks_websocket(endpoint: Endpoint, head: Head) -> bool:
    """Only what passes as it is may become a websocket; the table's rows answer as if nobody had offered."""
    if b"upgrade" not in head.fields or endpoint.model_in not in (ModelIn.PATH, ModelIn.NONE):
        return False
    return head.method == b"GET" and head.fields[b"upgrade"].lower() == b"websocket"


def _without_session(header: Header) -> Header:
    """A Cookie header less the page's session, which is as good as a key of this gateway."""
    if header[0].lower() != b"cookie":
        return header
    kept = [pair for pair in header[1].split(b";") if not pair.strip().startswith(COOKIE_PREFIX.encode())]
    return header[0], b";".join(kept)
