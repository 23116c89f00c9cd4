"""A call put together for reading: who said what, whichever dialect it was said in and however it was streamed."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Piece:
    """One part of what was said.

    kind: `text`, `reasoning`, `tool_call`, `tool_result`, `gap` (bytes that are not kept), or what it calls itself.
    name, id: of a tool and of its call.
    """

    kind: str
    text: str
    name: str = ""
    id: str = ""


@dataclass(slots=True)
class Message:
    role: str
    pieces: list[Piece] = field(default_factory=list)


@dataclass(slots=True)
class Conversation:
    """asked: what the request said. answered: a message for each choice. usage: as the engine told it, in JSON."""

    asked: list[Message] = field(default_factory=list)
    answered: list[Message] = field(default_factory=list)
    finish_reason: str | None = None
    usage: str | None = None
    error: str | None = None
