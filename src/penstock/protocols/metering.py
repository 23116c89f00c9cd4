"""Reading tokens, timings and reasons out of OpenAI-shaped answers as they pass.

The formulas: OpenAI counts the cached part inside `prompt_tokens`; llama.cpp's `timings` give
`prompt_n` (evaluated now) and `cache_n` (taken from its cache), so the whole prompt is their sum.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec

from penstock.core.message import TokenSource, Usage
from penstock.protocols.sse import EventSplitter, events, payload

WHOLE_BYTES = 64 * 1024
"""An answer up to this size is kept and read as a whole; of a larger one both ends are searched."""
END_BYTES = 16 * 1024


_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Tokens. Whatever is no such number is nothing that an engine counted."""

_ABSENT = msgspec.Raw(b"")
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _PromptDetails(msgspec.Struct):
    cached_tokens: _Count | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: _Count | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Timings(msgspec.Struct):
    prompt_n: _Count | None = None
    prompt_ms: float | None = None
    predicted_n: _Count | None = None
    predicted_ms: float | None = None
    cache_n: _Count | None = None
    draft_n: _Count | None = None
    draft_n_accepted: _Count | None = None


class _Delta(msgspec.Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: Any = None
    function_call: Any = None

    @property
    def has_token(self) -> bool:
        return bool(self.content or self.reasoning_content or self.reasoning or self.tool_calls or self.function_call)


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    """A chunk of a stream, or a whole answer: what both have in common."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    timings: _Timings | None = None
    error: msgspec.Raw = _ABSENT  # a union with Raw would take no object


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_usage = msgspec.json.Decoder(_Usage).decode
_decode_timings = msgspec.json.Decoder(_Timings).decode
_prefix_decoder = json.JSONDecoder()


class Reader:
    """Collects what an answer says about itself."""

    __slots__ = ("failure", "has_token", "usage")

    def __init__(self) -> None:
        self.usage = Usage()
        self.has_token = False
        self.failure: str | None = None

    def read(self, answer: _Answer) -> None:
        for choice in answer.choices or ():
            if choice.finish_reason:
                self.usage.finish_reason = choice.finish_reason
            if choice.text or (choice.delta is not None and choice.delta.has_token):
                self.has_token = True
        if answer.timings is not None:
            self.read_timings(answer.timings)
        if answer.usage is not None:
            self.read_usage(answer.usage)
        if answer.error is not _ABSENT and (error := bytes(answer.error)) != b"null":
            self.failure = _error_text(error)

    def read_usage(self, said: _Usage) -> None:
        usage = self.usage
        if said.prompt_tokens is None and said.completion_tokens is None:
            return
        usage.source = TokenSource.USAGE
        usage.prompt_tokens, usage.completion_tokens = said.prompt_tokens, said.completion_tokens
        if said.prompt_tokens_details is not None and said.prompt_tokens_details.cached_tokens is not None:
            usage.cached_tokens = said.prompt_tokens_details.cached_tokens
        if said.completion_tokens_details is not None:
            usage.reasoning_tokens = said.completion_tokens_details.reasoning_tokens

    def read_timings(self, said: _Timings) -> None:
        usage = self.usage
        usage.engine_prompt_ms, usage.engine_decode_ms = said.prompt_ms, said.predicted_ms
        usage.drafted_tokens, usage.accepted_tokens = said.draft_n, said.draft_n_accepted
        if said.cache_n is not None:
            usage.cached_tokens = said.cache_n
        if usage.source is TokenSource.NONE and said.prompt_n is not None:
            usage.source = TokenSource.TIMINGS
            usage.prompt_tokens = said.prompt_n + (said.cache_n or 0)
            usage.completion_tokens = said.predicted_n


class StreamMeter:
    """Watches a stream of events; takes out the usage chunk that only we asked for."""

    __slots__ = ("_hides_usage_chunk", "_reader", "_splitter")

    def __init__(self, *, hides_usage_chunk: bool) -> None:
        self._hides_usage_chunk = hides_usage_chunk
        self._splitter = EventSplitter()
        self._reader = Reader()

    @property
    def usage(self) -> Usage:
        return self._reader.usage

    @property
    def has_token(self) -> bool:
        return self._reader.has_token

    @property
    def failure(self) -> str | None:
        return self._reader.failure

    def feed(self, data: bytes) -> bytes:
        splitter, hides = self._splitter, self._hides_usage_chunk
        whole = data if data.endswith(b"\n\n") and not splitter.held else splitter.feed(data)
        # Between the first token and the end, events say nothing that a record keeps. A name in quotes cannot
        # stand inside a JSON string, where its quotes would be escaped.
        if b"{" not in whole or (
            self._reader.has_token
            and (b'"usage"' not in whole or whole.count(b'"usage"') == whole.count(b'"usage":null'))
            and b'"finish_reason":"' not in whole
            and b'"finish_reason": "' not in whole
            and b'"timings"' not in whole
            and b'"error"' not in whole
        ):
            return whole if hides else data
        seen = [self._shown(event) for event in events(whole)]
        return b"".join(seen) if hides else data

    def finish(self) -> bytes:
        shown = self._shown(self._splitter.rest())
        return shown if self._hides_usage_chunk else b""

    def _shown(self, event: bytes) -> bytes:
        """Read one event, and give what the client gets of it: of the usage chunk, no more than empty lines."""
        text = payload(event)
        if not text.startswith(b"{"):
            return event
        try:
            answer = _decode_answer(text)
        except _UNREADABLE:
            return event
        self._reader.read(answer)
        if answer.choices != [] or answer.usage is None:
            return event
        return event[: len(event) - len(event.lstrip(b"\r\n"))]


class BodyMeter:
    """Watches an answer that is one JSON document."""

    __slots__ = ("_end", "_parts", "_reader", "_room", "has_token")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._room = WHOLE_BYTES
        self._end = b""
        self._reader = Reader()
        self.has_token = False

    @property
    def usage(self) -> Usage:
        return self._reader.usage

    @property
    def failure(self) -> str | None:
        return self._reader.failure

    def feed(self, data: bytes) -> bytes:
        self.has_token = True
        room = self._room
        if len(data) <= room:
            self._parts.append(data)
            self._room = room - len(data)
        else:
            self._parts.append(data[:room])
            self._room = 0
            self._end = (self._end + data[room:])[-END_BYTES:]
        return data

    def finish(self) -> bytes:
        start = b"".join(self._parts)
        self._parts.clear()
        if self._end:
            self._search(start[:END_BYTES])
            self._search((start + self._end)[-END_BYTES:])
        elif start:
            try:
                self._reader.read(_decode_answer(start))
            except _UNREADABLE:
                pass  # not an answer that says anything about tokens: they stay unknown
        return b""

    def _search(self, part: bytes) -> None:
        try:
            if (raw := _value_after(part, b'"timings":')) is not None:
                self._reader.read_timings(_decode_timings(raw))
            if (raw := _value_after(part, b'"usage":')) is not None:
                self._reader.read_usage(_decode_usage(raw))
        except _UNREADABLE:
            pass  # something else of that name


class BlindMeter:
    """Lets an answer pass that cannot be read: it is compressed."""

    __slots__ = ("failure", "has_token", "usage")

    def __init__(self) -> None:
        self.usage = Usage()
        self.has_token = False
        self.failure: str | None = None

    def feed(self, data: bytes) -> bytes:
        self.has_token = True
        return data

    def finish(self) -> bytes:
        return b""


def _value_after(part: bytes, name: bytes) -> str | None:
    """The JSON object that follows the last `name` in a piece of a document; None = there is none, or not all of it."""
    at = part.rfind(name)
    if at < 0:
        return None
    text = part[at + len(name) :].lstrip().decode("utf-8", "replace")
    try:
        value, end = _prefix_decoder.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return text[:end] if isinstance(value, dict) else None


def _error_text(raw: bytes) -> str:
    try:
        error = msgspec.json.decode(raw)
    except _UNREADABLE:
        return raw[:500].decode("utf-8", "replace")
    message = error.get("message") if isinstance(error, dict) else error
    return str(message)[:500]
