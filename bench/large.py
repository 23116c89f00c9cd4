"""Large bodies of every shape that somebody could send, and large answers, with an engine that gives them."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

CHAT, SPEECH, RAW = "/v1/chat/completions", "/v1/audio/transcriptions", "/upstream/bench/v1/chat/completions"
JSON, FORM, EVENTS = "application/json", "multipart/form-data; boundary=edge", "text/event-stream"
WORDS = "water finds its way "
CODE = 'if (a[i] == "x\\n") { return b(c, {d: [1, 2]}); }  // and so on, as code goes\n'
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo" * 180_000}}


@dataclass(frozen=True, slots=True)
class Case:
    """One request. answer: which of `ANSWERS` it is given; "" = a small one. statuses: what may come of it."""

    name: str
    body: bytes
    path: str = CHAT
    content_type: str = JSON
    answer: str = ""
    statuses: tuple[int, ...] = (200,)


def asked(messages: object, **others: object) -> bytes:
    return json.dumps({"model": "bench", "messages": messages, **others}).encode()


def said(content: object) -> bytes:
    return asked([{"role": "user", "content": content}])


def requests() -> Iterator[Case]:
    """About 20 MB each."""
    text = said(WORDS * 1_000_000)
    yield Case("one long text", text)
    yield Case("code, half of it escapes", said(CODE * 230_000))
    yield Case("nothing but escapes", said('"\\' * 5_000_000))
    yield Case("ten pictures", said([PICTURE] * 10))
    yield Case("a talk: 19 000 messages of 1 KB", asked([{"role": "user", "content": WORDS * 50}] * 19_000))
    yield Case("580 000 messages of a letter", asked([{"role": "user", "content": "x"}] * 580_000))
    yield Case("2.4 million numbers", asked([{"role": "user", "content": "x", "ids": list(range(2_400_000))}]))
    yield Case(
        "lists in lists, 100 deep", b'{"model":"bench","messages":[%b0]}' % ((b"[" * 100 + b"]" * 100 + b",") * 99_000)
    )
    yield Case("10 000 members", asked([], **{f"member_{at}": WORDS * 99 for at in range(9_990)}))
    yield Case("a number of 20 million digits", b'{"model":"bench","messages":[1%b]}' % (b"0" * 20_000_000))
    yield Case("20 MB of white space", b'{"model":"bench","messages":[1%b]}' % (b" " * 20_000_000), statuses=(400,))
    yield Case("a form with a file", form(bytes(range(256)) * 78_000), SPEECH, FORM)
    yield Case("a form, its file all line ends", form(b"\r\n--" * 5_000_000), SPEECH, FORM)
    yield Case("one long text, below /upstream", text, RAW)


def answers() -> Iterator[Case]:
    for name in ANSWERS:
        yield Case(f"answered: {name}", said("hello"), answer=name)
    streamed = asked([{"role": "user", "content": "hello"}], stream=True)
    yield Case("answered: events, its count hidden", streamed, answer="events of 200 bytes")


def form(file: bytes) -> bytes:
    part = b'--edge\r\ncontent-disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    return part % (b"model", b"", b"bench") + part % (b"file", b'; filename="a.wav"', file) + b"--edge--\r\n"


def event(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return b"data: %b\n\n" % json.dumps({"id": "chatcmpl-1", "model": "bench", "choices": [choice]}).encode()


USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
ANSWERS: dict[str, tuple[str, bytes]] = {
    "one document": (
        JSON,
        json.dumps({"choices": [{"message": {"content": WORDS * 1_000_000}}], "usage": USAGE}).encode(),
    ),
    "embeddings": (JSON, json.dumps({"data": [{"embedding": [0.123456] * 2_000_000}], "usage": USAGE}).encode()),
    "one event": (EVENTS, event(WORDS * 1_000_000) + b"data: [DONE]\n\n"),
    "events of 200 bytes": (EVENTS, event("word " * 20) * 100_000 + b"data: [DONE]\n\n"),
    "events of 64 KB": (EVENTS, event(WORDS * 3_200) * 310 + b"data: [DONE]\n\n"),
}


class _Exchange(socketserver.BaseRequestHandler):
    """Reads a small request, gives the answer that its header names; small ones are the other upstream's."""

    def handle(self) -> None:
        connection: socket.socket = self.request
        with connection.makefile("rb") as reader:
            head = {}
            while line := reader.readline().strip():
                name, _, value = line.partition(b":")
                head[name.lower()] = value.strip()
            reader.read(int(head.get(b"content-length", b"0")))
        content_type, body = ANSWERS[head[b"x-answer"].decode()]
        lines = [
            "HTTP/1.1 200 OK",
            f"content-type: {content_type}",
            f"content-length: {len(body)}",
            "connection: close",
        ]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)


class _Engine(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextmanager
def engine() -> Iterator[int]:
    """What gives large answers; its port."""
    with _Engine(("127.0.0.1", 0), _Exchange) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
