"""llama.cpp's own endpoints: /completion and /infill, and those that only use the vocabulary or describe the model."""

from __future__ import annotations

import re

import msgspec

from penstock.core.calls.message import TokenSource, Usage
from penstock.protocols.refusals import llamacpp_failure, llamacpp_refusal
from penstock.protocols.text import ErrorForm, TextDialect
from penstock.protocols.usage import ABSENT, UNREADABLE, error_text, take_timings, tokens

LLAMACPP_ERRORS = ErrorForm(llamacpp_refusal, llamacpp_failure)


class _Said(msgspec.Struct):
    """A piece of a stream, or a whole answer to one prompt. `stop`: the answer is complete."""

    content: object = None
    tokens: object = None
    stop: object = None
    stop_type: object = None
    tokens_evaluated: object = None
    tokens_predicted: object = None
    timings: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_decode_one = msgspec.json.Decoder(_Said).decode
_telling = re.compile(rb'"(?:timings|stop_type|error)"').search
_decode_many = msgspec.json.Decoder(list[_Said]).decode


class CompletionReader:
    """Adds up the answers to all prompts of a request: several may be asked for in one."""

    __slots__ = ("_is_begun", "failure", "has_token", "usage")

    def __init__(self) -> None:
        self.usage = Usage()
        self.has_token = False
        self.failure: str | None = None
        self._is_begun = False

    def is_mute(self, whole: bytes) -> bool:
        return _telling(whole) is None

    def read(self, document: bytes) -> bool:
        is_list = document.lstrip(b" \t\r\n").startswith(b"[")
        try:
            answers = _decode_many(document) if is_list else [_decode_one(document)]
        except UNREADABLE:
            return False
        for said in answers:
            self._read(said)
        return False

    def _read(self, said: _Said) -> None:
        if said.content or said.tokens:
            self.has_token = True
        if said.error is not ABSENT:
            self.failure = error_text(said.error) or self.failure
        if isinstance(said.stop_type, str) and said.stop_type:
            self.usage.finish_reason = said.stop_type
        if said.timings is ABSENT:
            return
        one = Usage(finish_reason=self.usage.finish_reason)
        take_timings(one, said.timings)
        evaluated, predicted = tokens(said.tokens_evaluated), tokens(said.tokens_predicted)
        if evaluated is not None or predicted is not None:
            one.source = TokenSource.TIMINGS
        one.prompt_tokens = one.prompt_tokens if evaluated is None else evaluated
        one.completion_tokens = one.completion_tokens if predicted is None else predicted
        self.usage = _sum(self.usage, one) if self._is_begun else one
        self._is_begun = True


def _sum(before: Usage, one: Usage) -> Usage:
    """Of what is unknown for one of them, the sum is unknown."""
    is_known = TokenSource.NONE not in (before.source, one.source)
    return Usage(
        TokenSource.TIMINGS if is_known else TokenSource.NONE,
        _plus(before.prompt_tokens, one.prompt_tokens),
        _plus(before.cached_tokens, one.cached_tokens),
        _plus(before.completion_tokens, one.completion_tokens),
        None,
        _plus(before.drafted_tokens, one.drafted_tokens),
        _plus(before.accepted_tokens, one.accepted_tokens),
        _plus_ms(before.engine_prompt_ms, one.engine_prompt_ms),
        _plus_ms(before.engine_decode_ms, one.engine_decode_ms),
        one.finish_reason,
    )


def _plus(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


def _plus_ms(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b


COMPLETION = TextDialect("llamacpp.completion", CompletionReader, LLAMACPP_ERRORS, can_stream=True)
INFILL = TextDialect("llamacpp.infill", CompletionReader, LLAMACPP_ERRORS, can_stream=True)
TOKENIZE = TextDialect("llamacpp.tokenize", CompletionReader, LLAMACPP_ERRORS)
DETOKENIZE = TextDialect("llamacpp.detokenize", CompletionReader, LLAMACPP_ERRORS)
