"""A client that writes any bytes and reads any answer: blocking sockets, and a reader of HTTP of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass, field

WITHIN_S = 5.0

Fields = list[tuple[str, bytes]]


@dataclass(slots=True)
class Heard:
    """One answer. framing: how its end was marked; is_whole: whether it came to that end."""

    status: int = 0
    headers: Fields = field(default_factory=list)
    interim: list[int] = field(default_factory=list)
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    framing: str = "none"
    is_whole: bool = True

    def values(self, name: str) -> list[bytes]:
        return [value for key, value in self.headers if key == name]


def ask(port: int, pieces: Iterable[bytes], *, method: str) -> Heard:
    """Write the pieces, each by itself, and read until the other side closes."""
    return heard(raw(port, pieces), method=method)


def raw(port: int, pieces: Iterable[bytes]) -> bytes:
    with socket.create_connection(("127.0.0.1", port), WITHIN_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        received = bytearray()
        while data := connection.recv(1 << 16):
            received += data
        return bytes(received)


def heard(received: bytes, *, method: str) -> Heard:
    """What the bytes of a connection say, as RFC 9112 has it read."""
    answer = Heard()
    while True:
        head, separator, rest = received.partition(b"\r\n\r\n")
        if not separator:
            return Heard(is_whole=False, body=received)
        first, *lines = head.split(b"\r\n")
        status = int(first.split(b" ", 2)[1])
        if status >= 200 or status == 101:
            break
        answer.interim.append(status)
        received = rest
    answer.status, answer.headers = status, _fields(lines)
    coding, length = answer.values("transfer-encoding"), answer.values("content-length")
    if method == "HEAD" or status in (204, 304):
        answer.is_whole = not rest
    elif coding:
        answer.framing = "chunked"
        _read_chunks(answer, rest)
    elif length:
        answer.framing = "length"
        answer.body = rest
        answer.is_whole = len(rest) == int(length[0])
    else:
        answer.framing = "end"
        answer.body = rest
    return answer


def _read_chunks(answer: Heard, rest: bytes) -> None:
    while True:
        line, separator, rest = rest.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16) if separator else None
        if size is None or len(rest) < size + 2:
            answer.is_whole = False
            return
        if not size:
            break
        answer.body, rest = answer.body + rest[:size], rest[size + 2 :]
    *lines, end, after = rest.split(b"\r\n") if rest != b"\r\n" else [b"", b""]
    answer.trailers = _fields(line for line in lines if line)
    answer.is_whole = end == b"" and after == b""


def _fields(lines: Iterable[bytes]) -> Fields:
    split = (line.partition(b":") for line in lines)
    return [(name.decode("latin-1").lower(), value.strip()) for name, _, value in split]
