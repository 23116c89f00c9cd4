"""Finding whole events in a stream of server-sent events, wherever it is cut."""

from __future__ import annotations

import re
from collections.abc import Iterator

_GAP = re.compile(rb"\r\n\r\n|\n\n|\r\r")
MAX_EVENT_BYTES = 1024 * 1024
"""An event longer than this is no longer looked at as one; its bytes pass all the same."""


class EventSplitter:
    """Cuts a stream into whole events. `held` is the event that has begun and not ended."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = b""

    def feed(self, data: bytes) -> bytes:
        """What is complete now: whole events, each with its gap; b"" = none yet."""
        if self.held:
            data = self.held + data
        if data.endswith(b"\n\n"):  # how engines send: whole events at a time
            self.held = b""
            return data
        end = 0
        for gap in _GAP.finditer(data):
            end = gap.end()
        if len(data) - end > MAX_EVENT_BYTES:
            end = len(data)
        self.held = data[end:]
        return data[:end]


def events(data: bytes) -> Iterator[bytes]:
    """The single events of what `EventSplitter.feed` gave, gaps included, so that their sum is the whole."""
    start = 0
    for gap in _GAP.finditer(data):
        yield data[start : gap.end()]
        start = gap.end()
    if start < len(data):
        yield data[start:]


def payload(event: bytes) -> bytes:
    """The data of one event: its `data:` lines joined."""
    if event.startswith(b"data: ") and b"\n" not in (line := event[6:].rstrip(b"\r\n")):
        return line
    lines = (line for line in event.splitlines() if line.startswith(b"data:"))
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines)
