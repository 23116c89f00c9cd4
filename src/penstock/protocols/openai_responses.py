"""OpenAI's Responses: events that each name their type, and a last one with the whole response and its usage.

A waiting text has no place in such a stream: clients take an event before `response.created` for a broken one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from penstock.core.calls.message import Usage
from penstock.errors import GatewayError
from penstock.protocols.dialect import Meter
from penstock.protocols.metering import StreamMeter
from penstock.protocols.openai_chat import OPENAI_ERRORS
from penstock.protocols.refusals import responses_failure
from penstock.protocols.text import TextDialect, ended
from penstock.protocols.usage import ABSENT, UNREADABLE, error_text, take_metrics, take_responses, take_timings

_NOT_YET_TOKENS = ("message", "reasoning")
"""Items that begin empty. Any other (the call of a tool, say) names something with its beginning."""

_NUMBER = re.compile(rb'"sequence_number": ?([0-9]{1,15})[,} ]')

_FINAL = ("completed", "incomplete", "failed", "cancelled")


class _Incomplete(msgspec.Struct):
    reason: object = None


class _Item(msgspec.Struct):
    type: object = None


class _Response(msgspec.Struct):
    """A whole response; an event of a stream has it as a member."""

    status: object = None
    incomplete_details: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    timings: msgspec.Raw = ABSENT
    metrics: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _Said(_Response):
    """An event, or a whole response: the second has a `status` and no event's `type`."""

    type: object = None
    delta: msgspec.Raw = ABSENT
    item: _Item | None = None
    response: _Response | None = None
    message: msgspec.Raw = ABSENT


_decode = msgspec.json.Decoder(_Said).decode
_telling = re.compile(rb'"(?:response|error|usage)"').search
_decode_incomplete = msgspec.json.Decoder(_Incomplete).decode


class ResponsesReader:
    """Collects what a response says about itself."""

    __slots__ = ("_numbered", "failure", "has_token", "usage")

    def __init__(self) -> None:
        self.usage = Usage()
        self.has_token = False
        self.failure: str | None = None
        self._numbered = b""  # where the last number stands

    @property
    def next_number(self) -> int:
        """What the next event's `sequence_number` is; 0 where the engine gives none."""
        found = _NUMBER.match(self._numbered)
        return 0 if found is None else int(found.group(1)) + 1

    def is_mute(self, whole: bytes) -> bool:
        self._note_number(whole)
        return _telling(whole) is None

    def read(self, document: bytes) -> bool:
        self._note_number(document)
        try:
            said = _decode(document)
        except UNREADABLE:
            return False
        if isinstance(said.type, str):
            self._read_event(said, said.type)
        self._read_response(said if said.response is None else said.response)
        if said.response is not None:  # llama.cpp puts them beside it
            self._read_figures(said)
        return False

    def _note_number(self, said: bytes) -> None:
        if (at := said.rfind(b'"sequence_number":')) >= 0:
            self._numbered = said[at : at + 40]

    def _read_event(self, said: _Said, kind: str) -> None:
        if kind.endswith(".delta"):
            self.has_token = self.has_token or bytes(said.delta) not in (b"", b'""', b"null")
        elif kind == "response.output_item.added":
            item = said.item.type if said.item is not None else None
            self.has_token = self.has_token or (isinstance(item, str) and item not in _NOT_YET_TOKENS)
        elif kind == "error":
            self.failure = error_text(said.error) or error_text(said.message) or "it gave no reason"

    def _read_response(self, response: _Response) -> None:
        self._read_figures(response)
        if response.error is not ABSENT:
            self.failure = error_text(response.error) or self.failure
        if response.status not in _FINAL:
            return
        self.usage.finish_reason = _reason(response) or str(response.status)
        if response.status == "failed" and self.failure is None:
            self.failure = "it gave no reason"

    def _read_figures(self, response: _Response) -> None:
        if response.timings is not ABSENT:
            take_timings(self.usage, response.timings)
        if response.usage is not ABSENT:
            take_responses(self.usage, response.usage)
        if response.metrics is not ABSENT:
            take_metrics(self.usage, response.metrics)


def _reason(response: _Response) -> str | None:
    """Why a response is incomplete, such as `max_output_tokens`."""
    try:
        reason = _decode_incomplete(response.incomplete_details).reason
    except UNREADABLE:  # absent, or null
        return None
    return reason if isinstance(reason, str) else None


@dataclass(frozen=True, slots=True)
class ResponsesDialect(TextDialect):
    """Its events are numbered, also those of ours."""

    def stream_failure(self, error: GatewayError, request_id: str, after: Meter | None = None) -> bytes:
        reader = after.reader if isinstance(after, StreamMeter) else None
        return ended(after) + responses_failure(error, reader.next_number if isinstance(reader, ResponsesReader) else 0)


RESPONSES = ResponsesDialect("openai.responses", ResponsesReader, OPENAI_ERRORS, can_stream=True)
