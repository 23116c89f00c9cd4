"""Requests and answers of every dialect are put together for reading, streamed or not, whole or cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.calls.capture import KeptBody
from penstock.core.calls.conversation import Conversation, Message, Piece
from penstock.protocols.answered import put_together
from penstock.protocols.asked import asked


def body(value: object) -> KeptBody:
    content = json.dumps(value).encode()
    return KeptBody(len(content), content)


def stream(*said: object) -> KeptBody:
    content = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in said) + b"data: [DONE]\n\n"
    return KeptBody(len(content), content)


def told(response: KeptBody, *, is_event_stream: bool = True) -> Conversation:
    found = put_together(body({"prompt": "p"}), response, is_event_stream=is_event_stream)
    assert found is not None
    return found


CALL = Piece("tool_call", '{"city":"Bonn"}', "weather", "c1")
ANSWER = [Message("assistant", [Piece("reasoning", "think hard"), Piece("text", "It rains."), CALL])]


def chunk(**delta: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": delta}]}


def call_chunk(**function: str) -> dict[str, object]:
    return chunk(tool_calls=[{"index": 0, "id": "c1" if "name" in function else None, "function": function}])


def test_a_chat_stream_reads_as_the_answer_that_it_is() -> None:
    found = told(
        stream(
            chunk(role="assistant", content=None),
            chunk(reasoning_content="think "),
            chunk(reasoning_content="hard"),
            chunk(content="It "),
            chunk(content="rains."),
            call_chunk(name="weather", arguments=""),
            call_chunk(arguments='{"city":'),
            call_chunk(arguments='"Bonn"}'),
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
            {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
        )
    )
    assert found.answered == ANSWER
    assert found.finish_reason == "tool_calls"
    assert found.usage == '{"prompt_tokens":3,"completion_tokens":4}'


def test_a_whole_chat_reads_the_same() -> None:
    function = {"name": "weather", "arguments": '{"city":"Bonn"}'}
    calls = [{"id": "c1", "type": "function", "function": function}]
    message = {"content": "It rains.", "reasoning_content": "think hard", "tool_calls": calls}
    answer = {"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": {"prompt_tokens": 3}}
    found = told(body(answer), is_event_stream=False)
    assert (found.answered, found.finish_reason, found.usage) == (ANSWER, "tool_calls", '{"prompt_tokens":3}')


def block_delta(index: int, kind: str, **said: str) -> dict[str, object]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **said}}


def test_anthropics_stream_reads_the_same() -> None:
    use = {"type": "tool_use", "id": "c1", "name": "weather", "input": {}}
    found = told(
        stream(
            {"type": "message_start", "message": {"role": "assistant", "usage": {"input_tokens": 3}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
            block_delta(0, "thinking_delta", thinking="think hard"),
            {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
            block_delta(1, "text_delta", text="It "),
            block_delta(1, "text_delta", text="rains."),
            {"type": "content_block_start", "index": 2, "content_block": use},
            block_delta(2, "input_json_delta", partial_json='{"city":'),
            block_delta(2, "input_json_delta", partial_json='"Bonn"}'),
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 4}},
            {"type": "message_stop"},
        )
    )
    assert (found.answered, found.finish_reason) == (ANSWER, "tool_use")
    assert found.usage == '{"input_tokens":3,"output_tokens":4}'


def test_a_stream_of_the_responses_api_reads_the_same() -> None:
    item = {"type": "function_call", "name": "weather", "call_id": "c1"}
    arguments = "response.function_call_arguments.delta"
    found = told(
        stream(
            {"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": "think hard"},
            {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "It "},
            {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "rains."},
            {"type": "response.output_item.added", "output_index": 2, "item": item},
            {"type": arguments, "output_index": 2, "delta": '{"city":'},
            {"type": arguments, "output_index": 2, "delta": '"Bonn"}'},
            {"type": "response.completed", "response": {"status": "completed", "usage": {"input_tokens": 3}}},
        )
    )
    assert (found.answered, found.finish_reason, found.usage) == (ANSWER, "completed", '{"input_tokens":3}')


SAID = {"role": "assistant", "content": [{"type": "text", "text": "It rains."}]}


@pytest.mark.parametrize(
    ("response", "is_event_stream"),
    [
        (stream({"choices": [{"index": 0, "text": "It "}]}, {"choices": [{"index": 0, "text": "rains."}]}), True),
        (body({"choices": [{"index": 0, "text": "It rains.", "finish_reason": "stop"}]}), False),
        (stream({"content": "It ", "stop": False}, {"content": "rains.", "stop": True}), True),
        (body({"content": "It rains.", "stop": True}), False),
        (body({"type": "message", **SAID}), False),
        (body({"object": "response", "output": [{"type": "message", **SAID}]}), False),
    ],
)  # fmt: skip
def test_plain_answers_of_every_dialect_read_the_same(response: KeptBody, is_event_stream: bool) -> None:
    assert told(response, is_event_stream=is_event_stream).answered == [
        Message("assistant", [Piece("text", "It rains.")])
    ]


def test_choices_stay_apart_and_an_error_in_the_stream_is_told() -> None:
    two = [{"choices": [{"index": index, "delta": {"content": f"{index}"}}]} for index in (0, 1, 0)]
    found = told(stream(*two, {"error": {"message": "The engine died."}}))
    assert [message.pieces for message in found.answered] == [[Piece("text", "00")], [Piece("text", "1")]]
    assert found.error == "The engine died."


def test_of_a_stream_that_is_cut_both_ends_are_read_and_the_gap_is_told() -> None:
    head, tail = stream(chunk(content="begin")).head, b'lf an event"}\n\n' + stream(chunk(content="end")).head
    found = told(KeptBody(10_000, head, 9_000, tail))
    pieces = found.answered[0].pieces
    assert [(piece.kind, piece.text) for piece in pieces] == [
        ("text", "begin"),
        ("gap", "9000 bytes"),
        ("text", "end"),
    ]


def test_what_was_asked_reads_the_same_in_every_dialect() -> None:
    use = {"id": "c1", "function": {"name": "weather", "arguments": '{"city":"Bonn"}'}}
    openai = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Rain?"}]},
        {"role": "assistant", "content": None, "tool_calls": [use]},
        {"role": "tool", "tool_call_id": "c1", "content": "yes"},
    ]
    blocks = [{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Bonn"}}]
    result = {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "yes"}]}
    anthropic = [
        {"role": "user", "content": "Rain?"},
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": [result]},
    ]
    responses = [
        {"role": "user", "content": [{"type": "input_text", "text": "Rain?"}]},
        {"type": "function_call", "name": "weather", "call_id": "c1", "arguments": '{"city":"Bonn"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "yes"},
    ]
    wanted = [
        Message("system", [Piece("text", "Be brief.")]),
        Message("user", [Piece("text", "Rain?")]),
        Message("assistant", [CALL]),
        Message("tool", [Piece("tool_result", "yes", id="c1")]),
    ]
    assert asked(json.dumps({"messages": openai}).encode()) == wanted
    assert asked(json.dumps({"instructions": "Be brief.", "input": responses}).encode()) == wanted
    found = asked(json.dumps({"system": [{"type": "text", "text": "Be brief."}], "messages": anthropic}).encode())
    assert found == [*wanted[:3], Message("user", wanted[3].pieces)]


@pytest.mark.parametrize(
    "hostile", [b"[" * 100_000, b'{"messages":' * 50_000, b"\xff\xfe", b"", b'{"messages":[1,null,{}]}']
)
def test_a_hostile_body_is_no_conversation(hostile: bytes) -> None:
    assert asked(hostile) == []
    for is_event_stream in (True, False):
        events = b"data: " + hostile + b"\n\n"
        assert put_together(KeptBody(1, hostile), KeptBody(1, events), is_event_stream=is_event_stream) is None


NAMES = [
    "choices", "delta", "content", "type", "message", "output", "response", "error", "usage", "index", "item", "name",
    "tool_calls", "function", "messages", "system", "input", "prompt", "role", "text", "content_block",
]  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner
            | st.sampled_from(["message", "text", "response.output_text.delta", "content_block_delta", "tool_use"]),
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(VALUES, st.lists(VALUES, max_size=5))
def test_whatever_json_comes_is_read_without_a_fault(request: object, said: list[object]) -> None:
    for response, is_event_stream in [
        (stream(*said), True),
        (body(said), False),
        *((body(each), False) for each in said),
    ]:
        found = put_together(body(request), response, is_event_stream=is_event_stream)
        for message in () if found is None else (*found.asked, *found.answered):
            assert all(isinstance(piece.text, str) and isinstance(piece.kind, str) for piece in message.pieces)
