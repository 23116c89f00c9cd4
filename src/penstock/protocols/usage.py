"""What engines say about their work, each in its own form, brought into one: the formulas stand here and nowhere else.

A whole prompt is what the model has read, whether it was computed or came from a cache:

* OpenAI's `usage`: `prompt_tokens`, which includes the cached part (`prompt_tokens_details.cached_tokens`).
  Of embeddings and rerank some say `total_tokens` alone: nothing is generated, so it is the prompt.
* The `usage` of its Responses: `input_tokens`, which includes the cached part (`input_tokens_details.cached_tokens`).
* Anthropic's `usage`: `input_tokens + cache_read_input_tokens + cache_creation_input_tokens`; the second is cached.
* llama.cpp's `timings`: `prompt_n + cache_n`, computed now and taken from a cache. Beside those of its own
  endpoints stands `tokens_evaluated`, which includes the cached part.

Sources: platform.openai.com/docs/guides/prompt-caching; docs.claude.com "Prompt caching", tracking performance
(`input_tokens` counts what comes after the last cache breakpoint); llama.cpp `tools/server/server-task.cpp`, whose
Anthropic form subtracts the cached part itself. vLLM's `metrics` say when the first token came and how long the
others took (docs/features/per_request_metrics.md): from the moment its scheduler let the request in, as `timings` do.

Whatever is no count is unknown: null, missing, negative, a fraction, a text, or larger than any engine counts.
"""

from __future__ import annotations

import msgspec

from penstock.core.calls.message import TokenSource, Usage

MAX_TOKENS = 2**53
MAX_MS = 1e12
MAX_ERROR_CHARACTERS = 500

ABSENT = msgspec.Raw(b"")
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises over JSON that it cannot read."""


class _Details(msgspec.Struct):
    cached_tokens: object = None
    reasoning_tokens: object = None
    thinking_tokens: object = None  # Anthropic's word


class _Usage(msgspec.Struct):
    """The members of all forms together; their names do not collide."""

    prompt_tokens: object = None
    completion_tokens: object = None
    total_tokens: object = None
    prompt_tokens_details: msgspec.Raw = ABSENT
    completion_tokens_details: msgspec.Raw = ABSENT
    input_tokens: object = None
    output_tokens: object = None
    input_tokens_details: msgspec.Raw = ABSENT
    output_tokens_details: msgspec.Raw = ABSENT
    cache_read_input_tokens: object = None
    cache_creation_input_tokens: object = None


class _Timings(msgspec.Struct):
    prompt_n: object = None
    prompt_ms: object = None
    predicted_n: object = None
    predicted_ms: object = None
    cache_n: object = None
    draft_n: object = None
    draft_n_accepted: object = None


class _Speculation(msgspec.Struct):
    num_draft_tokens: object = None
    num_accepted_draft_tokens: object = None


class _Metrics(msgspec.Struct):
    time_to_first_token_ms: object = None
    generation_time_ms: object = None
    mean_itl_ms: object = None
    speculative_decoding: msgspec.Raw = ABSENT


_details = msgspec.json.Decoder(_Details).decode
_usage = msgspec.json.Decoder(_Usage).decode
_timings = msgspec.json.Decoder(_Timings).decode
_metrics = msgspec.json.Decoder(_Metrics).decode
_speculation = msgspec.json.Decoder(_Speculation).decode


def tokens(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else None


def take_openai(usage: Usage, raw: msgspec.Raw) -> bool:
    """Take a `usage` of chat or completions. False = it counts nothing."""
    try:
        said = _usage(raw)
    except UNREADABLE:
        return False
    details = said.prompt_tokens_details, said.completion_tokens_details
    return _take(usage, said.prompt_tokens, said.completion_tokens, *details)


def take_vectors(usage: Usage, raw: msgspec.Raw) -> bool:
    """Take a `usage` of embeddings or rerank. Some say only a total, which is the prompt: nothing else is there."""
    if take_openai(usage, raw):
        return True
    try:
        return _take(usage, _usage(raw).total_tokens, None, ABSENT, ABSENT)
    except UNREADABLE:
        return False


def take_responses(usage: Usage, raw: msgspec.Raw) -> bool:
    """Take a `usage` of the Responses API. False = it counts nothing."""
    try:
        said = _usage(raw)
    except UNREADABLE:
        return False
    details = said.input_tokens_details, said.output_tokens_details
    return _take(usage, said.input_tokens, said.output_tokens, *details)


def take_anthropic(usage: Usage, raw: msgspec.Raw, *, is_start: bool) -> None:
    """Take a `usage` of Anthropic's. They are cumulative: what a later one does not say stays as it was.

    is_start: it opens a stream; what it says of the output is a placeholder and no count.
    """
    try:
        said = _usage(raw)
    except UNREADABLE:
        return
    uncached, cached = tokens(said.input_tokens), tokens(said.cache_read_input_tokens)
    if uncached is not None:
        whole = uncached + (cached or 0) + (tokens(said.cache_creation_input_tokens) or 0)
        usage.prompt_tokens = max(whole, usage.prompt_tokens or 0)  # some engines say 0 at one end of the stream
        usage.source = TokenSource.USAGE
    if cached is not None:
        usage.cached_tokens = max(cached, usage.cached_tokens or 0)
    output = tokens(said.output_tokens)
    if output is None or is_start:
        return
    usage.completion_tokens, usage.source = output, TokenSource.USAGE
    if (details := _read_details(said.output_tokens_details)) is not None:
        usage.reasoning_tokens = tokens(details.thinking_tokens)


def take_timings(usage: Usage, raw: msgspec.Raw) -> None:
    """Take llama.cpp's `timings`; its counts only where no `usage` has counted."""
    try:
        said = _timings(raw)
    except UNREADABLE:
        return
    usage.engine_prompt_ms = _ms(said.prompt_ms)
    usage.engine_decode_ms = _ms(said.predicted_ms)
    usage.drafted_tokens, usage.accepted_tokens = tokens(said.draft_n), tokens(said.draft_n_accepted)
    computed, cached, completion = tokens(said.prompt_n), tokens(said.cache_n), tokens(said.predicted_n)
    if cached is not None:
        usage.cached_tokens = cached
    if usage.source is TokenSource.USAGE or (computed is None and completion is None):
        return
    usage.source = TokenSource.TIMINGS
    usage.completion_tokens = completion
    # An engine that does not say what its cache gave has not said how long the prompt was.
    usage.prompt_tokens = None if computed is None or cached is None else computed + cached


def take_metrics(usage: Usage, raw: msgspec.Raw) -> None:
    """Take vLLM's `metrics`."""
    try:
        said = _metrics(raw)
    except UNREADABLE:
        return
    usage.engine_prompt_ms = _ms(said.time_to_first_token_ms)
    usage.engine_decode_ms = _ms(said.generation_time_ms)
    between_ms, completion = _ms(said.mean_itl_ms), usage.completion_tokens
    if usage.engine_decode_ms is None and between_ms is not None and completion:
        usage.engine_decode_ms = between_ms * (completion - 1)
    try:
        speculation = _speculation(said.speculative_decoding)
    except UNREADABLE:
        return
    usage.drafted_tokens = tokens(speculation.num_draft_tokens)
    usage.accepted_tokens = tokens(speculation.num_accepted_draft_tokens)


def error_text(raw: msgspec.Raw) -> str | None:
    """The message of an `error` member, whatever its shape, shortened; None = there is none, or it is null."""
    try:
        error = msgspec.json.decode(raw)
    except UNREADABLE:
        return bytes(raw)[:MAX_ERROR_CHARACTERS].decode("utf-8", "replace") or None
    if error is None:
        return None
    message = error.get("message") if isinstance(error, dict) else error
    if message is None:  # an object of another shape
        return bytes(raw)[:MAX_ERROR_CHARACTERS].decode("utf-8", "replace")
    return str(message)[:MAX_ERROR_CHARACTERS]


def _take(
    usage: Usage, prompt: object, completion: object, prompt_details: msgspec.Raw, completion_details: msgspec.Raw
) -> bool:
    prompt_count, completion_count = tokens(prompt), tokens(completion)
    if prompt_count is None and completion_count is None:
        return False
    usage.source = TokenSource.USAGE
    usage.prompt_tokens, usage.completion_tokens = prompt_count, completion_count
    if (details := _read_details(prompt_details)) is not None:
        cached = tokens(details.cached_tokens)
        usage.cached_tokens = usage.cached_tokens if cached is None else cached
    if (details := _read_details(completion_details)) is not None:
        usage.reasoning_tokens = tokens(details.reasoning_tokens)
    return True


def _read_details(raw: msgspec.Raw) -> _Details | None:
    if raw is ABSENT:
        return None
    try:
        return _details(raw)
    except UNREADABLE:  # null, or something else
        return None


def _ms(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= MAX_MS else None
