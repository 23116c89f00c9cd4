"""How the fake engine speaks of sound, pictures and of itself: documents, bytes, and events with large parts."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator

from tests.fake_engine.behaviour import Behaviour

Json = dict[str, object]
Words = list[str]

SOUND = b"ID3" + bytes(range(256)) * 64
PICTURE = base64.b64encode(b"\x89PNG" + bytes(range(256)) * 16).decode()


def whole(path: str, behaviour: Behaviour, words: Words) -> object:
    """The answer to a request for no stream, bytes where it is sound; None = nothing is known of such a path."""
    make = _WHOLE.get(path.removeprefix("/v1"))
    return None if make is None else make(behaviour, words)


def stream(path: str, behaviour: Behaviour, words: Words) -> Iterator[str] | None:
    """The events of a stream, each a whole one with its empty line; None = nothing is known of such a path."""
    make = _STREAM.get(path.removeprefix("/v1"))
    return None if make is None else make(behaviour, words)


def can_only_answer_whole(path: str) -> bool:
    """Whether a wish for a stream is overheard there."""
    return path.removeprefix("/v1") in _WHOLE.keys() - _STREAM.keys()


def _usage(behaviour: Behaviour, words: Words) -> Json:
    prompt, completion = behaviour.prompt_tokens, len(words)
    return {"input_tokens": prompt, "output_tokens": completion, "total_tokens": prompt + completion}


def _sound(behaviour: Behaviour, words: Words) -> bytes:
    return SOUND


def _sound_stream(behaviour: Behaviour, words: Words) -> Iterator[str]:
    for word in words:
        yield _data({"type": "speech.audio.delta", "audio": base64.b64encode(word.encode()).decode()})
    yield _data({"type": "speech.audio.done", "usage": _usage(behaviour, words)})


def _transcript(behaviour: Behaviour, words: Words) -> Json:
    return {"text": "".join(words), "usage": {"type": "tokens", **_usage(behaviour, words)}}


def _transcript_stream(behaviour: Behaviour, words: Words) -> Iterator[str]:
    for word in words:
        yield _data({"type": "transcript.text.delta", "delta": word})
    yield _data({"type": "transcript.text.done", **_transcript(behaviour, words)})


def _pictures(behaviour: Behaviour, words: Words) -> Json:
    return {"created": 1, "data": [{"b64_json": PICTURE}], "usage": _usage(behaviour, words)}


def _generating(behaviour: Behaviour, words: Words) -> Iterator[str]:
    return _picture_stream("image_generation", _usage(behaviour, words))


def _editing(behaviour: Behaviour, words: Words) -> Iterator[str]:
    return _picture_stream("image_edit", _usage(behaviour, words))


def _picture_stream(kind: str, usage: Json) -> Iterator[str]:
    rest: Json = {"b64_json": PICTURE, "created_at": 1, "size": "1024x1024", "quality": "low"}
    rest |= {"background": "opaque", "output_format": "png"}
    yield _named({"type": f"{kind}.partial_image", "partial_image_index": 0, **rest})
    yield _named({"type": f"{kind}.completed", **rest, "usage": usage})


def _voices(behaviour: Behaviour, words: Words) -> Json:
    return {"voices": [{"id": "alloy"}, {"id": "onyx"}]}


def _drawn(behaviour: Behaviour, words: Words) -> Json:
    return {"images": [PICTURE], "parameters": {"steps": 4}, "info": '{"seed": 1}'}


def _loras(behaviour: Behaviour, words: Words) -> object:
    return [{"name": "detail", "path": "/loras/detail.safetensors"}]


def _task(behaviour: Behaviour, words: Words) -> Json:
    return {"task": "done", "audio": PICTURE}


def _properties(behaviour: Behaviour, words: Words) -> Json:
    return {"default_generation_settings": {"n_ctx": 4096}, "total_slots": 1, "model_path": "/m.gguf"}


def _named(event: Json) -> str:
    return f"event: {event['type']}\n{_data(event)}"


def _data(event: Json) -> str:
    return f"data: {json.dumps(event)}\n\n"


_WHOLE: dict[str, Callable[[Behaviour, Words], object]] = {
    "/audio/speech": _sound,
    "/audio/transcriptions": _transcript,
    "/audio/translations": _transcript,
    "/audio/voices": _voices,
    "/images/generations": _pictures,
    "/images/edits": _pictures,
    "/images/variations": _pictures,
    "/sdapi/v1/txt2img": _drawn,
    "/sdapi/v1/img2img": _drawn,
    "/sdapi/v1/loras": _loras,
    "/tasks/run": _task,
    "/props": _properties,
}
_STREAM: dict[str, Callable[[Behaviour, Words], Iterator[str]]] = {
    "/audio/speech": _sound_stream,
    "/audio/transcriptions": _transcript_stream,
    "/audio/translations": _transcript_stream,
    "/images/generations": _generating,
    "/images/edits": _editing,
}
