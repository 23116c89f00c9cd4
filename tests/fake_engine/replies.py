"""The contents of replies: what an engine answers on each path, cut into pieces. Nothing here sends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from tests.fake_engine import media, spoken
from tests.fake_engine.behaviour import Behaviour, Framing
from tests.fake_engine.seen import Request

WORDS = ("water", " flows", " where", " the", " gate", " lets", " it")
BLOCK = bytes(range(32, 96)) * 1024  # 64 KiB, so that a huge body needs no memory of its own


@dataclass(frozen=True, slots=True)
class Content:
    """A reply's body. `length_bytes` None = known only by making it."""

    media_type: str
    framing: Framing
    pieces: Iterator[bytes]
    length_bytes: int | None = None


def content(behaviour: Behaviour, request: Request) -> Content:
    asked = _asked(request.body)
    if behaviour.kind == "bytes":
        size = behaviour.size_bytes
        blocks = (BLOCK[: min(len(BLOCK), size - at)] for at in range(0, size, len(BLOCK)))
        media_type = behaviour.media_type or "application/octet-stream"
        return Content(media_type, behaviour.framing or "length", blocks, size)
    streams = behaviour.kind == "stream" or (behaviour.kind == "auto" and _asks_stream(request, asked))
    if streams and behaviour.status < 400:
        pieces = (event.encode() for event in _stream(behaviour, request.path, asked))
        media_type = behaviour.media_type or "text/event-stream"
        return _cut(Content(media_type, behaviour.framing or "chunked", pieces), behaviour.piece_bytes)
    said = _echo(request) if behaviour.kind == "echo" else _answer(behaviour, request.path, asked)
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    media_type = behaviour.media_type or ("audio/mpeg" if isinstance(said, bytes) else "application/json")
    return _cut(
        Content(media_type, behaviour.framing or "length", iter([body]), len(body)),
        behaviour.piece_bytes,
    )


def _asks_stream(request: Request, asked: dict[str, object]) -> bool:
    is_in_form = b'name="stream"\r\n\r\ntrue\r\n' in request.body or b"&stream=true" in request.body
    is_asked = asked.get("stream") is True or asked.get("stream_format") == "sse" or is_in_form
    return is_asked and not media.can_only_answer_whole(request.path)


def _echo(request: Request) -> object:
    """The request as it arrived."""
    return {
        "method": request.method,
        "target": request.target,
        "version": request.version,
        "headers": request.headers,
        "trailers": request.trailers,
        "body_bytes": len(request.body),
        "body_sha256": hashlib.sha256(request.body).hexdigest(),
    }


def _asked(body: bytes) -> dict[str, object]:
    try:
        members = json.loads(body)
    except ValueError:
        return {}
    return members if isinstance(members, dict) else {}


def _cut(whole: Content, piece_bytes: int | None) -> Content:
    """The same content in pieces of an odd size; event borders fall where they may."""
    if piece_bytes is None:
        return whole
    body = b"".join(whole.pieces)
    pieces = (body[at : at + piece_bytes] for at in range(0, len(body), piece_bytes))
    return Content(whole.media_type, whole.framing, pieces, len(body))


def _answer(behaviour: Behaviour, path: str, asked: dict[str, object]) -> object:
    if behaviour.reply is not None:
        return behaviour.reply
    if behaviour.status >= 400:
        return spoken.refusal(path, behaviour.status)
    words = _words(behaviour)
    if other := spoken.whole(path, behaviour, words) or media.whole(path, behaviour, words):
        return other
    model = asked.get("model")
    if path == "/v1/models":
        return {"object": "list", "data": [{"id": "fake", "object": "model", "owned_by": "fake"}]}
    if path in ("/v1/embeddings", "/embeddings"):
        vectors = [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 0.125]}]
        usage = {"prompt_tokens": behaviour.prompt_tokens, "total_tokens": behaviour.prompt_tokens}
        return {"object": "list", "model": model, "data": vectors, "usage": usage}
    is_chat = not path.endswith("/completions") or path.endswith("/chat/completions")
    text = "".join(_words(behaviour))
    said: dict[str, object] = {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
    return {
        "id": "fake-1",
        "object": "chat.completion" if is_chat else "text_completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, **said, "finish_reason": "stop"}],
        "usage": _usage(behaviour),
    }


def _stream(behaviour: Behaviour, path: str, asked: dict[str, object]) -> Iterator[str]:
    """The events, each with its empty line."""
    words = _words(behaviour)
    other = spoken.stream(path, behaviour, words) or media.stream(path, behaviour, words)
    if other is not None and behaviour.events is None:
        return other
    events = behaviour.events if behaviour.events is not None else _chunks(behaviour, path, asked)
    return (f"data: {event}\n\n" for event in events)


def _chunks(behaviour: Behaviour, path: str, asked: dict[str, object]) -> Iterator[str]:
    is_chat = not path.endswith("/completions") or path.endswith("/chat/completions")
    kind = "chat.completion.chunk" if is_chat else "text_completion"
    chunk: dict[str, object] = {"id": "fake-1", "object": kind, "created": 1, "model": asked.get("model")}
    for i in range(behaviour.tokens):
        said: dict[str, object] = {"delta": {"content": _word(i)}} if is_chat else {"text": _word(i)}
        yield json.dumps({**chunk, "choices": [{"index": 0, **said, "finish_reason": None}]})
    last: dict[str, object] = {"delta": {}} if is_chat else {"text": ""}
    yield json.dumps({**chunk, "choices": [{"index": 0, **last, "finish_reason": "stop"}]})
    if _tells_usage(behaviour, asked):
        yield json.dumps({**chunk, "choices": [], "usage": _usage(behaviour)})
    yield "[DONE]"


def _tells_usage(behaviour: Behaviour, asked: dict[str, object]) -> bool:
    options = asked.get("stream_options")
    is_asked = isinstance(options, dict) and options.get("include_usage") is True
    return behaviour.usage == "always" or (behaviour.usage == "asked" and is_asked)


def _usage(behaviour: Behaviour) -> dict[str, int]:
    prompt, completion = behaviour.prompt_tokens, behaviour.tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _words(behaviour: Behaviour) -> list[str]:
    return [_word(i) for i in range(behaviour.tokens)]


def _word(i: int) -> str:
    return WORDS[i % len(WORDS)]
