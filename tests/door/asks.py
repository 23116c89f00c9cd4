"""One request for every row of the table of endpoints, in the form that the row wants, and what is to come of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from penstock.protocols.endpoints import BY_PATH, TABLE, Endpoint, ModelIn
from tests.fake_engine.behaviour import Behaviour
from tests.fake_engine.replies import content
from tests.fake_engine.seen import Request

BOUNDARY = "b0undary"
FILE = bytes(range(256)) * 32 + b"\r\n--b0undar\r\n--\r\n"
"""A file that looks like the end of its form, but is not."""

PROMPT_TOKENS, COMPLETION_TOKENS = 7, 5
"""What the fake engine counts."""

COUNTS: dict[str, tuple[int | None, int | None]] = {
    "openai.chat": (PROMPT_TOKENS, COMPLETION_TOKENS),
    "openai.completions": (PROMPT_TOKENS, COMPLETION_TOKENS),
    "openai.responses": (PROMPT_TOKENS, COMPLETION_TOKENS),
    "openai.embeddings": (PROMPT_TOKENS, None),
    "rerank": (PROMPT_TOKENS, None),
    "anthropic.messages": (PROMPT_TOKENS, COMPLETION_TOKENS),
    "llamacpp.completion": (PROMPT_TOKENS, COMPLETION_TOKENS),
    "llamacpp.infill": (PROMPT_TOKENS, COMPLETION_TOKENS),
    "openai.audio.transcriptions": (PROMPT_TOKENS, COMPLETION_TOKENS),
    "openai.audio.translations": (PROMPT_TOKENS, COMPLETION_TOKENS),
    "openai.images": (PROMPT_TOKENS, COMPLETION_TOKENS),
    "openai.images.variations": (PROMPT_TOKENS, COMPLETION_TOKENS),
}
"""Tokens of prompt and answer that the record must know, by dialect; of all others nothing is said."""

SPEECH = "openai.audio.speech"
"""Bytes without a count, and as a stream events with one."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to one row of the table. path: one of its spellings."""

    row: Endpoint
    path: str
    method: str
    is_stream: bool

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}{' stream' if self.is_stream else ''}"

    @property
    def dialect(self) -> str:
        return self.row.dialect.name

    @property
    def has_body(self) -> bool:
        return self.method == "POST"

    @property
    def is_form(self) -> bool:
        return self.has_body and self.row.model_in is ModelIn.FORM

    @property
    def counts(self) -> tuple[int | None, int | None]:
        if self.dialect == SPEECH:
            return (PROMPT_TOKENS, COMPLETION_TOKENS) if self.is_stream else (None, None)
        return COUNTS.get(self.dialect, (None, None))

    def query(self, model: str) -> str:
        return "" if self.has_body else f"?model={quote(model, safe='')}"

    def target_at_engine(self, model: str) -> str:
        return (self.row.engine_path or self.row.path).decode() + self.query(model)

    def body(self, model: str) -> bytes:
        if not self.has_body:
            return b""
        return self._form(model) if self.is_form else self._document(model)

    def broken_body(self) -> bytes:
        """It cannot be read, or names no model."""
        if not self.has_body:
            return b""
        return self._form(None) if self.is_form else self._document("m")[:-2]

    def sent(
        self,
        model: str,
        *,
        name: str,
        fake: dict[str, object] | None = None,
        headers: str = "",
        body: bytes | None = None,
    ) -> bytes:
        """The bytes of the request, on a connection that closes behind it. name: its `x-request-id`."""
        body = self.body(model) if body is None else body
        kind = f"multipart/form-data; boundary={BOUNDARY}" if self.is_form else "application/json"
        lines = [f"{self.method} {self.path}{self.query(model)} HTTP/1.1", "host: localhost", "connection: close"]
        lines += [f"content-length: {len(body)}", f"content-type: {kind}"] if self.has_body else []
        lines += [f"x-request-id: {name}", f"x-fake: {json.dumps(fake or {})}"]
        return ("\r\n".join(lines) + f"\r\n{headers}\r\n").encode() + body

    def answered(self, model: str, fake: dict[str, object] | None = None) -> tuple[str, bytes]:
        """Media type and body of what the engine answers, as the caller is to get it."""
        target = self.target_at_engine(model)
        asked = Request(self.method, target, "HTTP/1.1", [], self.body(model))
        said = content(Behaviour(**(fake or {})), asked)  # type: ignore[arg-type]
        return said.media_type, b"".join(said.pieces)

    def _document(self, model: str) -> bytes:
        members: dict[str, object] = {"model": model, **MEMBERS.get(self.dialect, {"input": "é"})}
        if self.is_stream:
            members |= {"stream_format": "sse"} if self.dialect == SPEECH else {"stream": True}
        return json.dumps(members, indent=1).encode()

    def _form(self, model: str | None) -> bytes:
        fields = {"model": model, "prompt": "é", "stream": "true" if self.is_stream else None}
        pieces = [_part(f'name="{name}"', value.encode()) for name, value in fields.items() if value is not None]
        name = "image" if "/images/" in self.path else "file"
        pieces.append(_part(f'name="{name}"; filename="a b.bin"\r\nContent-Type: application/octet-stream', FILE))
        return b"".join(pieces) + f"--{BOUNDARY}--\r\n".encode()


def _part(disposition: str, value: bytes) -> bytes:
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + value + b"\r\n"


_MESSAGES = [{"role": "user", "content": "hi"}]
MEMBERS: dict[str, dict[str, object]] = {
    "openai.chat": {"messages": _MESSAGES},
    "openai.completions": {"prompt": "hi"},
    "anthropic.messages": {"max_tokens": 9, "messages": _MESSAGES},
    "anthropic.count_tokens": {"messages": _MESSAGES},
    "rerank": {"query": "q", "documents": ["a", "b"]},
    "llamacpp.completion": {"prompt": "hi", "n_predict": 5},
    "llamacpp.infill": {"input_prefix": "a", "input_suffix": "b"},
    "llamacpp.tokenize": {"content": "hi"},
    "llamacpp.detokenize": {"tokens": [1, 2]},
    "llamacpp.props": {},
    SPEECH: {"input": "hi", "voice": "alloy"},
    "openai.images": {"prompt": "a gate"},
    "sdapi": {"prompt": "a gate", "steps": 4},
}


def all_asks(*, spellings: bool = False) -> Iterator[Ask]:
    """For each row, its methods, and as a stream where there are streams; under each of its names, or its first.

    HEAD, which is GET without a body, is left out.
    """
    for row in TABLE:
        paths = [path.decode() for path, found in BY_PATH.items() if found is row] if spellings else [row.path.decode()]
        for path in paths:
            for method in (method for method in row.methods if method != b"HEAD"):
                yield Ask(row, path, method.decode(), is_stream=False)
                if row.dialect.can_stream and method == b"POST":
                    yield Ask(row, path, method.decode(), is_stream=True)
