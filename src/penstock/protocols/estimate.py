"""How many tokens a request's prompt may have, from its body alone: for prices and limits, never for the books.

Text is taken at four bytes a token, whatever its language; ids of tokens count one each, pictures and sounds
a fixed number each instead of their megabytes of base64. A small body is not looked into: whatever it holds,
it is cheap.
"""

from __future__ import annotations

import msgspec

from penstock.core.message import Body

BYTES_PER_TOKEN = 4

MEDIA_TOKENS = 1_000
"""One picture or sound. Engines make 256 to 2 000 tokens of a picture, depending on its size."""

SMALL_BYTES = 8_000
"""Up to here the size of the body says enough: it is the first tier of prices."""

MAX_MEMBERS = 10_000
"""A list of more is not looked at member by member: whatever they are, they are short."""

_MEDIA = frozenset(
    {
        *("image_url", "image", "input_image", "input_audio", "audio", "video_url", "video"),
        *("document", "file", "input_file"),
    }
)
_STEP_BYTES = 64 * 1024
_ABSENT = msgspec.Raw(b"")
_JSON = (b"", b"{", b"[")
_QUOTE, _BRACKET = ord('"'), ord("[")


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
_messages = msgspec.json.Decoder(list[_Message]).decode
_members = msgspec.json.Decoder(list[msgspec.Raw]).decode
_part = msgspec.json.Decoder(_Part).decode


def prompt_tokens(body: Body) -> int:
    """About how many; of what is not as it should be, a quarter of its bytes."""
    if len(body) <= SMALL_BYTES:
        return len(body) // BYTES_PER_TOKEN
    if bytes(body[:SMALL_BYTES]).lstrip(b" \t\r\n")[:1] not in _JSON:
        return MEDIA_TOKENS  # a file, or a form with one in it
    try:
        asked = _asked(body)
        return (
            _of_messages(asked.messages)
            + sum(map(_of_content, (asked.prompt, asked.input, asked.instructions, asked.system, asked.documents)))
            + sum(map(_of_text, (asked.tools, asked.functions, asked.suffix, asked.query, asked.content)))
            + sum(map(_of_text, (asked.input_prefix, asked.input_suffix, asked.input_extra)))
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return len(body) // BYTES_PER_TOKEN


def _of_messages(raw: msgspec.Raw) -> int:
    if _count(memoryview(raw), b'"content"') > MAX_MEMBERS:
        return _of_text(raw)
    return sum(_of_message(message) for message in _messages(raw or b"[]"))


def _of_message(message: _Message) -> int:
    return _of_content(message.content) + _of_text(message.tool_calls)


def _of_content(raw: msgspec.Raw) -> int:
    """A text, a list of texts or of ids of tokens (or of such lists), or of parts with a type each."""
    text = memoryview(raw)
    if not text.nbytes or text[0] != _BRACKET:
        return _of_text(raw)
    if _holds_numbers(text):
        return _count(text, b",") + 1
    members = _members(raw)
    return _of_text(raw) if len(members) > MAX_MEMBERS else sum(map(_of_member, members))


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
    return memoryview(raw).nbytes // BYTES_PER_TOKEN


def _holds_numbers(text: memoryview) -> bool:
    """Is it a list of numbers, or of lists of numbers? Its first letter tells."""
    return bytes(text[:64]).lstrip(b"[ \t\r\n")[:1].isdigit()
