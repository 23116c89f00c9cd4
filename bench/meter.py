"""What it costs to watch an answer go by, for each dialect: python -m bench.meter --help.

CPU time for an event and for a megabyte, with each event in a piece of its own (as engines flush them), and the most
memory that was held while a short stream passed and while one of 16 times the length did, which must be the same.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from penstock.core.calls.message import CallFacts
from penstock.protocols.anthropic import MESSAGES
from penstock.protocols.dialect import Dialect, Meter
from penstock.protocols.inflating import InflatingMeter
from penstock.protocols.llamacpp import COMPLETION
from penstock.protocols.openai_chat import CHAT, COMPLETIONS
from penstock.protocols.openai_responses import RESPONSES
from penstock.protocols.vectors import EMBEDDINGS
from penstock.wire.inflate import inflate_for

EVENTS, JSON = b"text/event-stream", b"application/json"
EVENTS_PER_STREAM = 4000
LONGER = 16

CHAT_EVENT = (
    b'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":" word%d"}}],"created":1795268881,'
    b'"id":"chatcmpl-fiI4dWHEHZIYELnZZ8PzswjQ9X5ftd7c","model":"model","system_fingerprint":"b0-unknown",'
    b'"object":"chat.completion.chunk"%b}\n\n'
)
USAGE = b',"usage":{"prompt_tokens":16,"completion_tokens":%d,"total_tokens":99}'


def chat_event(i: int) -> bytes:
    return CHAT_EVENT % (i, b"")


def chat_event_that_counts(i: int) -> bytes:
    return CHAT_EVENT % (i, USAGE % i)


def text_event(i: int) -> bytes:
    return (
        b'data: {"choices":[{"text":" word%d","index":0,"logprobs":null,"finish_reason":null}],"created":1795268881,'
        b'"model":"model","object":"text_completion","id":"chatcmpl-QxdOtbpmPrtZmU8z8JUfq0jQUSgh8uQ6"}\n\n' % i
    )


def responses_event(i: int) -> bytes:
    return (
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":%d,'
        b'"item_id":"msg_dZ4APEK2IHrEwhbPTntlJs504vUpWqfM","output_index":0,"delta":" word%d"}\n\n' % (i, i)
    )


def messages_event(i: int) -> bytes:
    return (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":" word%d"}}\n\n' % i
    )


def llamacpp_event(i: int) -> bytes:
    return (
        b'data: {"index":0,"content":" word%d","tokens":[567],"stop":false,"id_slot":-1,"tokens_predicted":%d,'
        b'"tokens_evaluated":4}\n\n' % (i, i)
    )


def numbers(i: int) -> bytes:
    return b"0.03250550106167793,0.1297498643398285,-0.12089486420154572," * 8


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of answer. pieces_of: how many events arrive together. torn_bytes: they arrive in pieces of this size
    instead, wherever that cuts them. coding: gzip, flushed after each piece."""

    name: str
    dialect: Dialect
    event: Callable[[int], bytes]
    content_type: bytes = EVENTS
    pieces_of: int = 1
    torn_bytes: int = 0
    coding: bytes = b""

    def pieces(self, events: int) -> Iterator[bytes]:
        if not self.torn_bytes:
            yield from self._whole_pieces(events)
            return
        held = b""
        for piece in self._whole_pieces(events):
            held += piece
            while len(held) >= self.torn_bytes:
                yield held[: self.torn_bytes]
                held = held[self.torn_bytes :]
        yield held

    def _whole_pieces(self, events: int) -> Iterator[bytes]:
        packer = zlib.compressobj(wbits=31) if self.coding else None
        for at in range(0, events, self.pieces_of):
            piece = b"".join(map(self.event, range(at, min(events, at + self.pieces_of))))
            yield piece if packer is None else packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)

    def meter(self) -> Meter:
        facts = CallFacts("model", (b"",), is_stream=True, hides_usage_chunk=self.dialect in (CHAT, COMPLETIONS))
        meter = self.dialect.meter(facts, self.content_type)
        inflate = inflate_for(self.coding) if self.coding else None
        return meter if inflate is None else InflatingMeter(meter, inflate)


CASES = (
    Case("chat", CHAT, chat_event),
    Case("chat, in pieces of 64 KiB", CHAT, chat_event, pieces_of=250),
    Case("chat, torn every 250 KB", CHAT, chat_event, pieces_of=250, torn_bytes=250_000),
    Case("chat, usage in every event", CHAT, chat_event_that_counts),
    Case("chat, gzip", CHAT, chat_event, coding=b"gzip"),
    Case("completions", COMPLETIONS, text_event),
    Case("responses", RESPONSES, responses_event),
    Case("messages", MESSAGES, messages_event),
    Case("llama.cpp /completion", COMPLETION, llamacpp_event),
    Case("embeddings, not a stream", EMBEDDINGS, numbers, JSON, pieces_of=120),
)


def main() -> None:
    args = _parser().parse_args()
    print(f"best of {args.rounds} rounds; {EVENTS_PER_STREAM} events each")
    print(f"{'':28}{'us/event':>10}{'ms/MB':>8}{'KiB held':>10}{f'{LONGER} x as long':>14}")
    for case in CASES:
        pieces = list(case.pieces(EVENTS_PER_STREAM))
        plain_mb = sum(map(len, (case.event(i) for i in range(EVENTS_PER_STREAM)))) / 1e6
        cpu_s = min(_cpu_s(case, pieces) for _ in range(args.rounds))
        held = [_held_kib(case, EVENTS_PER_STREAM * times) for times in (1, LONGER)]
        costs = f"{cpu_s / EVENTS_PER_STREAM * 1e6:10.2f}{cpu_s / plain_mb * 1e3:8.2f}"
        print(f"{case.name:28}{costs}{held[0]:10.0f}{held[1]:14.0f}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.meter", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--rounds", type=int, default=15)
    return parser


def _cpu_s(case: Case, pieces: list[bytes]) -> float:
    meter = case.meter()
    begun_s = time.process_time()
    for piece in pieces:
        meter.feed(piece)
    meter.finish()
    return time.process_time() - begun_s


def _held_kib(case: Case, events: int) -> float:
    """The most that is held while pieces are made, watched and let go, one by one."""
    meter = case.meter()
    tracemalloc.start()
    for piece in case.pieces(events):
        meter.feed(piece)
    meter.finish()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 1024


if __name__ == "__main__":
    main()
