"""OpenAI's chat and completions: chunks of choices, and what they say of the work."""

from __future__ import annotations

import re

import msgspec

from penstock.core.calls.message import Usage
from penstock.protocols.refusals import openai_failure, openai_refusal
from penstock.protocols.text import ErrorForm, TextDialect
from penstock.protocols.usage import ABSENT, UNREADABLE, error_text, take_metrics, take_openai, take_timings

OPENAI_ERRORS = ErrorForm(openai_refusal, openai_failure)


class _Delta(msgspec.Struct):
    content: object = None
    reasoning_content: object = None
    reasoning: object = None
    tool_calls: object = None
    function_call: object = None
    refusal: object = None

    @property
    def has_token(self) -> bool:
        return bool(
            self.content
            or self.reasoning_content
            or self.reasoning
            or self.tool_calls
            or self.function_call
            or self.refusal
        )


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    text: object = None
    finish_reason: object = None


class _Answer(msgspec.Struct):
    """A chunk of a stream, or a whole answer: what both have in common."""

    choices: list[_Choice] | None = None
    usage: msgspec.Raw = ABSENT
    timings: msgspec.Raw = ABSENT
    metrics: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_decode = msgspec.json.Decoder(_Answer).decode
_telling = re.compile(rb'"(?:usage"(?!:null)|finish_reason": ?"|timings"|error")').search


class ChatReader:
    """Collects what a chat or a completion says about itself."""

    __slots__ = ("failure", "has_token", "usage")

    take_usage = staticmethod(take_openai)

    def __init__(self) -> None:
        self.usage = Usage()
        self.has_token = False
        self.failure: str | None = None

    def is_mute(self, whole: bytes) -> bool:
        return _telling(whole) is None

    def read(self, document: bytes) -> bool:
        try:
            answer = _decode(document)
        except UNREADABLE:
            return False
        choices = answer.choices
        for choice in choices or ():
            if isinstance(choice.finish_reason, str) and choice.finish_reason:
                self.usage.finish_reason = choice.finish_reason
            if choice.text or (choice.delta is not None and choice.delta.has_token):
                self.has_token = True
        if answer.timings is not ABSENT:
            take_timings(self.usage, answer.timings)
        counts = answer.usage is not ABSENT and self.take_usage(self.usage, answer.usage)
        if answer.metrics is not ABSENT:
            take_metrics(self.usage, answer.metrics)
        if answer.error is not ABSENT:
            self.failure = error_text(answer.error) or self.failure
        return counts and choices == []


def _loading_chunk(text: str, model: str) -> bytes:
    """A chunk of thoughts. Without a role: clients join the deltas of a stream, and the engine will say it."""
    delta = {"reasoning_content": text}
    chunk = {
        "id": "chatcmpl-penstock",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
    }
    return b"data: %b\n\n" % msgspec.json.encode(chunk)


CHAT = TextDialect(
    "openai.chat", ChatReader, OPENAI_ERRORS, can_stream=True, counts_by_options=True, waiting=_loading_chunk
)
COMPLETIONS = TextDialect("openai.completions", ChatReader, OPENAI_ERRORS, can_stream=True, counts_by_options=True)
"""A waiting text would become part of the completion."""
