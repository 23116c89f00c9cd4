"""Many calls over a few connections that stay open, with the time that each took."""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import time
from dataclasses import dataclass, field

from tests.e2e.program import CHAT, Program, chat_body

CONNECTIONS = 8


@dataclass
class Answers:
    """What came back: record ids of the answers with 200, how long each took, and how many had another status."""

    ids: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=dict)

    @property
    def p99_s(self) -> float:
        return statistics.quantiles(self.seconds, n=100)[98]


async def many_calls(program: Program, count: int, *, model: str = "a", connections: int = CONNECTIONS) -> Answers:
    """So many chat completions of one token each; every one of them is answered."""
    answers, numbers = Answers(), itertools.count()
    sent = program.request(CHAT, chat_body(model, fake={"tokens": 1}), headers="content-type: application/json\r\n")
    await asyncio.gather(*(_client(program.port, sent, numbers, count, answers) for _ in range(connections)))
    return answers


async def _client(port: int, sent: bytes, numbers: itertools.count[int], count: int, answers: Answers) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while next(numbers) < count:
        began_s = time.perf_counter()
        writer.write(sent)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].split("\r\n")[0])
        body = await reader.readexactly(length)
        status = int(head.split(" ", 2)[1])
        if status == 200:
            assert json.loads(body)["usage"]["completion_tokens"] == 1
            answers.seconds.append(time.perf_counter() - began_s)
            answers.ids.append(head.partition("x-penstock-id:")[2].split("\r\n")[0].strip())
        else:
            answers.refused[status] = answers.refused.get(status, 0) + 1
        if "\r\nconnection: close" in head:
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
