"""The dialects whose requests and answers are JSON: all alike but for the parts that each one names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from penstock.core.calls.message import Body, CallFacts, Edits, Head, Reply
from penstock.errors import GatewayError
from penstock.protocols import asking, jsonbody
from penstock.protocols.dialect import Meter
from penstock.protocols.metering import BodyMeter, Reader, StreamMeter


@dataclass(frozen=True, slots=True)
class ErrorForm:
    """How a dialect says no: in a complete answer, and inside a stream that has already begun."""

    refusal: Callable[[GatewayError, str], Reply]
    failure: Callable[[GatewayError, str], bytes]


def no_text(text: str, model: str) -> bytes:
    """Such a stream has no place for words that are not the engine's."""
    return b""


def ended(after: Meter | None) -> bytes:
    """What an event that was broken off must be followed by, so that the next one is read as one."""
    return b"\n\n" if isinstance(after, StreamMeter) and after.is_torn else b""


@dataclass(frozen=True, slots=True)
class TextDialect:
    """One endpoint's way of speaking.

    reader: makes what understands one answer. can_stream: answers may be streams of events.
    counts_by_options: tokens are counted in a stream only if `stream_options` asks for it.
    waiting: a piece of a stream that shows a text to whoever waits, and the name of the model.
    """

    name: str
    reader: Callable[[], Reader]
    errors: ErrorForm
    can_stream: bool = False
    counts_by_options: bool = False
    waiting: Callable[[str, str], bytes] = no_text

    def read(self, head: Head, body: Body) -> CallFacts:
        return asking.read(head, body, can_stream=self.can_stream, counts_by_options=self.counts_by_options)

    def edit(self, head: Head, facts: CallFacts, edits: Edits) -> None:
        facts.body = jsonbody.edit(facts.body, edits)

    def meter(self, facts: CallFacts, content_type: bytes) -> Meter:
        if content_type.startswith(b"text/event-stream"):
            return StreamMeter(self.reader(), hides_usage_chunk=facts.hides_usage_chunk)
        return BodyMeter(self.reader())

    def refusal(self, error: GatewayError, request_id: str) -> Reply:
        return self.errors.refusal(error, request_id)

    def stream_failure(self, error: GatewayError, request_id: str, after: Meter | None = None) -> bytes:
        return ended(after) + self.errors.failure(error, request_id)

    def waiting_text(self, text: str, model: str) -> bytes:
        return self.waiting(text, model)
