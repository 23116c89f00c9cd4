"""How long a call took is what our clock says, whatever the engine says about its own times."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from penstock.core.accounting.record import service_s, total_s
from tests.e2e.program import Program
from tests.fakes import in_loop

WORK_S = 0.3
TOKENS = {"prompt_n": 5, "cache_n": 2, "predicted_n": 4}


@asynccontextmanager
async def an_engine(prompt_ms: float, predicted_ms: float, *, is_stream: bool) -> AsyncIterator[int]:
    """It works for WORK_S on every request, and says what it is told to say about that. Gives its port."""
    timings = {**TOKENS, "prompt_ms": prompt_ms, "predicted_ms": predicted_ms}
    words = {"choices": [{"delta" if is_stream else "message": {"content": "hi"}}]}
    body, kind = json.dumps({**words, "timings": timings}).encode(), "application/json"
    if is_stream:
        last = {"choices": [{"delta": {}, "finish_reason": "stop"}], "timings": timings}
        events = [json.dumps(words).encode(), json.dumps(last).encode(), b"[DONE]"]
        body, kind = b"".join(b"data: %b\n\n" % event for event in events), "text/event-stream"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if request.startswith(b"POST "):
            await asyncio.sleep(WORK_S)  # no-sleep-needed: it plays an engine that works
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("prompt_ms", "predicted_ms"),
    [(1.0, 2.0), (100.0, 195.0), (0.0, 0.0)],
    ids=["reports too little", "reports what it did", "reports nothing"],
)
@in_loop
async def test_a_call_is_never_shorter_than_it_was_nor_than_what_its_engine_admits(
    tmp_path: Path, prompt_ms: float, predicted_ms: float, is_stream: bool
) -> None:
    async with an_engine(prompt_ms, predicted_ms, is_stream=is_stream) as port:
        config = f"penstock: 1\nmodels: {{far: {{upstream: 'http://127.0.0.1:{port}'}}}}\n"
        with Program(tmp_path, config) as program:
            record = await program.record(await program.chat("far", stream=is_stream))
    total, service = total_s(record), service_s(record)
    assert total is not None
    assert service is not None
    assert total >= service >= WORK_S
    assert total * 1000 >= prompt_ms + predicted_ms
    assert (record.engine_prompt_ms, record.engine_decode_ms) == (prompt_ms, predicted_ms)
    assert (record.prompt_tokens, record.cached_tokens, record.completion_tokens) == (7, 2, 4)
    assert record.token_source == "timings"
