"""What an engine is sent: the caller's request, changed only where the configuration or the gateway must."""

from __future__ import annotations

from dataclasses import replace

from penstock.core.calls.message import CallFacts, Edits, Head
from penstock.protocols.endpoints import Endpoint, ModelIn
from penstock.runtime.access.sessions import COOKIE_PREFIX
from penstock.runtime.calls.catalog import Target
from penstock.runtime.calls.errand import Request
from penstock.wire.headers import CODINGS, CREDENTIALS, TE_LINES, UPGRADE_LINES, request_lines, wants_trailers

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
    fields, body_bytes = head.fields, facts.body_bytes
    is_framed = body_bytes > 0 or b"content-length" in fields or b"transfer-encoding" in fields
    lines = request_lines(headers, dropped, body_bytes if is_framed else None)
    if b"upgrade" in fields and asks_websocket(endpoint, head):
        lines = lines[:-2] + UPGRADE_LINES
    elif b"te" in fields and wants_trailers(fields[b"te"]):
        lines = lines[:-2] + TE_LINES
    path = (endpoint.engine_path or endpoint.path) + facts.query
    return Request(head.method, path, lines, facts.body, target.connect_s)


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
