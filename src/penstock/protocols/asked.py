"""What a request said, put together for reading: messages, prompts and inputs of every dialect.

For the operator's eyes only: what is not understood is shown as it is or left out, and nothing raises over a body.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from penstock.core.calls.conversation import Message, Piece

MOST_MESSAGES = 5000
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_TEXTS = frozenset({"text", "input_text", "output_text", "refusal"})


def asked(body: bytes) -> list[Message]:
    """What the body of a request says; empty = nothing that reads like a conversation."""
    return [each for each in _asked(mapping(parsed(body))) if each.pieces]


def _asked(request: dict[str, object]) -> Iterator[Message]:
    for name in ("system", "instructions"):
        yield Message("system", list(content(request.get(name))))
    for said in sequence(request.get("messages"))[:MOST_MESSAGES]:
        yield message(mapping(said))
    yield Message("user", list(content(request.get("prompt"))))
    given = request.get("input")
    yield Message("user", [Piece("text", given)] if isinstance(given, str) else [])
    for item in sequence(given)[:MOST_MESSAGES]:
        yield Message("user", [Piece("text", item)]) if isinstance(item, str) else item_message(mapping(item))


def message(said: dict[str, object]) -> Message:
    """One of OpenAI's or Anthropic's messages, asked or answered."""
    role = text(said.get("role")) or "assistant"
    pieces: list[Piece] = []
    if reasoning := text(said.get("reasoning_content")) or text(said.get("reasoning")):
        pieces.append(Piece("reasoning", reasoning))
    if role == "tool":
        pieces.append(Piece("tool_result", flat(said.get("content")), id=text(said.get("tool_call_id"))))
    else:
        pieces += content(said.get("content"))
    for call in sequence(said.get("tool_calls")):
        pieces.append(tool_call(mapping(call)))
    if call := mapping(said.get("function_call")):
        pieces.append(Piece("tool_call", flat(call.get("arguments")), text(call.get("name"))))
    return Message(role, pieces)


def item_message(item: dict[str, object]) -> Message:
    """One item of the Responses API: a message, or a call, a result, a thought that stands by itself."""
    match item.get("type"):
        case "function_call" | "custom_tool_call":
            arguments = flat(item.get("arguments") or item.get("input"))
            return Message(
                "assistant", [Piece("tool_call", arguments, text(item.get("name")), text(item.get("call_id")))]
            )
        case "function_call_output" | "custom_tool_call_output":
            return Message("tool", [Piece("tool_result", flat(item.get("output")), id=text(item.get("call_id")))])
        case "reasoning":
            thoughts = [*content(item.get("summary")), *content(item.get("content"))]
            return Message("assistant", [Piece("reasoning", thought.text) for thought in thoughts if thought.text])
        case "message" | None:
            return message({"role": "user", **item})
        case kind:
            return Message("assistant", [Piece(text(kind), flat(item))])


def content(said: object) -> Iterator[Piece]:
    """What a message says: a text, or a list of parts."""
    if isinstance(said, str):
        if said:
            yield Piece("text", said)
        return
    for part in sequence(said):
        if isinstance(part, str):
            yield Piece("text", part)
        elif isinstance(part, dict):
            yield block(part)


def block(part: dict[str, object]) -> Piece:
    """One part of what a message says."""
    kind = text(part.get("type")) or "text"
    if kind in _TEXTS or kind.endswith("_text"):
        return Piece("text", text(part.get("text")) or text(part.get("refusal")))
    match kind:
        case "thinking" | "redacted_thinking" | "reasoning":
            return Piece("reasoning", text(part.get("thinking")) or text(part.get("text")))
        case "tool_use" | "server_tool_use":
            return Piece("tool_call", flat(part.get("input")), text(part.get("name")), text(part.get("id")))
        case "tool_result":
            return Piece("tool_result", flat(part.get("content")), id=text(part.get("tool_use_id")))
        case _:
            rest = {name: value for name, value in part.items() if name != "type"}
            return Piece(kind, flat(rest))


def tool_call(call: dict[str, object]) -> Piece:
    """One of OpenAI's tool calls."""
    function = mapping(call.get("function"))
    return Piece("tool_call", flat(function.get("arguments")), text(function.get("name")), text(call.get("id")))


# Reading what may be anything.


def parsed(body: bytes) -> object:
    """The JSON that it is; None = it is none."""
    try:
        return msgspec.json.decode(body)
    except UNREADABLE:
        return None


def mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def flat(value: object) -> str:
    """A text as it is, the texts of a list of parts, anything else in JSON; None is nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(each, dict) and "text" in each for each in value):
        return "\n".join(text(mapping(each)["text"]) for each in value)
    try:
        return "" if value is None else msgspec.json.encode(value).decode("utf-8")
    except (RecursionError, UnicodeError):
        return ""
