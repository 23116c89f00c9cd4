"""Askers who leave before their answer is there: what is done for them alone ends with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import Request


@asynccontextmanager
async def when_left(request: Request, stop: Callable[[], object]) -> AsyncIterator[None]:
    """Calls `stop` if the asker leaves within the block. The request's body must have been read, or never be."""
    watch = asyncio.create_task(_watch(request, stop))
    try:
        yield
    finally:
        watch.cancel()


async def _watch(request: Request, stop: Callable[[], object]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    stop()
