"""The gateway's way to the usage API in its bookkeeper: one question, one connection, within bounds.

Whatever becomes of the bookkeeper, the asker gets an answer or a plain refusal, and nobody else notices.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import UsageUnavailable
from penstock.runtime.records.usage_server import SOCKET, ShortPath

WITHIN_S = 15.0
"""Longer than the questions' own limit, so that their reason is heard."""

AT_ONCE = 16
MAX_ANSWER_BYTES = 32 << 20
MAX_HEAD_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class UsageAnswer:
    status: int
    content_type: str
    body: bytes


class UsageRelay:
    """Asks the bookkeeper of a state folder."""

    def __init__(self, state_dir: Path, *, within_s: float = WITHIN_S) -> None:
        self._socket = state_dir / SOCKET
        self._within_s = within_s
        self._asking = 0

    async def ask(self, target: bytes, body: bytes = b"") -> UsageAnswer:
        """`target`: path and query as they stand in a request line. Raises UsageUnavailable."""
        if self._asking >= AT_ONCE:
            raise UsageUnavailable(reason="too many questions are being answered", retry_after_s=1)
        self._asking += 1
        try:
            async with asyncio.timeout(self._within_s):
                return await self._ask(target, body)
        except TimeoutError as exc:
            raise UsageUnavailable(reason="the bookkeeper does not answer", retry_after_s=5) from exc
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as exc:
            raise UsageUnavailable(reason="the bookkeeper cannot be reached", retry_after_s=1) from exc
        finally:
            self._asking -= 1

    async def _ask(self, target: bytes, body: bytes) -> UsageAnswer:
        short = ShortPath(self._socket)
        try:
            reader, writer = await asyncio.open_unix_connection(short.name, limit=MAX_HEAD_BYTES)
        finally:
            short.close()
        try:
            head = b"GET %s HTTP/1.1\r\nhost: bookkeeper\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
            writer.write(head % (target, len(body)) + body)
            return await _read(reader)
        finally:
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> UsageAnswer:
    """Raises EOFError, ValueError, LimitOverrunError for what is no whole answer of our own server."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    length = int(fields[b"content-length"]) if b"content-length" in fields else -1
    if not 0 <= length <= MAX_ANSWER_BYTES:
        raise ValueError(f"an answer of {length} bytes")
    body = await reader.readexactly(length)
    return UsageAnswer(int(first.split()[1]), fields.get(b"content-type", b"").decode("latin-1"), body)
