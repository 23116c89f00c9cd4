"""Anthropic's messages: a `message_start` counts the prompt, blocks follow, a `message_delta` counts the rest."""

from __future__ import annotations

import re

import msgspec

from penstock.core.calls.message import Usage
from penstock.protocols.refusals import anthropic_failure, anthropic_refusal
from penstock.protocols.text import ErrorForm, TextDialect
from penstock.protocols.usage import ABSENT, UNREADABLE, error_text, take_anthropic

ANTHROPIC_ERRORS = ErrorForm(anthropic_refusal, anthropic_failure)

_NOT_YET_TOKENS = ("text", "thinking")
"""Blocks that begin empty. Any other (the use of a tool, say) names something with its beginning."""


class _Delta(msgspec.Struct):
    text: object = None
    thinking: object = None
    partial_json: object = None
    stop_reason: object = None


class _Block(msgspec.Struct):
    type: object = None


class _Message(msgspec.Struct):
    """A whole message; `message_start` has one as a member."""

    usage: msgspec.Raw = ABSENT
    stop_reason: object = None


class _Said(_Message):
    """An event, or a whole answer: a message, a count of tokens, or an error."""

    type: object = None
    message: msgspec.Raw = ABSENT
    delta: _Delta | None = None
    content_block: _Block | None = None
    input_tokens: object = None
    error: msgspec.Raw = ABSENT


_decode = msgspec.json.Decoder(_Said).decode
_telling = re.compile(rb'"(?:usage|stop_reason|error)"').search
_decode_message = msgspec.json.Decoder(_Message).decode


class MessageReader:
    """Collects what a message says about itself."""

    __slots__ = ("failure", "has_token", "usage")

    def __init__(self) -> None:
        self.usage = Usage()
        self.has_token = False
        self.failure: str | None = None

    def is_mute(self, whole: bytes) -> bool:
        return _telling(whole) is None

    def read(self, document: bytes) -> bool:
        try:
            said = _decode(document)
        except UNREADABLE:
            return False
        if said.error is not ABSENT:
            self.failure = error_text(said.error) or self.failure
        if said.type == "message_start":
            self._start(said.message)
        elif said.usage is not ABSENT:
            take_anthropic(self.usage, said.usage, is_start=False)
        delta = said.delta
        self._stop(said.stop_reason if delta is None else delta.stop_reason)
        self.has_token = self.has_token or _says_something(delta, said.content_block)
        return False

    def _start(self, message: msgspec.Raw) -> None:
        try:
            started = _decode_message(message)
        except UNREADABLE:
            return
        if started.usage is not ABSENT:
            take_anthropic(self.usage, started.usage, is_start=True)

    def _stop(self, reason: object) -> None:
        if isinstance(reason, str) and reason:
            self.usage.finish_reason = reason


def _says_something(delta: _Delta | None, block: _Block | None) -> bool:
    if delta is not None and (delta.text or delta.thinking or delta.partial_json):
        return True
    return block is not None and isinstance(block.type, str) and block.type not in _NOT_YET_TOKENS


def _ping(text: str, model: str) -> bytes:
    """Before the engine's `message_start` a stream has no place for words, which belong to a block of the message.

    It may have pings, though, as many as one likes, and clients skip them: so those whose patience counts events
    (comments are none) hear that the stream lives.
    """
    return b'event: ping\ndata: {"type":"ping"}\n\n'


MESSAGES = TextDialect("anthropic.messages", MessageReader, ANTHROPIC_ERRORS, can_stream=True, waiting=_ping)
COUNT_TOKENS = TextDialect("anthropic.count_tokens", MessageReader, ANTHROPIC_ERRORS)
