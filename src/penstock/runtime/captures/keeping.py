"""From the raw pieces of a call to what is kept of it: readable, without media, with every secret masked.

Runs on the thread of the captures. What cannot be searched for secrets is not kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from penstock.core.calls.capture import (
    Absence,
    CaptureLevel,
    Collected,
    KeptBody,
    KeptCapture,
    Summary,
    is_media,
    without_media,
)
from penstock.core.calls.conversation import Conversation
from penstock.core.calls.message import Headers
from penstock.core.calls.redact import Redactor
from penstock.core.calls.shown import shown_secrets, without
from penstock.errors import CannotInflate
from penstock.protocols.answered import put_together
from penstock.wire.inflate import inflate_for

SEAM_BYTES = 512
"""So much on both sides of a gap is not kept: it may be a part of a secret that the gap has cut."""
NAME_CHARACTERS = 256
"""Most of a name or a path in the list of captures."""
STEP_BYTES = 4096
INFLATED_BYTES = 4 * 1024 * 1024
"""Most that a compressed body is inflated to."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(KeptCapture).decode


@dataclass(frozen=True, slots=True)
class RawBody:
    """A body as it was collected. absence: why it was not."""

    passed_bytes: int
    collected: Collected
    absence: Absence


@dataclass(frozen=True, slots=True)
class RawCapture:
    """Everything that was collected of a call, secrets included: it lives as briefly as possible."""

    summary: Summary
    level: CaptureLevel
    target: bytes
    http_version: str
    request_headers: Headers
    request: RawBody
    status: int | None
    response_headers: Headers
    response: RawBody


def packed(capture: KeptCapture) -> bytes:
    return _encode(capture)


def unpacked(content: bytes) -> KeptCapture:
    return _decode(content)


class Keeper:
    """Makes captures fit to be kept."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def kept(self, raw: RawCapture) -> KeptCapture:
        """What is kept of a call."""
        secrets = shown_secrets(raw.request_headers, raw.target) + shown_secrets(raw.response_headers, b"")
        target = without(self._redactor.target(raw.target), secrets)
        return KeptCapture(
            self._summary(raw.summary, secrets),
            raw.level,
            target,
            raw.http_version,
            self._headers(raw.request_headers, secrets),
            self._body(raw.request, raw.request_headers, secrets),
            raw.status,
            self._headers(raw.response_headers, secrets),
            self._body(raw.response, raw.response_headers, secrets),
        )

    def retold(self, capture: KeptCapture) -> Conversation | None:
        """The call put together for reading; None = it is no conversation.

        A secret may have come in pieces, one event after the other: what is put together is searched again.
        """
        content_type = {name.lower(): value for name, value in capture.response_headers}.get(b"content-type", b"")
        is_stream = content_type.lower().startswith(b"text/event-stream")
        told = put_together(capture.request, capture.response, is_event_stream=is_stream)
        if told is not None:
            for piece in (piece for message in (*told.asked, *told.answered) for piece in message.pieces):
                piece.text = self._redactor.text(piece.text)
            told.error = None if told.error is None else self._redactor.text(told.error)
        return told

    def _summary(self, summary: Summary, secrets: list[bytes]) -> Summary:
        def masked(text: str) -> str:
            content = text.encode("utf-8", "surrogatepass")
            return without(self._redactor.content(content), secrets).decode("utf-8", "replace")[:NAME_CHARACTERS]

        return replace(
            summary,
            method=masked(summary.method),
            path=masked(summary.path),
            model=None if summary.model is None else masked(summary.model),
        )

    def _headers(self, headers: Headers, secrets: list[bytes]) -> Headers:
        masked = self._redactor.headers(headers)
        return [(name, without(value, secrets)) for name, value in masked] if secrets else masked

    def _body(self, raw: RawBody, headers: Headers, secrets: list[bytes]) -> KeptBody:
        if raw.absence is not Absence.NONE or not raw.passed_bytes:
            return KeptBody(raw.passed_bytes, absence=raw.absence if raw.passed_bytes else Absence.NONE)
        if is_media(_value(headers, b"content-type").decode("latin-1")):
            return KeptBody(raw.passed_bytes, absence=Absence.MEDIA)
        head, missing, tail = _joined(raw.collected)
        coding = _value(headers, b"content-encoding").strip()
        if coding not in (b"", b"identity"):
            return self._inflated(raw.passed_bytes, coding, head, is_cut=missing > 0, secrets=secrets)
        if missing:
            missing += min(SEAM_BYTES, len(head)) + min(SEAM_BYTES, len(tail))
            head, tail = head[:-SEAM_BYTES], tail[SEAM_BYTES:]
        return KeptBody(raw.passed_bytes, self._masked(head, secrets), missing, self._masked(tail, secrets))

    def _inflated(
        self, passed_bytes: int, coding: bytes, head: bytes, *, is_cut: bool, secrets: list[bytes]
    ) -> KeptBody:
        """Of what is cut, its beginning. How much is missing then nobody knows: at least what was not collected."""
        plain, is_whole = inflated(coding, head)
        if not plain:
            return KeptBody(passed_bytes, absence=Absence.CODING)
        missing = 0
        if is_cut or not is_whole:
            plain, missing = plain[:-SEAM_BYTES], max(1, passed_bytes - len(head))
        return KeptBody(passed_bytes, self._masked(plain, secrets), missing, coding=coding.decode("latin-1"))

    def _masked(self, content: bytes, secrets: list[bytes]) -> bytes:
        return self._redactor.content(without(without_media(content), secrets))


def inflated(coding: bytes, data: bytes) -> tuple[bytes, bool]:
    """What is in compressed data, as far as it can be read within bounds, and whether that is all of it."""
    inflate = inflate_for(coding)
    if inflate is None:
        return b"", False
    plain = bytearray()
    try:
        for at in range(0, len(data), STEP_BYTES):
            plain += inflate.feed(data[at : at + STEP_BYTES])
            if len(plain) > INFLATED_BYTES:
                return bytes(plain[:INFLATED_BYTES]), False
    except CannotInflate:
        return bytes(plain), False
    return bytes(plain), True


def _value(headers: Headers, name: bytes) -> bytes:
    return b",".join(value for other, value in headers if other.lower() == name)


def _joined(collected: Collected) -> tuple[bytes, int, bytes]:
    return b"".join(collected.head), collected.missing_bytes, b"".join(collected.tail)
