"""The answer of one call on its way from the engine to its client: metered as it passes, unchanged.

Also what the client is told before the engine says anything (that it waits), and what it is told
when the engine fails in the middle: in the terms of its own dialect, or by a cut connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from penstock import errors
from penstock.core.accounting.outcomes import STREAMING
from penstock.core.calls.message import CallFacts, Headers, Reply
from penstock.protocols.dialect import Dialect, Meter
from penstock.protocols.inflating import InflatingMeter
from penstock.protocols.metering import BlindMeter
from penstock.runtime.access.cors import cors, is_cors
from penstock.runtime.calls.call import Call
from penstock.runtime.calls.told import figures_comment, identity_lines, reply_lines
from penstock.wire.exchange import Client
from penstock.wire.headers import upgraded_head
from penstock.wire.inflate import inflate_for
from penstock.wire.upstream import Failure

MISFIT_BYTES = 64 * 1024
"""So much of an answer is read that cannot be relayed, because a stream was promised."""

EVENT_STREAM: Headers = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
PLAIN = (b"", b"identity")
PAGES = (b"text/html", b"application/xhtml", b"image/svg")
SANDBOX = (b"content-security-policy", b"sandbox allow-scripts allow-forms")
"""A page that an engine serves must not act for whoever looks at it: DNS name and port are the gateway's."""

UNBUFFERED = (b"x-accel-buffering", b"no")
"""Asks a proxy before us not to keep a stream back."""


class Owner(Protocol):
    """Whose answer it is."""

    def upgraded(self) -> None:
        """Client and engine speak another protocol from now on."""

    def answered(self) -> None:
        """The engine has completed its answer."""

    def engine_failed(self, failure: Failure) -> None:
        """It will not."""


class Answer:
    """The Sink of an engine's connection."""

    __slots__ = (
        "_call",
        "_dialect",
        "_facts",
        "_is_event_stream",
        "_misfit",
        "_owner",
        "client",
        "heard_s",
        "is_begun",
        "is_committed",
        "is_tunnel",
        "meter",
        "trusts_pages",
    )

    meter: Meter
    _facts: CallFacts

    def __init__(self, owner: Owner, call: Call, client: Client, dialect: Dialect) -> None:
        self._owner = owner
        self._call = call
        self._dialect = dialect
        self.client = client
        self.heard_s = 0.0  # when the engine, or a client that had stopped reading, last gave a sign of life
        self.is_begun = False  # the engine has begun to answer
        self.is_committed = False  # the client was told that it waits, and so that a stream will come
        self.is_tunnel = False  # bytes of another protocol pass
        self.trusts_pages = False
        self._is_event_stream = False
        self._misfit: bytearray | None = None

    def end(self) -> None:
        """The call is closed."""
        del self._owner

    def expect(self, facts: CallFacts) -> None:
        """What was asked, in case the answer must be read in its light."""
        self._facts = facts

    # While nothing has come yet.

    def say_waiting(self, piece: bytes) -> None:
        """A piece of a stream that says that its caller waits; the first one promises a stream."""
        if not self.is_committed:
            self.is_committed = self._is_event_stream = True
            self.client.start_reply(200, EVENT_STREAM, identity_lines(self._call), None)
            if (capture := self._call.capture) is not None:
                capture.response_head(200, EVENT_STREAM)
        self.client.send(piece)

    # Sink: what the engine's connection tells.

    def on_interim(self, status: int, headers: Headers) -> None:
        if not self.is_committed:
            self.client.announce(status, headers)

    def on_head(self, status: int, headers: Headers, fields: dict[bytes, bytes], length: bytes | None) -> None:
        call, record = self._call, self._call.record
        self.heard_s = call.context.clock()
        record.first_byte_s = self.heard_s - call.opened_s
        record.http_status = status
        record.response_bytes = 0
        self.is_begun = True
        call.phase = STREAMING
        content_type = fields.get(b"content-type", b"")
        record.response_content_type = content_type.decode("latin-1") or None
        self.meter = self._dialect.meter(self._facts, content_type)
        is_plain = (content_encoding := fields.get(b"content-encoding", b"")) in PLAIN
        if not is_plain:
            self.meter = _inside(self.meter, content_encoding)
        is_event_stream = is_plain and content_type.startswith(b"text/event-stream")
        if self.is_committed:
            self._keep_promise(status, is_event_stream=is_event_stream)
            return
        self._is_event_stream = is_event_stream
        if b"x-request-id" in fields:  # the caller gets its own back
            headers = _without(headers, b"x-request-id")
        if b"x-penstock-id" in fields:  # a gateway of our kind told its own figures
            headers = [header for header in headers if not header[0].lower().startswith(b"x-penstock-")]
        self._begin_reply(status, headers, length, content_type)

    def on_wait(self) -> None:
        self.client.send(b"")

    def _begin_reply(self, status: int, headers: Headers, length: bytes | None, content_type: bytes) -> None:
        if content_type.startswith(b"text/event-stream"):
            headers = [*_without(headers, b"x-accel-buffering"), UNBUFFERED]
            if self._facts.hides_usage_chunk and length is not None:
                headers, length = _without(headers, b"content-length"), None
        elif content_type.startswith(PAGES) and not self.trusts_pages:
            headers = [*headers, SANDBOX]
        if self._call.caller.origin is not None:
            headers = [*(header for header in headers if not is_cors(header[0])), *cors(self._call.caller)]
        if (capture := self._call.capture) is not None:
            capture.response_head(status, headers)
        self.client.start_reply(status, headers, reply_lines(self._call), length)

    def on_upgrade(self, headers: Headers) -> None:
        call, record = self._call, self._call.record
        self.heard_s = call.context.clock()
        record.first_byte_s = self.heard_s - call.opened_s
        record.http_status = 101
        record.response_bytes = 0
        self.is_begun = self.is_tunnel = True
        self.meter = BlindMeter()
        call.phase = STREAMING
        self.client.start_tunnel(upgraded_head(headers, identity_lines(call)))
        self._owner.upgraded()

    def on_full(self) -> None:
        self.client.pause_reading()

    def on_drained(self) -> None:
        self.client.resume_reading()

    def on_data(self, data: bytes) -> None:
        meter, call = self.meter, self._call
        record = call.record
        self.heard_s = call.context.clock()
        data = meter.feed(data)
        if record.first_token_s is None and meter.has_token:
            record.first_token_s = self.heard_s - call.opened_s
        if self._misfit is not None:
            self._misfit += data[: MISFIT_BYTES - len(self._misfit)]
            return
        record.response_bytes = (record.response_bytes or 0) + len(data)
        if self.is_tunnel:
            self.client.send_raw(data)
            return
        self.client.send(data)
        if call.capture is not None:
            call.capture.response(data)

    def on_trailers(self, headers: Headers) -> None:
        self.client.trailers(headers)

    def on_end(self) -> None:
        rest = self.meter.finish()
        self._call.keep_usage(self.meter.usage)
        if self._misfit is not None:
            self._tell_misfit()
        elif rest:
            record = self._call.record
            record.response_bytes = (record.response_bytes or 0) + len(rest)
            self._say(rest)
        self._owner.answered()

    def on_fail(self, failure: Failure) -> None:
        self._owner.engine_failed(failure)

    # Failures.

    def break_off(self, error: errors.GatewayError) -> None:
        """Something has gone out already: say in the stream why it ends, without the mark of completeness; or cut."""
        watched = self.meter if self.is_begun and self._misfit is None else None
        failure = self._dialect.stream_failure(error, self._call.request_id, watched)  # it may number its events
        if self.is_begun:
            self.meter.finish()  # for the books; an event that the engine left torn is not sent
            self._call.keep_usage(self.meter.usage)
        if not self._is_event_stream:
            self.client.abort()
            return
        self._say(failure)
        self.client.finish(_nobody_asks)

    def _keep_promise(self, status: int, *, is_event_stream: bool) -> None:
        """The client was promised a stream. If this is one, the figures go out that its head could not carry."""
        if status == 200 and is_event_stream:
            self.client.send(figures_comment(self._call))
        else:
            self._misfit = bytearray()

    def _tell_misfit(self) -> None:
        """Say in the stream what the engine said instead of one."""
        record = self._call.record
        status = record.http_status or 0
        said = bytes(self._misfit or b"").decode("utf-8", "replace").strip()
        reason = self.meter.failure or said[:500] or "it gave no reason"
        error = errors.EngineRefused(model=record.model, status=status, reason=reason)
        self._say(self._dialect.stream_failure(error, self._call.request_id))

    def _say(self, piece: bytes) -> None:
        """Something beside what the engine sends."""
        self.client.send(piece)
        if self._call.capture is not None:
            self._call.capture.response(piece)


def _inside(meter: Meter, content_encoding: bytes) -> Meter:
    """What watches a compressed answer."""
    inflate = inflate_for(content_encoding)
    return BlindMeter() if inflate is None else InflatingMeter(meter, inflate)


def _without(headers: Headers, name: bytes) -> Headers:
    return [header for header in headers if header[0].lower() != name]


def _nobody_asks(is_written: bool) -> None:
    """The record is closed already: the engine failed, whether the client read of it or not."""


class Nobody:
    """The client of a call whose client has left, while its engine finishes."""

    __slots__ = ()
    is_write_paused = False

    def send(self, data: bytes) -> None: ...

    def announce(self, status: int, headers: Headers) -> None: ...

    def start_reply(self, status: int, headers: Headers, added: bytes, length: bytes | None) -> None: ...

    def trailers(self, headers: Headers) -> None: ...

    def finish(self, when_written: Callable[[bool], None]) -> None:
        when_written(False)

    def abort(self) -> None: ...

    def reply(self, reply: Reply) -> None: ...

    def start_tunnel(self, head: bytes) -> None: ...

    def send_raw(self, data: bytes) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def end_tunnel(self) -> None: ...
