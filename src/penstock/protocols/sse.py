"""Finding whole events in a stream of server-sent events, wherever it is cut."""

from __future__ import annotations

import re
from collections.abc import Iterator

_END = rb"(?:\r\n|\n|\r(?!\n|\Z))"
_GAP = re.compile(rb"\n%b|\r\n%b|\r(?!\n)%b" % (_END, _END, _END))  # spelled out: so the search skips to its first byte
"""Two ends of lines. A carriage return at the end of what is known may be half of one, and decides nothing."""

_GAP_REACH = 3
"""So many bytes before new ones may belong to a gap that the new ones complete."""

MAX_EVENT_BYTES = 1024 * 1024
"""An event longer than this is no longer looked at as one; its bytes pass all the same."""


class EventSplitter:
    """Cuts a stream into whole events.

    held: the event that has begun and not ended. has_cut: one was longer than the bound, and was given in parts.
    """

    __slots__ = ("has_cut", "held")

    def __init__(self) -> None:
        self.held = bytearray()
        self.has_cut = False

    def feed(self, data: bytes) -> bytes:
        """What is complete now: whole events, each with its gap; b"" = none yet.

        Nothing held and data that ends with a gap, as engines send it, need not come here: it is whole.
        """
        held = self.held
        start = max(0, len(held) - _GAP_REACH)
        held += data
        end = _last_gap(held, start)
        if len(held) - end > MAX_EVENT_BYTES:
            end = len(held)
            self.has_cut = True
        if not end:
            return b""
        with memoryview(held) as view:
            whole = bytes(view[:end])
        del held[:end]
        return whole

    def rest(self) -> bytes:
        """The stream has ended: what it ended in the middle of."""
        held, self.held = bytes(self.held), bytearray()
        return held


def _last_gap(held: bytearray, start: int) -> int:
    """Where the last gap ends that begins at `start` or later; 0 = there is none."""
    if held.find(b"\r", start) < 0:  # as nearly all engines send; a fraction of the time
        at = held.rfind(b"\n\n", start)
        return at + 2 if at >= 0 else 0
    end = 0
    for gap in _GAP.finditer(held, start):
        end = gap.end()
    return end


def events(data: bytes) -> Iterator[bytes]:
    """The single events of what `EventSplitter.feed` gave, gaps included, so that their sum is the whole."""
    start = 0
    if b"\r" in data:
        for gap in _GAP.finditer(data):
            yield data[start : gap.end()]
            start = gap.end()
    else:
        while (end := data.find(b"\n\n", start) + 2) > 1:
            yield data[start:end]
            start = end
    if start < len(data):
        yield data[start:]


def payload(event: bytes) -> bytes:
    """The data of one event: its `data:` lines joined."""
    lines = event.splitlines()
    if len(lines) == 2 and not lines[1] and event.startswith(b"data: "):  # how engines send
        return lines[0][6:]
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
