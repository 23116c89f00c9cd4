"""What was answered, put together for reading: whole answers and streams of every dialect.

For the operator's eyes only: what is not understood is left out, and nothing raises over a body.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock.core.calls.capture import KeptBody
from penstock.core.calls.conversation import Conversation, Message, Piece
from penstock.protocols.asked import asked, block, flat, item_message, mapping, message, parsed, sequence, text
from penstock.protocols.sse import events, payload

MOST_PIECES = 2000
"""An answer in more pieces than this is told no further."""

_DELTAS = {"text_delta": ("text", "text"), "thinking_delta": ("thinking", "reasoning")}
_DELTAS |= {"input_json_delta": ("partial_json", "tool_call")}
_SPOKEN = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "text",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.function_call_arguments.delta": "tool_call",
}


def put_together(request: KeptBody, response: KeptBody, *, is_event_stream: bool) -> Conversation | None:
    """A call for reading; None = it is no conversation."""
    teller = _Teller()
    if is_event_stream:
        teller.stream(response)
    elif response.is_whole:
        teller.whole(mapping(parsed(response.head)))
    told = teller.told()
    told.asked = asked(request.head) if request.is_whole else []
    return told if told.asked or told.answered or told.error else None


@dataclass(slots=True)
class _Growing:
    kind: str
    name: str = ""
    id: str = ""
    parts: list[str] = field(default_factory=list)


class _Teller:
    """Grows the pieces of an answer. `_pieces`: by choice, and by what tells the pieces of one choice apart."""

    def __init__(self) -> None:
        self._messages: list[Message] = []  # of what came whole
        self._pieces: dict[tuple[int, object], _Growing] = {}
        self._finish_reason: str | None = None
        self._usage: dict[str, object] = {}
        self._error: str | None = None

    def told(self) -> Conversation:
        by_choice: dict[int, Message] = {}
        for (choice, _), growing in self._pieces.items():
            said = Piece(growing.kind, "".join(growing.parts), growing.name, growing.id)
            if said.text or said.name:
                by_choice.setdefault(choice, Message("assistant")).pieces.append(said)
        usage = flat(self._usage) if self._usage else None
        return Conversation([], self._messages + list(by_choice.values()), self._finish_reason, usage, self._error)

    def stream(self, body: KeptBody) -> None:
        """All events that are kept; between beginning and end, a gap."""
        for event in events(body.head):
            self._event(mapping(parsed(payload(event))))
        if body.missing_bytes:
            gap = self._grow(0, "gap", "gap")
            gap.parts.append(f"{body.missing_bytes} bytes")
            self._pieces = {(choice, ("before", key)): each for (choice, key), each in self._pieces.items()}
            for event in list(events(body.tail))[1:]:  # the first is most likely half of one
                self._event(mapping(parsed(payload(event))))

    def whole(self, answer: dict[str, object]) -> None:
        """An answer that is no stream."""
        self._common(answer)
        for choice in map(mapping, sequence(answer.get("choices"))):
            self._finish(choice.get("finish_reason"))
            said = message(mapping(choice.get("message")))
            if isinstance(choice.get("text"), str):
                said = Message("assistant", [Piece("text", text(choice["text"]))])
            if said.pieces:
                self._messages.append(said)
        if answer.get("type") == "message":
            self._finish(answer.get("stop_reason"))
            self._messages.append(message(answer))
        elif isinstance(answer.get("content"), str):
            self._messages.append(Message("assistant", [Piece("text", text(answer["content"]))]))
        for item in map(mapping, sequence(answer.get("output"))):
            self._messages.append(item_message(item))
        if answer.get("object") == "response":
            self._finish(answer.get("status"))

    def _event(self, event: dict[str, object]) -> None:
        kind = event.get("type")
        self._common(event)
        for choice in map(mapping, sequence(event.get("choices"))):
            self._chunk(choice)
        if not isinstance(kind, str):
            if isinstance(event.get("content"), str):  # llama.cpp's own
                self._grow(0, "text", "text").parts.append(text(event["content"]))
        elif kind.startswith("response."):
            self._responses(kind, event)
        else:
            self._anthropic(kind, event)

    def _common(self, said: dict[str, object]) -> None:
        for name in ("usage", "timings"):
            if told := mapping(said.get(name)):
                self._usage |= told
        if (error := said.get("error")) is not None:
            self._error = text(mapping(error).get("message")) or flat(error)

    def _chunk(self, choice: dict[str, object]) -> None:
        number = choice.get("index")
        index = number if isinstance(number, int) else 0
        delta = mapping(choice.get("delta"))
        self._finish(choice.get("finish_reason"))
        if thought := text(delta.get("reasoning_content")) or text(delta.get("reasoning")):
            self._grow(index, "reasoning", "reasoning").parts.append(thought)
        if said := text(delta.get("content")) or text(delta.get("refusal")) or text(choice.get("text")):
            self._grow(index, "text", "text").parts.append(said)
        for call in map(mapping, sequence(delta.get("tool_calls"))):
            function = mapping(call.get("function"))
            growing = self._grow(index, ("tool", flat(call.get("index"))), "tool_call")
            growing.name = growing.name or text(function.get("name"))
            growing.id = growing.id or text(call.get("id"))
            growing.parts.append(text(function.get("arguments")))

    def _anthropic(self, kind: str, event: dict[str, object]) -> None:
        key = ("block", flat(event.get("index")))
        if kind == "message_start":
            self._common(mapping(event.get("message")))
        elif kind == "content_block_start":
            begun = block(mapping(event.get("content_block")))
            growing = self._grow(0, key, begun.kind)
            growing.name, growing.id = begun.name, begun.id
            growing.parts += [begun.text] if begun.text not in ("", "{}") else []
        elif kind == "content_block_delta":
            delta = mapping(event.get("delta"))
            if known := _DELTAS.get(text(delta.get("type"))):
                self._grow(0, key, known[1]).parts.append(text(delta.get(known[0])))
        elif kind == "message_delta":
            self._finish(mapping(event.get("delta")).get("stop_reason"))

    def _responses(self, kind: str, event: dict[str, object]) -> None:
        key = ("item", flat(event.get("output_index")), flat(event.get("content_index")))
        if spoken := _SPOKEN.get(kind):
            self._grow(0, key, spoken).parts.append(text(event.get("delta")))
        elif kind == "response.output_item.added":
            item = mapping(event.get("item"))
            if item.get("type") == "function_call":
                growing = self._grow(0, key, "tool_call")
                growing.name, growing.id = text(item.get("name")), text(item.get("call_id"))
        elif response := mapping(event.get("response")):
            self._common(response)
            if kind in ("response.completed", "response.incomplete", "response.failed"):
                self._finish(response.get("status"))

    def _finish(self, reason: object) -> None:
        self._finish_reason = text(reason) or self._finish_reason

    def _grow(self, choice: int, key: object, kind: str) -> _Growing:
        known = self._pieces.get((choice, key))
        if known is None:
            known = _Growing(kind)
            if len(self._pieces) < MOST_PIECES:
                self._pieces[choice, key] = known
        return known
