"""Figures of engines, each in its own form: one meaning for each of ours, and unknown for whatever is no figure."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.calls.message import TokenSource, Usage
from penstock.protocols.usage import (
    MAX_TOKENS,
    error_text,
    take_anthropic,
    take_metrics,
    take_openai,
    take_responses,
    take_timings,
)


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def test_the_same_work_is_the_same_whoever_tells_of_it() -> None:
    """A prompt of 20 tokens, 15 of them from a cache, and 3 tokens of answer."""
    openai, responses, anthropic, llamacpp = Usage(), Usage(), Usage(), Usage()
    details = {"cached_tokens": 15}
    take_openai(openai, raw({"prompt_tokens": 20, "completion_tokens": 3, "prompt_tokens_details": details}))
    take_responses(responses, raw({"input_tokens": 20, "output_tokens": 3, "input_tokens_details": details}))
    take_anthropic(
        anthropic, raw({"input_tokens": 5, "cache_read_input_tokens": 15, "output_tokens": 3}), is_start=False
    )
    take_timings(llamacpp, raw({"prompt_n": 5, "cache_n": 15, "predicted_n": 3}))
    assert openai == responses == anthropic == Usage(TokenSource.USAGE, 20, 15, 3)
    assert llamacpp == Usage(TokenSource.TIMINGS, 20, 15, 3)


def test_tokens_written_to_a_cache_are_part_of_the_prompt_and_not_cached() -> None:
    usage = Usage()
    take_anthropic(usage, raw({"input_tokens": 5, "cache_creation_input_tokens": 15}), is_start=True)
    assert (usage.prompt_tokens, usage.cached_tokens) == (20, None)


def test_timings_never_override_what_usage_has_counted() -> None:
    usage = Usage()
    take_openai(usage, raw({"prompt_tokens": 20, "completion_tokens": 3}))
    take_timings(usage, raw({"prompt_n": 1, "cache_n": 2, "predicted_n": 9, "prompt_ms": 1.5}))
    assert (usage.source, usage.prompt_tokens, usage.completion_tokens) == (TokenSource.USAGE, 20, 3)
    assert (usage.cached_tokens, usage.engine_prompt_ms) == (2, 1.5)


def test_an_engine_that_does_not_say_what_its_cache_gave_has_not_counted_the_prompt() -> None:
    usage = Usage()
    take_timings(usage, raw({"prompt_n": 1, "predicted_n": 3}))
    assert (usage.source, usage.prompt_tokens, usage.completion_tokens) == (TokenSource.TIMINGS, None, 3)


@pytest.mark.parametrize(
    ("metrics", "prompt_ms", "decode_ms"),
    [
        ({"time_to_first_token_ms": 85.2, "generation_time_ms": 1240.5, "mean_itl_ms": 9}, 85.2, 1240.5),
        ({"time_to_first_token_ms": 85.2, "mean_itl_ms": 10}, 85.2, 20.0),
        ({"time_to_first_token_ms": None, "generation_time_ms": None, "mean_itl_ms": None}, None, None),
        ({"time_to_first_token_ms": -1, "generation_time_ms": "9"}, None, None),
        ({"time_to_first_token_ms": True, "generation_time_ms": 10**400}, None, None),
        ([], None, None),
        (None, None, None),
    ],
)
def test_vllms_metrics_say_how_long_it_took(metrics: object, prompt_ms: float | None, decode_ms: float | None) -> None:
    usage = Usage(completion_tokens=3)
    take_metrics(usage, raw(metrics))
    assert (usage.engine_prompt_ms, usage.engine_decode_ms) == (prompt_ms, decode_ms)


def test_drafted_and_accepted_tokens_are_told_by_both_engines() -> None:
    vllm, llamacpp = Usage(), Usage()
    take_metrics(vllm, raw({"speculative_decoding": {"num_draft_tokens": 129, "num_accepted_draft_tokens": 10}}))
    take_timings(llamacpp, raw({"draft_n": 129, "draft_n_accepted": 10}))
    assert (
        (vllm.drafted_tokens, vllm.accepted_tokens) == (llamacpp.drafted_tokens, llamacpp.accepted_tokens) == (129, 10)
    )
    assert llamacpp.source is TokenSource.NONE


NAMES = st.sampled_from(
    [
        *("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"),
        *("prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details"),
        *("cache_read_input_tokens", "cache_creation_input_tokens", "prompt_n", "cache_n", "predicted_n", "draft_n"),
        *("prompt_ms", "predicted_ms", "time_to_first_token_ms", "mean_itl_ms", "speculative_decoding"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just(10**400),
    lambda inner: st.dictionaries(NAMES, inner, max_size=5) | st.lists(inner, max_size=3),
    max_leaves=15,
)


@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=6) | VALUES, max_size=4))
def test_whatever_an_engine_says_a_count_is_a_count_or_unknown(said: list[object]) -> None:
    usage = Usage()
    for value in said:
        try:
            encoded = raw(value)
        except (OverflowError, ValueError):  # more than a JSON writer writes
            encoded = msgspec.Raw(b'{"prompt_tokens":' + b"9" * 400 + b"}")
        take_openai(usage, encoded)
        take_responses(usage, encoded)
        take_anthropic(usage, encoded, is_start=False)
        take_timings(usage, encoded)
        take_metrics(usage, encoded)
    counts = (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.reasoning_tokens)
    for count in (*counts, usage.drafted_tokens, usage.accepted_tokens):
        assert count is None or (type(count) is int and 0 <= count <= 3 * MAX_TOKENS)
    for ms in (usage.engine_prompt_ms, usage.engine_decode_ms):
        assert ms is None or 0 <= ms < float("inf")


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (b"", None),
        (b"null", None),
        (b'"plain"', "plain"),
        (b'{"message":"why"}', "why"),
        (b'{"code":1}', '{"code":1}'),
        (b"[1]", "[1]"),
        (b"{", "{"),
        (b'"' + b"x" * 9000 + b'"', "x" * 500),
    ],
)
def test_the_text_of_an_error_is_found_in_any_shape(said: bytes, text: str | None) -> None:
    assert error_text(msgspec.Raw(said)) == text
