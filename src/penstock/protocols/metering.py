"""Watching an answer as it passes, as a stream of events or as one document, with little memory and little time.

What an event or a document says is understood by a `Reader`, one for each kind of answer.
"""

from __future__ import annotations

import json
from typing import Protocol

from penstock.core.calls.message import TokenSource, Usage
from penstock.protocols.sse import EventSplitter, events, payload

WHOLE_BYTES = 64 * 1024
"""An answer up to this size is kept and read as a whole; of a larger one both ends are searched."""
END_BYTES = 16 * 1024
FIGURES = ("usage", "timings", "metrics")
"""The members that are searched for."""

_BRACE = ord("{")  # as a number it is found ten times as quickly: bytes in bytes is tried as a number first
_prefix_decoder = json.JSONDecoder()


class Reader(Protocol):
    """Collects what an answer says about itself."""

    usage: Usage
    has_token: bool
    failure: str | None

    def is_mute(self, whole: bytes) -> bool:
        """True = after the first token these events say nothing that a record keeps, so that they need no reading.

        A name in quotes cannot stand inside a JSON string, where its quotes would be escaped: so a search is enough.
        """

    def read(self, document: bytes) -> bool:
        """Take what one JSON document says: the data of an event, or the whole answer. Whatever cannot be read says
        nothing. True = it is a usage chunk, which is there only because it was asked for."""


class StreamMeter:
    """Watches a stream of events; takes out the usage chunk that only we asked for.

    The last event may repeat the whole prompt and be too long to be read: then the end of the stream is searched.
    """

    __slots__ = ("_end", "_hides_usage_chunk", "_splitter", "reader")

    def __init__(self, reader: Reader, *, hides_usage_chunk: bool = False) -> None:
        self._hides_usage_chunk = hides_usage_chunk
        self._splitter = EventSplitter()
        self.reader = reader
        self._end = b""

    @property
    def usage(self) -> Usage:
        return self.reader.usage

    @property
    def has_token(self) -> bool:
        return self.reader.has_token

    @property
    def failure(self) -> str | None:
        return self.reader.failure

    @property
    def is_torn(self) -> bool:
        """What has passed ends in the middle of an event; what is held back instead has not passed."""
        return self._splitter.has_cut or (bool(self._splitter.held) and not self._hides_usage_chunk)

    def feed(self, data: bytes) -> bytes:
        splitter, reader, hides = self._splitter, self.reader, self._hides_usage_chunk
        whole = data if data.endswith(b"\n\n") and not splitter.held else splitter.feed(data)
        if splitter.has_cut:
            self._end = (self._end + data)[-END_BYTES:]
        if _BRACE not in whole or (reader.has_token and reader.is_mute(whole)):
            return whole if hides else data
        seen = [self._shown(event) for event in events(whole)]
        return b"".join(seen) if hides else data

    def finish(self) -> bytes:
        shown = self._shown(self._splitter.rest())
        if self._end and self.usage.source is TokenSource.NONE:
            self.reader.read(figures(self._end))
        return shown if self._hides_usage_chunk else b""

    def _shown(self, event: bytes) -> bytes:
        """Read one event, and give what the client gets of it: of the usage chunk, no more than empty lines."""
        text = payload(event)
        if not text.startswith(b"{") or not self.reader.read(text):
            return event
        return event[: len(event) - len(event.lstrip(b"\r\n"))]


class BodyMeter:
    """Watches an answer that is one JSON document."""

    __slots__ = ("_end", "_parts", "_reader", "_room")
    has_token = False  # when its first token was made, a whole answer does not say

    def __init__(self, reader: Reader) -> None:
        self._parts: list[bytes] = []
        self._room = WHOLE_BYTES
        self._end = b""
        self._reader = reader

    @property
    def usage(self) -> Usage:
        return self._reader.usage

    @property
    def failure(self) -> str | None:
        return self._reader.failure

    def feed(self, data: bytes) -> bytes:
        room = self._room
        if len(data) <= room:
            self._parts.append(data)
            self._room = room - len(data)
        else:
            self._parts.append(data[:room])
            self._room = 0
            self._end = (self._end + data[room:])[-END_BYTES:]
        return data

    def finish(self) -> bytes:
        start = b"".join(self._parts)
        self._parts.clear()
        if not self._end:
            self._reader.read(start)
        elif not start.lstrip(b" \t\r\n").startswith(b"["):  # of a list, one end would tell of some elements only
            self._reader.read(figures(start[:END_BYTES]))
            self._reader.read(figures((start + self._end)[-END_BYTES:]))
        return b""


class BlindMeter:
    """Lets an answer pass that cannot be read: it is compressed, or no text."""

    __slots__ = ("failure", "usage")
    has_token = False

    def __init__(self) -> None:
        self.usage = Usage()
        self.failure: str | None = None

    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


def figures(part: bytes) -> bytes:
    """A small document of the figures that a part of a large one holds."""
    found = ((name, _value_after(part, f'"{name}":'.encode("ascii"))) for name in FIGURES)
    return "{{{}}}".format(",".join(f'"{name}":{value}' for name, value in found if value)).encode("utf-8")


def _value_after(part: bytes, name: bytes) -> str | None:
    """The JSON object that follows the last `name` in a piece of a document; None = there is none, or not all of it."""
    at = part.rfind(name)
    if at < 0:
        return None
    text = part[at + len(name) :].lstrip().decode("utf-8", "replace")
    try:
        value, end = _prefix_decoder.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return text[:end] if isinstance(value, dict) else None
