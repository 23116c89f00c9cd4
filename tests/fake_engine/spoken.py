"""How the fake engine speaks beside chat: Responses, Anthropic's messages, llama.cpp's own form, rankings, counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from tests.fake_engine.behaviour import Behaviour

Json = dict[str, object]
Words = list[str]


def whole(path: str, behaviour: Behaviour, words: Words) -> object:
    """The answer to a request for no stream; None = nothing is known of such a path."""
    make = _WHOLE.get(path.removeprefix("/v1"))
    return None if make is None else make(behaviour, words)


def stream(path: str, behaviour: Behaviour, words: Words) -> Iterator[str] | None:
    """The events of a stream, each a whole one with its empty line; None = nothing is known of such a path."""
    make = _STREAM.get(path.removeprefix("/v1"))
    return None if make is None else make(behaviour, words)


def refusal(path: str, status: int) -> Json:
    """An error in the form that the path has."""
    if path.removeprefix("/v1").startswith("/messages"):
        return {"type": "error", "error": {"type": "api_error", "message": "the fake engine refuses"}}
    return {"error": {"code": status, "message": "the fake engine refuses", "type": "fake_error"}}


def _response(behaviour: Behaviour, words: Words) -> Json:
    content = [{"type": "output_text", "text": "".join(words), "annotations": []}]
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
    usage = {
        "input_tokens": behaviour.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": len(words),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": behaviour.prompt_tokens + len(words),
    }
    return {**_RESPONSE, "status": "completed", "output": [item], "usage": usage}


_RESPONSE: Json = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "fake",
    "status": "in_progress",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "output": [],
    "parallel_tool_calls": False,
    "tool_choice": "auto",
    "tools": [],
    "usage": None,
}


def _response_stream(behaviour: Behaviour, words: Words) -> Iterator[str]:
    part: Json = {"type": "output_text", "text": "", "annotations": []}
    place: Json = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    item: Json = {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}
    done = _response(behaviour, words)
    said: list[tuple[str, Json]] = [
        ("response.created", {"response": _RESPONSE}),
        ("response.in_progress", {"response": _RESPONSE}),
        ("response.output_item.added", {"output_index": 0, "item": item}),
        ("response.content_part.added", {**place, "part": part}),
        *[("response.output_text.delta", {**place, "delta": word, "logprobs": []}) for word in words],
        ("response.output_text.done", {**place, "text": "".join(words), "logprobs": []}),
        ("response.completed", {"response": done}),
    ]
    for number, (kind, members) in enumerate(said):
        yield _named({"type": kind, "sequence_number": number, **members})


def _message(behaviour: Behaviour, words: Words) -> Json:
    usage = {"input_tokens": behaviour.prompt_tokens, "output_tokens": len(words)}
    content = [{"type": "text", "text": "".join(words)}]
    return {**_MESSAGE, "content": content, "stop_reason": "end_turn", "usage": usage}


_MESSAGE: Json = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "fake",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
}


def _message_stream(behaviour: Behaviour, words: Words) -> Iterator[str]:
    start = {**_MESSAGE, "usage": {"input_tokens": behaviour.prompt_tokens, "output_tokens": 1}}
    yield _named({"type": "message_start", "message": start})
    yield _named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    for word in words:
        yield _named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}})
    yield _named({"type": "content_block_stop", "index": 0})
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    yield _named({"type": "message_delta", "delta": delta, "usage": {"output_tokens": len(words)}})
    yield _named({"type": "message_stop"})


def _completion(behaviour: Behaviour, words: Words) -> Json:
    return {**_completion_end(behaviour, words), "content": "".join(words)}


def _completion_stream(behaviour: Behaviour, words: Words) -> Iterator[str]:
    for i, word in enumerate(words):
        counts = {"tokens_predicted": i + 1, "tokens_evaluated": behaviour.prompt_tokens}
        yield _data({"index": 0, "content": word, "tokens": [i], "stop": False, "id_slot": -1, **counts})
    yield _data(_completion_end(behaviour, words))


def _completion_end(behaviour: Behaviour, words: Words) -> Json:
    evaluated, predicted = behaviour.prompt_tokens, len(words)
    timings = {"cache_n": 0, "prompt_n": evaluated, "prompt_ms": 1.0, "predicted_n": predicted, "predicted_ms": 2.0}
    counts = {"tokens_predicted": predicted, "tokens_evaluated": evaluated}
    ended = {"stop": True, "stop_type": "eos", "stopping_word": ""}
    return {"index": 0, "content": "", "tokens": [], "model": "fake", **counts, **ended, "timings": timings}


def _ranking(behaviour: Behaviour, words: Words) -> Json:
    usage = {"prompt_tokens": behaviour.prompt_tokens, "total_tokens": behaviour.prompt_tokens}
    results = [{"index": 0, "relevance_score": 0.75}, {"index": 1, "relevance_score": 0.25}]
    return {"object": "list", "model": "fake", "usage": usage, "results": results}


def _count(behaviour: Behaviour, words: Words) -> Json:
    return {"input_tokens": behaviour.prompt_tokens}


def _tokens(behaviour: Behaviour, words: Words) -> Json:
    return {"tokens": list(range(len(words)))}


def _text(behaviour: Behaviour, words: Words) -> Json:
    return {"content": "".join(words)}


def _named(event: Json) -> str:
    return f"event: {event['type']}\n{_data(event)}"


def _data(event: Json) -> str:
    return f"data: {json.dumps(event, separators=(',', ':'))}\n\n"


_WHOLE: dict[str, Callable[[Behaviour, Words], object]] = {
    "/responses": _response,
    "/messages": _message,
    "/messages/count_tokens": _count,
    "/completion": _completion,
    "/infill": _completion,
    "/tokenize": _tokens,
    "/detokenize": _text,
    "/rerank": _ranking,
    "/reranking": _ranking,
}
_STREAM: dict[str, Callable[[Behaviour, Words], Iterator[str]]] = {
    "/responses": _response_stream,
    "/messages": _message_stream,
    "/completion": _completion_stream,
    "/infill": _completion_stream,
}
