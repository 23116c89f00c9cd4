"""The fake engine for tests: in the test's own loop, as a process, or by hand: `python tests/fakes.py --help`."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec

PROGRAM = Path(__file__).resolve()
if __name__ == "__main__":  # run by its path from anywhere, also by a gateway under test
    sys.path.insert(0, str(PROGRAM.parents[1]))

from tests.fake_engine.behaviour import Behaviour  # noqa: E402
from tests.fake_engine.client import Answer, chat, exchange, get, request  # noqa: E402
from tests.fake_engine.process import main  # noqa: E402
from tests.fake_engine.seen import Request, Seen  # noqa: E402
from tests.fake_engine.server import FakeEngine  # noqa: E402

__all__ = [
    "Answer",
    "Behaviour",
    "EngineProcess",
    "FakeEngine",
    "Request",
    "Seen",
    "chat",
    "engine_argv",
    "engine_process",
    "exchange",
    "get",
    "in_loop",
    "request",
]

P = ParamSpec("P")


def in_loop(test: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    """Let a test be an `async def`, each in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


@dataclass(frozen=True, slots=True)
class EngineProcess:
    """A fake engine that runs as a process of its own."""

    port: int
    process: asyncio.subprocess.Process

    async def seen(self, **at_least: int) -> dict[str, object]:
        """What it has seen, told as soon as these counts are reached: `await engine.seen(busy=1)`."""
        query = "&".join(f"{name}={count}" for name, count in at_least.items())
        return (await get(self.port, f"/__seen?{query}")).json()


def engine_argv(*flags: str) -> list[str]:
    """The command that starts a fake engine, for a `cmd:` or a LaunchSpec."""
    return [sys.executable, str(PROGRAM), *flags]


@asynccontextmanager
async def engine_process(*flags: str) -> AsyncIterator[EngineProcess]:
    """A fake engine that is listening; at the end it is killed with its children."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *engine_argv(*flags), stdout=pipe, stderr=pipe, start_new_session=True
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).split()
        assert line[:1] == [b"listening"], line
        yield EngineProcess(int(line[1]), process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


if __name__ == "__main__":
    main()
