"""OpenAI's Responses: events that each name their type, and a last one with the whole response and its usage.

A waiting text has no place in such a stream: clients take an event before `response.created` for a broken one.
"""

from __future__ import annotations

import msgspec

from penstock.core.message import Usage
from penstock.protocols.refusals import openai_refusal, responses_failure
from penstock.protocols.text import ErrorForm, TextDialect
from penstock.protocols.usage import ABSENT, UNREADABLE, error_text, take_metrics, take_responses, take_timings

_NOT_YET_TOKENS = ("message", "reasoning")
"""Items that begin empty. Any other (the call of a tool, say) names something with its beginning."""

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
_decode_incomplete = msgspec.json.Decoder(_Incomplete).decode


class ResponsesReader:
    """Collects what a response says about itself."""

    __slots__ = ("failure", "has_token", "usage")

    def __init__(self) -> None:
        self.usage = Usage()
        self.has_token = False
        self.failure: str | None = None

    def is_mute(self, whole: bytes) -> bool:
        return b'"response"' not in whole and b'"error"' not in whole and b'"usage"' not in whole

    def read(self, document: bytes) -> bool:
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

    def _read_event(self, said: _Said, kind: str) -> None:
        if kind.endswith(".delta"):
            self.has_token = self.has_token or bytes(said.delta) not in (b"", b'""', b"null")
        elif kind == "response.output_item.added":
            self.has_token = self.has_token or (said.item is not None and said.item.type not in _NOT_YET_TOKENS)
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


RESPONSES = TextDialect(
    "openai.responses", ResponsesReader, ErrorForm(openai_refusal, responses_failure), can_stream=True
)
