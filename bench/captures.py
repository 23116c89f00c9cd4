"""What captures cost: python -m bench.captures.

How much an agent's conversations shrink on the shelf, what a call costs the loop while it is collected, and what the
thread spends on it afterwards. A conversation: a system prompt, tools, and turns of a request (all that was said so
far, as agents send it) and a streamed answer; tool results are files of this project. Several go on at once.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from penstock.core.accounting.record import CallRecord
from penstock.core.calls.capture import CaptureLevel, KeptCapture
from penstock.core.calls.message import Head
from penstock.core.calls.redact import Redactor
from penstock.protocols.endpoints import BY_PATH
from penstock.runtime.captures.captures import Captures
from penstock.runtime.captures.collecting import Capture
from penstock.runtime.captures.keeping import Keeper, packed
from penstock.runtime.captures.shelf import ENTRY_BYTES, Shelf

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ROOT = Path(__file__).parents[1]
ENDPOINT = BY_PATH[b"/v1/chat/completions"]
HEADERS = [
    (b"host", b"127.0.0.1:8080"),
    (b"user-agent", b"OpenAI/Python 2.0.0"),
    (b"content-type", b"application/json"),
    (b"authorization", b"Bearer sk-penstock-Zm9vYmFyYmF6MTIzNDU2Nzg5MA"),
    (b"accept", b"application/json"),
    (b"x-stainless-lang", b"python"),
    (b"x-stainless-os", b"Linux"),
    (b"x-stainless-retry-count", b"0"),
]
ANSWER_HEADERS = [(b"content-type", b"text/event-stream"), (b"server", b"llama.cpp")]
BODY = b'{"messages":[]}' * 50
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":" word"}}],"object":"chat.completion.chunk"}\n\n'


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.captures", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--turns", type=int, default=25)
    parser.add_argument("--conversations", type=int, default=4, help="going on at once, their turns interleaved")
    args = parser.parse_args()
    asyncio.run(_shrinking(args.turns, args.conversations))
    asyncio.run(_collecting())


class Conversation:
    """An agent at work; deterministic by its seed."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._files = sorted((ROOT / "src" / "penstock").rglob("*.py"))
        tools = [
            {"type": "function", "function": {"name": f"tool_{n}", "description": self._lines(6)}} for n in range(12)
        ]
        self._request = {"model": "m", "stream": True, "tools": tools}
        self._messages: list[dict[str, str]] = [{"role": "system", "content": self._lines(80)}]

    def turn(self) -> tuple[bytes, list[bytes]]:
        """The next request and the pieces of its answer."""
        self._messages.append({"role": "user", "content": self._lines(self._draw.randint(10, 120))})
        request = json.dumps({**self._request, "messages": self._messages}).encode()
        words = self._lines(self._draw.randint(2, 25)).split(" ")
        self._messages.append({"role": "assistant", "content": " ".join(words)})
        chunk = {"id": f"c{self._draw.getrandbits(32)}", "object": "chat.completion.chunk", "model": "m"}
        deltas = ({**chunk, "choices": [{"index": 0, "delta": {"content": f" {word}"}}]} for word in words)
        return request, [b"data: %b\n\n" % json.dumps(delta).encode() for delta in deltas]

    def _lines(self, count: int) -> str:
        lines = self._draw.choice(self._files).read_text().splitlines()
        start = self._draw.randrange(max(1, len(lines) - count))
        return "\n".join(lines[start : start + count])


def _record(number: int) -> CallRecord:
    return CallRecord(f"{number:036d}", "g", "b", "0", time.time(), "POST", "/v1/chat/completions", "openai.chat")


def _calls(captures: Captures, turns: int, conversations: int) -> Iterator[Capture]:
    talks = [Conversation(seed) for seed in range(conversations)]
    for number in range(turns * conversations):
        request, pieces = talks[number % conversations].turn()
        head = Head(b"POST", b"/v1/chat/completions", HEADERS, "1.1", None, dict(HEADERS))
        capture = captures.begin(_record(number), ENDPOINT, CaptureLevel.FULL, head)
        assert capture is not None
        capture.request(request)
        capture.response_head(200, ANSWER_HEADERS)
        for piece in pieces:
            capture.response(piece)
        yield capture


async def _shrinking(turns: int, conversations: int) -> None:
    keeper, shelf = Keeper(Redactor(["upstream-secret-key"])), Shelf(2**30)
    captures = Captures(keeper, buffer_bytes=2**30, level=CaptureLevel.FULL)
    plain = alone = 0
    keep_s = put_s = 0.0
    for capture in _calls(captures, turns, conversations):
        raw = capture.raw()
        kept, spent_s = _timed(lambda raw=raw: keeper.kept(raw))  # type: ignore[misc]
        keep_s += spent_s
        content = packed(kept)
        plain += len(content)
        alone += len(zstd.compress(content, 3))
        _, spent_s = _timed(lambda kept=kept, content=content: shelf.put(kept.summary, content))  # type: ignore[misc]
        put_s += spent_s
        captures.drop(capture)
    captures.close()
    count = turns * conversations
    print(
        f"{conversations} conversations of {turns} turns at once, {count} captures (heads, requests, streamed answers)"
    )
    print(f"{'plain, as msgpack':38}{plain:12,} bytes")
    _told("each compressed by itself (zstd 3)", alone, plain)
    _told("on the shelf", shelf.held_bytes - ENTRY_BYTES * count, plain)
    _told(f"on the shelf, {ENTRY_BYTES} bytes each reckoned", shelf.held_bytes, plain)
    megabytes = plain / 1e6
    print(f"thread: {1e3 * keep_s / megabytes:.1f} ms CPU per MB to mask, {1e3 * put_s / megabytes:.1f} to compress")
    some = shelf.entries(before=None, limit=10)[-1].summary.id
    _, spent_s = _timed(lambda: shelf.read(some))
    print(f"reading one of them: {1e3 * spent_s:.1f} ms CPU; most resident {_rss_mb()} MB")


def _told(name: str, size: int, plain: int) -> None:
    print(f"{name:38}{size:12,} bytes, {100 * (1 - size / plain):.1f} % less")


def _timed(task: Callable[[], KeptCapture | bytes | bool | None]) -> tuple[KeptCapture, float]:
    began_s = time.process_time()
    found = task()
    return found, time.process_time() - began_s  # type: ignore[return-value]


def _rss_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


async def _collecting() -> None:
    """CPU nanoseconds on the loop. The crowd is larger than the thread may take, so most of it is let go at once."""
    for name, level in (("full", CaptureLevel.FULL), ("headers", CaptureLevel.HEADERS), ("off", CaptureLevel.OFF)):
        captures = Captures(Keeper(Redactor()), buffer_bytes=2**28, level=level)
        records = iter([_record(number) for number in range(20_000)])
        head = Head(b"POST", b"/v1/chat/completions", HEADERS, "1.1", None, dict(HEADERS))
        whole_call = functools.partial(_next_call, captures, records, head)
        call_ns = _ns(whole_call, 15_000)
        chunk_ns = _chunk_ns(captures, next(records), head)
        print(f"captures {name:8} {call_ns:7.0f} ns a call with one chunk, {chunk_ns:6.1f} ns a chunk")
        captures.close()


def _next_call(captures: Captures, records: Iterator[CallRecord], head: Head) -> None:
    record = next(records)
    capture = captures.begin(record, ENDPOINT, None, head)
    record.outcome = "completed"
    if capture is not None:
        capture.request(BODY)
        capture.response_head(200, ANSWER_HEADERS)
        capture.response(EVENT)
        captures.ended(capture)


def _chunk_ns(captures: Captures, record: CallRecord, head: Head) -> float:
    """As the relay does it: one look whether there is a capture, and a call of it. Less the cost of counting."""
    capture = captures.begin(record, ENDPOINT, None, head)
    if capture is not None:
        capture.response_head(200, ANSWER_HEADERS)

    def chunks() -> None:
        for _ in range(1000):
            if capture is not None:
                capture.response(EVENT)

    def nothing() -> None:
        for _ in range(1000):
            pass

    return (_ns(chunks, 1000) - _ns(nothing, 1000)) / 1000


def _ns(task: Callable[[], None], rounds: int) -> float:
    """CPU time of one, the best of five."""
    best = float("inf")
    for _ in range(5):
        began_s = time.process_time()
        for _ in range(rounds // 5):
            task()
        best = min(best, (time.process_time() - began_s) / (rounds // 5))
    return 1e9 * best


if __name__ == "__main__":
    main()
