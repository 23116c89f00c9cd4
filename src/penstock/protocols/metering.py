"""Reading tokens, timings and reasons out of OpenAI-shaped answers as they pass.

The formulas: OpenAI counts the cached part inside `prompt_tokens`; llama.cpp's `timings` give
`prompt_n` (evaluated now) and `cache_n` (taken from its cache), so the whole prompt is their sum.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from penstock.core.message import TokenSource, Usage
from penstock.protocols.sse import EventSplitter, events, payload

WHOLE_BYTES = 64 * 1024
"""An answer up to this size is kept and read as a whole; of a larger one both ends are searched."""
END_BYTES = 16 * 1024


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Timings(msgspec.Struct):
    prompt_n: int | None = None
    prompt_ms: float | None = None
    predicted_n: int | None = None
    predicted_ms: float | None = None
    cache_n: int | None = None
    draft_n: int | None = None
    draft_n_accepted: int | None = None


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
    error: msgspec.Raw | None = None


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
            delta = choice.delta
            if choice.text or (
                delta is not None
                and (
                    delta.content
                    or delta.reasoning_content
                    or delta.reasoning
                    or delta.tool_calls
                    or delta.function_call
                )
            ):
                self.has_token = True
        if answer.timings is not None:
            self.read_timings(answer.timings)
        if answer.usage is not None:
            self.read_usage(answer.usage)
        if answer.error is not None and bytes(answer.error) != b"null":
            self.failure = _error_text(bytes(answer.error))

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
        whole = self._splitter.feed(data)
        if not whole:
            return b"" if self._hides_usage_chunk else data
        # Between the first token and the end, events say nothing that a record keeps; `"usage":` with its
        # colon cannot stand inside a JSON string, where its quotes would be escaped.
        if self._reader.has_token and not _says_something(whole):
            return whole if self._hides_usage_chunk else data
        if not self._hides_usage_chunk:
            for event in events(whole):
                self._observe(event)
            return data
        return b"".join(event for event in events(whole) if not self._observe(event))

    def finish(self) -> bytes:
        held, self._splitter.held = self._splitter.held, b""
        if held:
            self._observe(held)
        return held if self._hides_usage_chunk else b""

    def _observe(self, event: bytes) -> bool:
        """Read one event; True = it is the usage chunk and nothing else."""
        text = payload(event)
        if not text.startswith(b"{"):
            return False
        try:
            answer = _decode_answer(text)
        except msgspec.DecodeError:
            return False
        self._reader.read(answer)
        return answer.choices == [] and answer.usage is not None


class BodyMeter:
    """Watches an answer that is one JSON document."""

    __slots__ = ("_end", "_reader", "_start", "has_token")

    def __init__(self) -> None:
        self._start = bytearray()
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
        room = WHOLE_BYTES - len(self._start)
        if room > 0:
            self._start += data[:room]
        if len(data) > room:
            self._end = (self._end + data[max(room, 0) :])[-END_BYTES:]
        return data

    def finish(self) -> bytes:
        if self._end:
            self._search(bytes(self._start[:END_BYTES]))
            self._search(self._end)
        elif self._start:
            try:
                self._reader.read(_decode_answer(self._start))
            except msgspec.DecodeError:
                pass  # not an answer that says anything about tokens: they stay unknown
        return b""

    def _search(self, part: bytes) -> None:
        if (raw := _value_after(part, b'"timings":')) is not None:
            self._reader.read_timings(_decode_timings(raw))
        if (raw := _value_after(part, b'"usage":')) is not None:
            self._reader.read_usage(_decode_usage(raw))


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


def _says_something(whole: bytes) -> bool:
    return (
        b'"usage":' in whole
        or b'"finish_reason":"' in whole
        or b'"finish_reason": "' in whole
        or b'"timings":' in whole
        or b'"error":' in whole
    )


def _error_text(raw: bytes) -> str:
    try:
        error = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return raw[:500].decode("utf-8", "replace")
    message = error.get("message") if isinstance(error, dict) else error
    return str(message)[:500]
