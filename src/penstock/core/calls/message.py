"""What crosses the border between bytes and decisions: heads, bodies' facts, replies, usage."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

Body = bytes | bytearray | memoryview
"""A request's body as it came. A view when it is large: then it may be mapped from a file, and is not to be copied."""

Headers = list[tuple[bytes, bytes]]
"""Name and value as received; names compare without regard to case."""


@dataclass(slots=True)
class Head:
    """The first part of a request. `target` is the raw request target: path and query, still escaped.

    fields: the first value of each header, by its name in lower case.
    """

    method: bytes
    target: bytes
    headers: Headers
    http_version: str  # "1.0" or "1.1"
    client_address: str | None
    fields: dict[bytes, bytes]

    @property
    def path(self) -> bytes:
        return self.target.partition(b"?")[0]

    @property
    def query(self) -> bytes:
        """What follows the path, with its `?`."""
        _, mark, rest = self.target.partition(b"?")
        return mark + rest


@dataclass(slots=True)
class Reply:
    """A complete answer that the gateway gives itself."""

    status: int
    headers: Headers
    body: bytes


class TokenSource(enum.StrEnum):
    """Where the token counts come from; `NONE`: nobody said, so they are unknown, not zero."""

    USAGE = "usage"
    TIMINGS = "timings"
    NONE = "none"


@dataclass(slots=True)
class Usage:
    """What the engine said about its work. None = unknown, never 0. Token counts are tokens, `_ms` milliseconds."""

    source: TokenSource = TokenSource.NONE
    prompt_tokens: int | None = None  # the whole prompt, cached part included
    cached_tokens: int | None = None  # the part of it that came from a cache
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    drafted_tokens: int | None = None
    accepted_tokens: int | None = None
    engine_prompt_ms: float | None = None
    engine_decode_ms: float | None = None
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Edits:
    """What the configuration wants changed in a request on its way to an engine.

    put: raw JSON values by the names of top-level members; a name with dots is a path into objects.
    drop: members that are taken out. Neither names the model: `model` does, None = it stays as the caller wrote it.
    """

    model: str | None = None
    put: Mapping[str, bytes] = field(default_factory=dict)
    drop: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return self.model is None and not self.put and not self.drop


@dataclass(slots=True)
class CallFacts:
    """What a dialect read from a request's head and body.

    model: "" = the request names none, and need not.
    body: what goes to the engine, in pieces: the caller's bytes, changed only where the dialect had to.
    query: what follows the path, `?` included, as the caller wrote it.
    hides_usage_chunk: the usage chunk of the stream was asked for by us and is taken out again.
    """

    model: str
    body: tuple[Body, ...]
    query: bytes = b""
    is_stream: bool = False
    prompt_tokens: int = 0  # estimate from the size of what the model has to read
    hides_usage_chunk: bool = False
    priority: int | None = None  # as asked in the body; None = not asked or unreadable
    has_priority: bool = False  # the body has a `priority`, readable or not: who must not pass it on drops it
    workload: str | None = None
    session: str | None = None

    @property
    def body_bytes(self) -> int:
        return len(self.body[0]) if len(self.body) == 1 else sum(map(len, self.body))
