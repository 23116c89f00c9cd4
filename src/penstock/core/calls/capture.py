"""What is kept of a call for the operator to look at, and how its bytes are collected within bounds.

Pure rules and values. Collecting costs a call an append for each piece; what takes longer (masking, compressing)
is done by whoever reads the collected pieces, on another thread.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass

from penstock.core.calls.message import Body, Headers

BODY_BYTES = 1024 * 1024
"""Most that is kept of one body; of a longer one, its beginning and its end."""
FIRST_LEASE_BYTES = 2048
"""What a body may hold before its collector asks the room for more."""
PIECE_BYTES = 64
"""What a piece takes beside its bytes."""
WORTH_BYTES = 4096
"""With less room than this left, a collector does not make its pieces one again to gain more."""


class CaptureLevel(enum.StrEnum):
    """How much of a call is kept."""

    OFF = "off"
    HEADERS = "headers"
    FULL = "full"


OFF, FULL = CaptureLevel.OFF, CaptureLevel.FULL
"""By themselves, for what every call asks (as in outcomes.py)."""


class Absence(enum.StrEnum):
    """Why nothing of a body is kept; `NONE`: it is kept, as far as there was one."""

    NONE = ""
    LEVEL = "level"  # only headers are wanted
    MEDIA = "media"  # sound, pictures, files
    ENDPOINT = "endpoint"  # the table says that it is not worth keeping
    CODING = "coding"  # compressed in a way that could not be searched for secrets


@dataclass(frozen=True, slots=True)
class KeptBody:
    """A body as it is kept: `head`, then `missing_bytes` that are not kept, then `tail`.

    passed_bytes: as many came by. coding: what was undone, so that it can be read; the lengths are those after it.
    """

    passed_bytes: int = 0
    head: bytes = b""
    missing_bytes: int = 0
    tail: bytes = b""
    absence: Absence = Absence.NONE
    coding: str = ""

    @property
    def is_whole(self) -> bool:
        return not self.missing_bytes and not self.absence

    @property
    def shown(self) -> bytes:
        """All that is kept as one; what is missing is said where it was."""
        if not self.missing_bytes:
            return self.head + self.tail
        return b"%b\n[%d bytes not kept]\n%b" % (self.head, self.missing_bytes, self.tail)


@dataclass(frozen=True, slots=True)
class Summary:
    """A capture in a list. received_at: epoch seconds; total_s None = it still runs."""

    id: str
    received_at: float
    method: str
    path: str
    dialect: str
    model: str | None
    key: str | None
    http_status: int | None
    outcome: str | None
    total_s: float | None
    request_bytes: int | None
    response_bytes: int | None


@dataclass(frozen=True, slots=True)
class KeptCapture:
    """One call as it is kept, with every secret masked. status None = no answer came."""

    summary: Summary
    level: CaptureLevel
    target: bytes
    http_version: str
    request_headers: Headers
    request: KeptBody
    status: int | None
    response_headers: Headers
    response: KeptBody


class Room:
    """The memory that all calls together may hold while they are collected."""

    __slots__ = ("held_bytes", "most_bytes")

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.held_bytes = 0

    def lease(self, wanted_bytes: int) -> int:
        """As much of it as there is."""
        held_bytes = self.held_bytes + wanted_bytes
        if held_bytes <= self.most_bytes:
            self.held_bytes = held_bytes
            return wanted_bytes
        granted = max(0, self.most_bytes - self.held_bytes)
        self.held_bytes += granted
        return granted

    def give_back(self, leased_bytes: int) -> None:
        self.held_bytes -= leased_bytes


@dataclass(frozen=True, slots=True)
class Collected:
    """The pieces of a body at some moment; `head` and `tail` are one if nothing is missing between them."""

    head: tuple[bytes | bytearray, ...] = ()
    missing_bytes: int = 0
    tail: tuple[bytes | bytearray, ...] = ()


class Collector:
    """Takes the bytes of one body as they pass: all of them within its lease, then its beginning and its end.

    What it holds is never more than what it has leased from the room, but for the one piece that it was just given.
    """

    __slots__ = ("_head", "_is_cut", "_left", "_missing", "_most", "_parts", "_room", "leased_bytes")

    def __init__(self, room: Room, most_bytes: int = BODY_BYTES) -> None:
        self._room = room
        self._most = most_bytes
        self._head = b""
        self._missing = 0
        self._is_cut = False
        self._parts: list[bytes | bytearray] = []
        self.leased_bytes = self._left = room.lease(FIRST_LEASE_BYTES)

    def add(self, piece: bytes | bytearray) -> None:
        """The next bytes; they must not change any more."""
        self._parts.append(piece)
        self._left -= len(piece) + PIECE_BYTES
        if self._left < 0:
            self._make_room()

    def add_body(self, pieces: Iterable[Body]) -> None:
        """A whole body. Of what is mapped or too long nothing is copied but its ends."""
        for piece in pieces:
            if isinstance(piece, memoryview):
                self._add_view(piece)
            elif len(piece) > self._most:
                self._add_view(memoryview(piece))
            else:
                self.add(piece)

    def collected(self) -> Collected:
        """What there is by now; adding may go on."""
        if not self._is_cut:
            return Collected(tuple(self._parts))
        return Collected((self._head,), self._missing, tuple(self._parts))

    def give_back(self) -> None:
        """Let go of everything."""
        self._room.give_back(self.leased_bytes)
        self.leased_bytes = 0
        self._parts = []
        self._head = b""

    def _add_view(self, view: memoryview) -> None:
        if len(view) <= self._most:
            self.add(bytes(view))
            return
        half = self._most // 2
        self.add(bytes(view[:half]))
        self._cut()
        self._missing += sum(map(len, self._parts)) + len(view) - 2 * half
        self._parts = []
        self._left = self.leased_bytes - len(self._head)
        self.add(bytes(view[len(view) - half :]))

    def _make_room(self) -> None:
        """Lease more if there is more to have; else begin to forget what is neither beginning nor end."""
        if not self._is_cut:
            held = self._merge()
            wanted = min(2 * held + 2 * WORTH_BYTES, self._most + 2 * WORTH_BYTES)
            if wanted > self.leased_bytes:
                self.leased_bytes += self._room.lease(wanted - self.leased_bytes)
            self._left = self.leased_bytes - held
            if self._left > WORTH_BYTES:
                return
            self._cut()
        if self._left < 0:
            self._forget()

    def _cut(self) -> None:
        """From here on there is a beginning, which stays, and an end."""
        if self._is_cut:
            return
        self._is_cut = True
        self._merge()
        whole = bytes(self._parts.pop()) if self._parts else b""
        self._head = whole[: self.leased_bytes // 2]
        rest = whole[len(self._head) :]
        self._left = self.leased_bytes - len(self._head)
        self.add(rest)

    def _forget(self) -> None:
        """Keep as much of the end as half of what is left beside the beginning, so that this is seldom done."""
        room = self.leased_bytes - len(self._head)
        kept = max(0, room // 2 - PIECE_BYTES)
        whole = b"".join(self._parts)
        tail = whole[len(whole) - kept :] if kept else b""
        self._missing += len(whole) - len(tail)
        self._parts = [tail] if tail else []
        self._left = room - len(tail) - PIECE_BYTES

    def _merge(self) -> int:
        """Make the pieces one; how much it takes."""
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return sum(map(len, self._parts)) + PIECE_BYTES


# What bodies are kept of.

_MEDIA = ("audio/", "image/", "video/", "font/", "application/octet-stream", "application/zip", "application/pdf")
_FORM = "multipart/form-data"
_INLINE = (
    re.compile(rb";base64,([A-Za-z0-9+/=_\\-]{512,})"),
    re.compile(rb'"data"\s*:\s*"([A-Za-z0-9+/=_\\-]{512,})'),
    re.compile(rb'"b64_json"\s*:\s*"([A-Za-z0-9+/=_\\-]{512,})'),
    re.compile(rb'"file_data"\s*:\s*"([A-Za-z0-9+/=_\\-]{512,})'),
)


def is_media(content_type: str) -> bool:
    """Whether a body of this type is sound, a picture or a file, and never kept."""
    return content_type.strip().lower().startswith((*_MEDIA, _FORM))


def without_media(body: bytes) -> bytes:
    """The body less what is written into it in base64; in its place stands how long it was. JSON stays JSON."""
    for pattern in _INLINE:
        body = pattern.sub(_length_instead, body)
    return body


def _length_instead(found: re.Match[bytes]) -> bytes:
    before = found[0][: found.start(1) - found.start()]
    return before + b"[%d characters not kept]" % len(found[1])
