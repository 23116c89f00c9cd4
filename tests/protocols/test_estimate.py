"""How long a prompt is, as far as its body tells."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.calls.message import Body
from penstock.protocols import jsonbody
from penstock.protocols.estimate import MEDIA_TOKENS, SMALL_BYTES, prompt_tokens, prompt_tokens_of
from penstock.protocols.jsonpieces import Source

TEXT = "word " * 4_000  # 20 000 bytes, 5 000 tokens
PICTURE = "data:image/png;base64," + "A" * 100_000
IDS = list(range(10_000, 15_000))


def of_opened(body: Body) -> int:
    return prompt_tokens_of(Source.of(jsonbody.opened(body)))


def estimate(**members: object) -> int:
    return of_opened(json.dumps({"model": "m", **members}).encode())


def chat(content: object) -> int:
    return estimate(messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}])


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (chat(TEXT), 5_000),
        (chat([{"type": "text", "text": TEXT}]), 5_000),
        (chat([{"type": "image_url", "image_url": {"url": PICTURE}}]), MEDIA_TOKENS),
        (chat([{"type": "input_image", "image_url": PICTURE}] * 3), 3 * MEDIA_TOKENS),
        (chat([{"type": "input_audio", "input_audio": {"data": "A" * 50_000, "format": "wav"}}]), MEDIA_TOKENS),
        (chat([{"type": "image", "source": {"data": PICTURE}}, {"type": "text", "text": TEXT}]), 5_000 + MEDIA_TOKENS),
        (estimate(messages=[{"role": "assistant", "content": None, "tool_calls": [{"arguments": TEXT}]}]), 5_000),
        (estimate(messages=[], tools=[{"type": "function", "function": {"description": TEXT}}]), 5_000),
        (estimate(prompt=TEXT), 5_000),
        (estimate(prompt=[TEXT, TEXT]), 10_000),
        (estimate(prompt=IDS), 5_000),
        (estimate(prompt=[IDS, IDS]), 10_000),
        (estimate(input=[TEXT]), 5_000),
        (estimate(input=IDS), 5_000),
        (estimate(input=[{"role": "user", "content": TEXT}]), 5_000),
        (estimate(input=[{"role": "user", "content": [{"type": "input_image", "image_url": PICTURE}]}]), MEDIA_TOKENS),
        (estimate(input=["word " * 4] * 20_000), 118_000),
        (chat([{"type": "document", "source": {"type": "base64", "data": PICTURE}}]), MEDIA_TOKENS),
        (chat([{"type": "tool_result", "content": [{"type": "image", "source": {"data": PICTURE}}]}]), MEDIA_TOKENS),
        (estimate(system=[{"type": "text", "text": TEXT}], messages=[]), 5_000),
        (estimate(query="which?", documents=[TEXT, {"text": TEXT}]), 10_000),
        (estimate(content=TEXT), 5_000),
        (estimate(input_prefix=TEXT, input_suffix=TEXT, input_extra=[{"filename": "a", "text": TEXT}]), 15_000),
    ],
)
def test_what_the_model_reads_is_counted_and_nothing_else(tokens: int, expected: int) -> None:
    assert expected <= tokens <= expected * 1.02 + 30


@pytest.mark.parametrize("body", [b"--b\r\n" + b"x" * 100_000, b"RIFF" + bytes(100_000), b"\xff" * 100_000])
def test_a_file_counts_as_one_and_not_by_its_bytes(body: bytes) -> None:
    assert prompt_tokens(body) == prompt_tokens(memoryview(body)) == MEDIA_TOKENS


def test_members_that_are_no_prompt_do_not_count() -> None:
    assert estimate(messages=[], metadata={"note": TEXT}, logit_bias={"1": TEXT}) == 0


def test_a_view_of_a_large_body_is_not_copied() -> None:
    body = json.dumps({"prompt": list(range(1_000_000))}).encode()
    tracemalloc.start()
    assert of_opened(memoryview(body)) == 1_000_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_large_body_that_nobody_opens_is_taken_as_a_whole_but_for_pictures() -> None:
    body = {"model": "m", "messages": [{"content": [{"image_url": PICTURE}, {"text": TEXT}, {"image_url": PICTURE}]}]}
    assert prompt_tokens(json.dumps(body).encode()) == pytest.approx(2 * MEDIA_TOKENS + 5_000, rel=0.02)
    broken = b'{"messages": [' + TEXT.encode() * 5
    assert prompt_tokens(broken) == len(broken) // 4


@pytest.mark.parametrize("size_bytes", [2_000, 60_000, 200_000])
@pytest.mark.parametrize("count", [7, 40])
def test_pictures_of_all_sizes_between_words_count_once_each(size_bytes: int, count: int) -> None:
    picture = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo/" * (size_bytes // 12)},
    }
    words = {"type": "text", "text": "some words " * 40}
    tokens = chat([picture, words] * count)
    assert tokens == pytest.approx(count * (MEDIA_TOKENS + 110), rel=0.06)


def test_what_goes_for_a_large_member_is_its_name() -> None:
    assert estimate(messages=[], metadata={"note": TEXT * 10}, grammar=TEXT * 10) == 0
    assert estimate(messages=[{"content": TEXT * 10}], user=TEXT * 10) == pytest.approx(50_000, rel=0.01)


def test_a_small_body_is_taken_by_its_size() -> None:
    assert prompt_tokens(b"x" * SMALL_BYTES) == SMALL_BYTES // 4


@pytest.mark.parametrize("members", [{"messages": TEXT}, {"messages": [TEXT]}, {"messages": {"a": TEXT}}])
def test_what_is_not_as_it_should_be_is_taken_by_its_size(members: dict[str, object]) -> None:
    assert estimate(**members) == pytest.approx(5_000, rel=0.02)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["content", "type", "text", "tool_calls"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["messages", "prompt", "input", "tools", "system"]), VALUES))
def test_whatever_comes_there_is_an_estimate_and_it_is_bounded(members: dict[str, object]) -> None:
    body = json.dumps({**members, "pad": "x" * SMALL_BYTES}).encode()
    assert 0 <= prompt_tokens(body) <= MEDIA_TOKENS * len(body)


def test_a_crowd_of_messages_is_not_looked_at_one_by_one() -> None:
    crowd = [{"role": "user", "content": "x"}] * 11_000
    assert estimate(messages=crowd) == len(json.dumps(crowd)) // 4
    assert estimate(messages=crowd[:1_000]) == 0
