"""What a request may ask the fake engine to do with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["auto", "json", "stream", "bytes", "echo", "raw", "garbage", "nothing"]
Ending = Literal["finish", "close", "reset", "exit", "hold"]
Framing = Literal["length", "chunked", "eof"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One reply, told from its first byte to its end. The defaults are those of a healthy engine.

    Written as a JSON object in the body's member `fake`, in the header `x-fake`, or in the engine's script.
    """

    kind: Kind = "auto"  # auto: a stream when the request asks for one; echo: what was asked; nothing: not even a head
    ending: Ending = "finish"  # how it ends; anything but `finish` breaks the reply off
    stop_after: int | None = None  # pieces after which `ending` comes early; 0 = after the head
    status: int = 200  # from 400 on the body is an error object, and never a stream
    interim: Sequence[int] = ()  # 1xx heads that go first
    raw: str = ""  # of kind `raw`: every byte of the reply, its head included, as Latin-1
    headers: Mapping[str, str] | None = None  # further reply headers
    delay_s: float = 0.0  # before the first byte
    pace_s: float = 0.0  # before every piece but the first
    gate_at: int | None = None  # waits for a release before this piece; 0 = before the head
    framing: Framing | None = None  # None: a length for JSON and bytes, chunked for streams
    trailers: Mapping[str, str] | None = None  # behind the last chunk
    websocket: bool = False  # agrees to an offered websocket, and sends back whatever comes
    media_type: str | None = None  # instead of what the body is
    piece_bytes: int | None = None  # cuts the body into pieces of this size, each its own write and chunk
    size_bytes: int = 0  # of a reply of kind `bytes`
    tokens: int = 5
    prompt_tokens: int = 7
    usage: Literal["asked", "always", "never"] = "asked"  # the usage chunk of a stream
    reply: object = None  # any JSON to answer instead of what the path suggests
    events: Sequence[str] | None = None  # the `data:` of each event, instead of tokens

    @classmethod
    def parse(cls, text: str) -> Behaviour:
        """Raises TypeError or ValueError: a misspelt behaviour must not pass for a healthy one."""
        return cls(**json.loads(text))

    @classmethod
    def script(cls, text: str) -> list[Behaviour]:
        """A JSON list of behaviours: one request each, in the order of arrival; the last one stays."""
        return [cls(**members) for members in json.loads(text)]
