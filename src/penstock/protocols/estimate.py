"""How many tokens a request's prompt may have, from its body alone: for prices and limits, never for the books.

Text is taken at four bytes a token, whatever its language; ids of tokens count one each, pictures and sounds
a fixed number each instead of their megabytes of base64. A small body is not looked into: whatever it holds,
it is cheap. A large value is not taken apart but looked at in places, so that no look takes long.
"""

from __future__ import annotations

import re

import msgspec

from penstock.core.calls.message import Body
from penstock.protocols.jsonpieces import NULL, Source

BYTES_PER_TOKEN = 4

MEDIA_TOKENS = 1_000
"""One picture or sound. Engines make 256 to 2 000 tokens of a picture, depending on its size."""

SMALL_BYTES = 8_000
"""Up to here the size of the body says enough: it is the first tier of prices."""

LARGE_BYTES = 64 * 1024
"""A value of more is large."""

_MEDIA = frozenset(
    {
        *("image_url", "image", "input_image", "input_audio", "audio", "video_url", "video"),
        *("document", "file", "input_file"),
    }
)
_STEP_BYTES = 64 * 1024
_LOOK_EVERY_BYTES, _LOOK_BYTES = 1024, 64
_BASE64 = re.compile(rb"[A-Za-z0-9+/=_-]{%d}" % _LOOK_BYTES)
_NAME = re.compile(rb'"([a-z_]+)"[ \t\r\n]*:[ \t\r\n]*\Z')
_NAME_BYTES = 64
_ABSENT, _NULL = msgspec.Raw(b""), msgspec.Raw(NULL)
_JSON = (b"", b"{", b"[")
_QUOTE, _BRACKET = b'"['


class _Asked(msgspec.Struct):
    """The members that an engine reads as prompt, in one endpoint or another."""

    messages: msgspec.Raw = _ABSENT
    prompt: msgspec.Raw = _ABSENT
    input: msgspec.Raw = _ABSENT
    instructions: msgspec.Raw = _ABSENT
    system: msgspec.Raw = _ABSENT
    tools: msgspec.Raw = _ABSENT
    functions: msgspec.Raw = _ABSENT
    suffix: msgspec.Raw = _ABSENT
    query: msgspec.Raw = _ABSENT  # of rerank, as documents
    documents: msgspec.Raw = _ABSENT
    content: msgspec.Raw = _ABSENT  # of llama.cpp's own endpoints, as the last three
    input_prefix: msgspec.Raw = _ABSENT
    input_suffix: msgspec.Raw = _ABSENT
    input_extra: msgspec.Raw = _ABSENT


class _Message(msgspec.Struct):
    content: msgspec.Raw = _ABSENT
    tool_calls: msgspec.Raw = _ABSENT


class _Part(msgspec.Struct):
    type: str = ""
    content: msgspec.Raw = _ABSENT


_asked = msgspec.json.Decoder(_Asked).decode
_messages = msgspec.json.Decoder(list[_Message] | None).decode
_members = msgspec.json.Decoder(list[msgspec.Raw]).decode
_part = msgspec.json.Decoder(_Part).decode


def prompt_tokens(body: Body) -> int:
    """About how many, of a body that nobody has opened; of what is not as it should be, a quarter of its bytes."""
    if len(body) <= SMALL_BYTES:
        return len(body) // BYTES_PER_TOKEN
    if bytes(body[:SMALL_BYTES]).lstrip(b" \t\r\n")[:1] not in _JSON:
        return MEDIA_TOKENS  # a file, or a form with one in it
    if len(body) > LARGE_BYTES:
        return _of_large(memoryview(body))
    return prompt_tokens_of(Source(body))


def prompt_tokens_of(source: Source) -> int:
    """The same of a body that was opened: of its large members, those that are prompt count."""
    text = source.text
    if len(text) <= SMALL_BYTES and not source.views:
        return len(text) // BYTES_PER_TOKEN
    large = sum(
        _of_large(view) for hole, view in zip(source.holes, source.views, strict=True) if _is_prompt(text, hole)
    )
    try:
        asked = _asked(text)
        return (
            large
            + _of_messages(asked.messages)
            + sum(map(_of_content, (asked.prompt, asked.input, asked.instructions, asked.system, asked.documents)))
            + sum(map(_of_text, (asked.tools, asked.functions, asked.suffix, asked.query, asked.content)))
            + sum(map(_of_text, (asked.input_prefix, asked.input_suffix, asked.input_extra)))
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return large + len(text) // BYTES_PER_TOKEN


def _is_prompt(text: Body, hole: int) -> bool:
    """Whether what stands in a hole is of a member that an engine reads as prompt."""
    name = _NAME.search(text, max(0, hole - _NAME_BYTES), hole)
    return name is not None and name[1].decode("ascii") in _Asked.__struct_fields__


def _of_large(view: memoryview) -> int:
    """Of a large value. What is in base64 where it is looked at is a picture or a sound up to the next quote."""
    if _holds_numbers(view):
        return _count(view, b",") + 1
    at, text_bytes, media = 0, len(view), 0
    while at < len(view):
        if _BASE64.match(view, at):
            begin = at - _LOOK_EVERY_BYTES + bytes(view[max(0, at - _LOOK_EVERY_BYTES) : at]).rfind(b'"') + 1
            end = _next_quote(view, at)
            media += 1
            text_bytes -= end - max(0, begin)
            at = end
        at += _LOOK_EVERY_BYTES
    return text_bytes // BYTES_PER_TOKEN + media * MEDIA_TOKENS


def _next_quote(view: memoryview, at: int) -> int:
    for start in range(at, len(view), _STEP_BYTES):
        found = bytes(view[start : start + _STEP_BYTES]).find(b'"')
        if found >= 0:
            return start + found
    return len(view)


def _of_messages(raw: msgspec.Raw) -> int:
    if len(memoryview(raw)) > LARGE_BYTES:
        return _of_large(memoryview(raw))
    return sum(map(_of_message, _messages(raw or _NULL) or ()))


def _of_message(message: _Message) -> int:
    return _of_content(message.content) + _of_text(message.tool_calls)


def _of_content(raw: msgspec.Raw) -> int:
    """A text, a list of texts or of ids of tokens (or of such lists), or of parts with a type each."""
    text = memoryview(raw)
    if not text.nbytes or text[0] != _BRACKET:
        return _of_text(raw)
    if text.nbytes > LARGE_BYTES or _holds_numbers(text):
        return _of_large(text)
    return sum(map(_of_member, _members(raw)))


def _of_member(raw: msgspec.Raw) -> int:
    first = memoryview(raw)[0]
    if first in (_QUOTE, _BRACKET):
        return _of_content(raw)
    part = _part(raw)
    if part.content:
        return _of_content(part.content)
    return MEDIA_TOKENS if part.type in _MEDIA else _of_text(raw)


def _count(text: memoryview, what: bytes) -> int:
    """About how often it is there: at the seams between steps it may be missed."""
    return sum(bytes(text[at : at + _STEP_BYTES]).count(what) for at in range(0, text.nbytes, _STEP_BYTES))


def _of_text(raw: msgspec.Raw) -> int:
    return 0 if raw == _NULL else memoryview(raw).nbytes // BYTES_PER_TOKEN


def _holds_numbers(text: memoryview) -> bool:
    """Is it a list of numbers, or of lists of numbers? Its first letter tells."""
    return bytes(text[:64]).lstrip(b"[ \t\r\n")[:1].isdigit()
