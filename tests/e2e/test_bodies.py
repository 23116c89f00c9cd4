"""Bodies of any size pass unchanged, and a gateway between two unequal speeds holds next to nothing of them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.e2e.program import CHAT, Program, chat_body, id_of
from tests.fakes import FakeEngine, in_loop

MIB = 2**20


def config(engine: FakeEngine) -> str:
    return f"penstock: 1\nmodels: {{there: {{upstream: '{engine.address}'}}}}\n"


def padded(size_bytes: int) -> bytes:
    """A chat body of about this size, with members in an order and a spelling of their own."""
    text = json.dumps({"z": 1.50, "model": "there", "messages": [{"role": "user", "content": "é" * (size_bytes // 2)}]})
    return text.encode().replace(b'"z": 1.5', b'"z":   1.50e0')


@in_loop
async def test_twenty_megabytes_reach_the_engine_byte_for_byte(tmp_path: Path) -> None:
    async with FakeEngine() as engine:
        with Program(tmp_path, config(engine)) as program:
            body = padded(20 * MIB)
            answer = await program.post(CHAT, body)
            assert answer.status == 200
            assert engine.seen.requests[-1].body == body
            assert engine.seen.requests[-1].header("content-length") == str(len(body))
            assert (await program.record(answer)).request_bytes == len(body)
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:MIB], body[MIB:])) + b"0\r\n\r\n"
            head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
            assert (await program.send(head.encode() + chunks)).status == 200
            assert engine.seen.requests[-1].body == body


@in_loop
async def test_a_slow_reader_of_fifty_megabytes_costs_no_memory_and_holds_up_nobody(tmp_path: Path) -> None:
    size = 50 * MIB
    async with FakeEngine() as engine:
        with Program(tmp_path, config(engine)) as program:
            await program.chat("there")
            before = program.rss_bytes()
            sent = program.request(CHAT, chat_body("there", fake={"kind": "bytes", "size_bytes": size}))
            async with program.talk(sent) as reader:
                head = await reader.readuntil(b"\r\n\r\n")
                for _ in range(5):
                    assert (await program.chat("there")).status == 200, "nobody waits for the slow one"
                assert program.rss_bytes() - before < 16 * MIB, "what is not read stays at the engine"
                left, most = size, 0
                while left:
                    left -= len(await reader.read(min(left, MIB)))
                    most = max(most, program.rss_bytes())
                assert most - before < 16 * MIB
            record = await program.record(id_of(head))
            assert (record.outcome, record.response_bytes) == ("completed", size)


@in_loop
async def test_a_stream_arrives_as_it_is_told_and_not_in_pieces_of_our_own(tmp_path: Path) -> None:
    async with FakeEngine() as engine:
        with Program(tmp_path, config(engine)) as program:
            fake = {"gate_at": 1, "tokens": 2}
            body = chat_body("there", stream=True, stream_options={"include_usage": True}, fake=fake)
            async with program.talk(program.request(CHAT, body)) as reader, asyncio.timeout(5):
                first = await reader.readuntil(b"\n\n")
                assert b"water" in first
                assert b"flows" not in first, "it came although the next is not yet told"
                engine.release()
                rest = await reader.readuntil(b"data: [DONE]\n\n")
                assert b'"completion_tokens": 2' in rest
