"""Loads of a llama-swap that is somebody else's: seen at SLOT_RUNNING_URL, kept, and told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.e2e.program import Program, until
from tests.fakes import in_loop

LITELLM_FILE = "model_list: [{model_name: m, litellm_params: {model: openai/m}}]\n"


class Swap:
    """What a llama-swap shows at /running, as the test says. shown None = it answers 500."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] | None = []
        self.looks = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.looks += 1
        body = json.dumps({"running": self.shown}).encode()
        status = b"200 OK" if self.shown is not None else b"500 No"
        writer.write(b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))
        await writer.drain()
        writer.close()

    async def show(self, shown: list[dict[str, str]] | None) -> None:
        """Returns when it was seen."""
        self.shown = shown
        before = self.looks

        async def was_seen() -> bool:
            return self.looks > before + 1

        await until(was_seen)


@asynccontextmanager
async def a_swap() -> AsyncIterator[tuple[Swap, str]]:
    swap = Swap()
    async with await asyncio.start_server(swap.answer, "127.0.0.1", 0) as server:
        yield swap, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/running"


async def loads(program: Program, outcomes: list[str | None]) -> list[dict[str, Any]]:
    """The oldest first, once they have these outcomes."""
    found: list[dict[str, Any]] = []

    async def are_there() -> bool:
        nonlocal found
        answer = await program.get("/usage/loads")
        if answer.status == 200:
            told: Any = answer.json()
            found = told["loads"][::-1]
        return [load["outcome"] for load in found] == outcomes

    await until(are_there)
    return found


@in_loop
async def test_a_cold_load_behind_a_litellm_is_seen_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    async with a_swap() as (swap, url):
        with Program(tmp_path, LITELLM_FILE, "--upstream", "http://127.0.0.1:9", SLOT_RUNNING_URL=url) as program:
            await swap.show([])
            await swap.show([{"model": "inner", "state": "starting"}])
            (begun,) = await loads(program, [None])
            assert (begun["model"], begun["source"], begun["done_s"]) == ("inner", "observed", None)
            await swap.show([{"model": "inner", "state": "ready"}])
            (ended,) = await loads(program, ["ready"])
            assert ended["id"] == begun["id"]
            assert 0.5 < ended["done_s"] < 20
            unknown = ("cause", "call_id", "engine", "memory_before_bytes", "read_bytes", "stop_s", "ready_s")
            assert {name: ended[name] for name in unknown} == dict.fromkeys(unknown)
            told: Any = (await program.get("/usage/loads")).json()
            assert told["models"][0]["load_s_mean"] == round(ended["done_s"], 3)
            await swap.show([{"model": "inner", "state": "stopping"}, {"model": "other", "state": "starting"}])
            await swap.show([])
            assert [load["model"] for load in await loads(program, ["ready", "cancelled"])] == ["inner", "other"]


@in_loop
async def test_a_load_that_began_while_nothing_was_shown_is_left_out(tmp_path: Path) -> None:
    async with a_swap() as (swap, url):
        swap.shown = [{"model": "early", "state": "starting"}]
        with Program(tmp_path, LITELLM_FILE, "--upstream", "http://127.0.0.1:9", SLOT_RUNNING_URL=url) as program:
            await swap.show([{"model": "early", "state": "ready"}])
            await swap.show(None)
            await swap.show([{"model": "unseen", "state": "starting"}])
            await swap.show([{"model": "unseen", "state": "ready"}])
            await swap.show([{"model": "seen", "state": "starting"}])
            await swap.show([{"model": "seen", "state": "ready"}])
            assert [load["model"] for load in await loads(program, ["ready"])] == ["seen"]
