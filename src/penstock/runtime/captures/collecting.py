"""One call while it is collected for the captures: references to the bytes that pass, within a room that all share."""

from __future__ import annotations

import enum
from itertools import chain
from typing import Protocol

from penstock.core.accounting.record import CallRecord
from penstock.core.calls.capture import FULL, OFF, Absence, CaptureLevel, Collected, Collector, Room, Summary
from penstock.core.calls.message import Body, Head, Headers
from penstock.protocols.endpoints import Endpoint
from penstock.runtime.captures.keeping import RawBody, RawCapture
from penstock.wire.headers import HOP_BY_HOP

NAME_CHARACTERS = 1024
CALL_BYTES = 4096
"""What any call holds: itself, the heads of its answer, and an answer of a single small piece."""
PIECE_BYTES = 2048
"""An answer of one piece up to this size needs no collector."""
ASKED_BYTES = 16 * 1024
"""A request's body up to this size needs none either: while the call runs, the relay holds it anyway."""


class Owner(Protocol):
    """All captures, as one needs them. level: of calls whose model is not known (yet)."""

    level: CaptureLevel
    room: Room

    def drop(self, capture: Capture) -> None: ...


class Teller(enum.Enum):
    """Who spoke the head of an answer, and so what its client found there beside it.

    PROMISE: a stream was begun while its call still waited, before anything was known of the wait.
    """

    GATEWAY = "gateway"
    PROMISE = "promise"
    ENGINE = "engine"


class Capture:
    """One call while it is collected. Plain functions, none of which raises."""

    __slots__ = (
        "_answer",
        "_endpoint",
        "_head",
        "_is_engines",
        "_keeps_response",
        "_leased_bytes",
        "_level",
        "_owner",
        "_request",
        "_response",
        "_response_head",
        "record",
    )

    def __init__(
        self, owner: Owner, record: CallRecord, endpoint: Endpoint, level: CaptureLevel | None, head: Head
    ) -> None:
        self.record = record
        self._owner = owner
        self._endpoint = endpoint
        self._level = level  # None = its model is not known yet
        self._head = head
        self._request: Collector | bytes | bytearray | None = None
        self._answer: bytes | None = None  # as long as it is one small piece
        self._response: Collector | None = None
        self._response_head: tuple[int, Headers] | None = None
        self._is_engines = self._keeps_response = False
        self._leased_bytes = CALL_BYTES

    @property
    def level(self) -> CaptureLevel:
        return self._owner.level if self._level is None else self._level

    def model(self, level: CaptureLevel) -> None:
        """Its model is known, and how much is kept of that one's calls."""
        self._level = level
        if level is OFF:
            self._owner.drop(self)

    def request(self, body: Body) -> None:
        """The whole body, as the caller sent it. It must not change any more."""
        may_be_full = self._level is None or self._level is FULL
        if not may_be_full or self._request is not None or not self._endpoint.capture.keeps_request:
            return
        if isinstance(body, memoryview) or len(body) > ASKED_BYTES:
            self._request = Collector(self._owner.room)
            self._request.add_body((body,))
        else:
            self._request = body

    def response_head(self, status: int, headers: Headers) -> None:
        """The answer begins: the engine's, or a refusal."""
        if self._level is OFF:
            return
        self._response_head = (status, headers)
        self._is_engines = self.record.first_byte_s is not None
        is_full = (self._level or self._owner.level) is FULL
        self._keeps_response = is_full and (status >= 400 or self._endpoint.capture.keeps_answer)

    def response(self, data: bytes) -> None:
        """The next piece of the answer, as the caller gets it."""
        if self._response is not None:
            self._response.add(data)
        elif self._keeps_response:
            if self._answer is None and len(data) <= PIECE_BYTES:
                self._answer = data
                return
            self._response = Collector(self._owner.room)
            if self._answer is not None:
                self._response.add(self._answer)
                self._answer = None
            self._response.add(data)

    def settle(self) -> None:
        """It waits for its turn to be kept, and nobody else holds what it holds any more."""
        held_bytes = len(self._head.target) + _bytes(self._head.headers)
        if self._response_head is not None:
            held_bytes += _bytes(self._response_head[1])
        if self._request is not None and not isinstance(self._request, Collector):
            held_bytes += len(self._request)
        self._leased_bytes += self._owner.room.lease(held_bytes)

    def raw(self) -> RawCapture:
        """What there is by now."""
        record, capture = self.record, self._endpoint.capture
        status, headers = self._response_head or (None, [])
        headers = as_the_client_got_it(headers, self._teller(status), record)
        return RawCapture(
            _summary(record, status),
            self.level,
            self._head.target,
            self._head.http_version,
            self._head.headers,
            self._body(self._request, record.request_bytes, is_kept=capture.keeps_request),
            status,
            headers,
            self._body(self._response or self._answer, record.response_bytes, is_kept=capture.keeps_answer),
        )

    def give_back(self) -> None:
        """Let go of everything that was collected, and collect no more."""
        self._level = OFF
        if isinstance(self._request, Collector):
            self._request.give_back()
        if self._response is not None:
            self._response.give_back()
        self._request = self._response = self._answer = None
        self._keeps_response = False
        self._owner.room.give_back(self._leased_bytes)
        self._leased_bytes = 0

    def _teller(self, status: int | None) -> Teller:
        if self._is_engines:
            return Teller.ENGINE
        return Teller.PROMISE if status == 200 else Teller.GATEWAY

    def _body(self, body: Collector | bytes | bytearray | None, passed_bytes: int | None, *, is_kept: bool) -> RawBody:
        if self.level is not FULL:
            return RawBody(passed_bytes or 0, Collected(), Absence.LEVEL)
        if body is None:
            return RawBody(passed_bytes or 0, Collected(), Absence.NONE if is_kept else Absence.ENDPOINT)
        collected = body.collected() if isinstance(body, Collector) else Collected((body,))
        seen = sum(map(len, collected.head)) + collected.missing_bytes + sum(map(len, collected.tail))
        return RawBody(seen, collected, Absence.NONE)


def as_the_client_got_it(headers: Headers, teller: Teller, record: CallRecord) -> Headers:
    """The head of an answer with what the gateway adds, and without what is for one hop only."""
    if teller is Teller.GATEWAY:
        return headers
    kept = [header for header in headers if header[0].lower() not in HOP_BY_HOP]
    said = {"x-request-id": record.client_request_id or record.id, "x-penstock-id": record.id}
    if teller is Teller.ENGINE and record.model:
        waited_s = (record.admitted_s or 0.0) - (record.enqueued_s or 0.0)
        is_plain = record.model.isascii() and record.model.isprintable()
        said["x-penstock-model"] = record.model if is_plain else record.model.encode("unicode_escape").decode("ascii")
        said["x-penstock-queue-ms"] = f"{1000 * waited_s:.0f}"
        said["x-penstock-load-ms"] = f"{1000 * record.wait_reasons.get('loading', 0.0):.0f}"
        said["x-penstock-position"] = str(record.position_at_entry or 0)
    return kept + [(name.encode("ascii"), value.encode("utf-8")) for name, value in said.items()]


def _bytes(headers: Headers) -> int:
    return sum(map(len, chain.from_iterable(headers)))


def _summary(record: CallRecord, status: int | None) -> Summary:
    model = record.model or record.model_requested
    return Summary(
        record.id,
        record.received_at,
        record.method[:NAME_CHARACTERS],
        record.path[:NAME_CHARACTERS],
        record.dialect,
        None if model is None else model[:NAME_CHARACTERS],
        record.key or record.key_fingerprint,
        record.http_status or status,
        record.outcome,
        record.done_s,
        record.request_bytes,
        record.response_bytes,
    )
