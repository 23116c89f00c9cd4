"""The installed program as a process of its own: started, asked over real sockets, stopped, killed, looked into."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from penstock.core.accounting.record import CallRecord
from tests.e2e.leftovers import ends_until, marked
from tests.e2e.store import Books, PostgresBooks, SqliteBooks
from tests.fakes import Answer, engine_argv, exchange, get

PENSTOCK = str(Path(sys.executable).with_name("penstock"))
WITHIN_S = 20.0
"""How long anything may take that is waited for; far more than it takes on an idle machine."""

CHAT = "/v1/chat/completions"
MARK = "PENSTOCK_E2E"
"""An environment variable by which everything that a program has started is known, orphans included."""


def engine_cmd(*flags: str) -> str:
    """The value of a `cmd:` that runs a fake engine, quoted for YAML."""
    return json.dumps(shlex.join(engine_argv("--port", "${PORT}", *flags)))


def run(*argv: str, home: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """`penstock ARGV` to its end."""
    env = _environment(home, environ)
    return subprocess.run(
        [PENSTOCK, *argv], env=env, cwd=home, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )


def _environment(home: Path, added: dict[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **added}


class Program:
    """`penstock serve`, listening when the constructor returns. One folder: configuration, home, state, log.

    config: the text of its file; None = it finds what there is. `DATABASE_URL=` among the variables of the
    environment makes PostgreSQL its store. Starting again in the same folder is a restart.
    """

    def __init__(self, folder: Path, config: str | None, *flags: str, **environ: str) -> None:
        self.folder = folder
        self._mark = uuid.uuid4().hex
        url = environ.get("DATABASE_URL")
        self.books: Books = SqliteBooks(self.state_dir / "penstock.db") if url is None else PostgresBooks(url)
        argv = [PENSTOCK, "serve", "--listen", "127.0.0.1:0", *flags]
        if config is not None:
            (folder / "config.yaml").write_text(config)
            argv += ["--config", str(folder / "config.yaml")]
        self._log = (folder / "log").open("ab")
        self.process = subprocess.Popen(
            argv,
            env=_environment(folder, {MARK: self._mark, **environ}),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.pid = self.process.pid
        self.greeting = self._until_it_greets()
        self.url = next(word for word in self.greeting.split() if word.startswith("http://")).rstrip("/")
        self.port = int(self.url.rpartition(":")[2])

    def _until_it_greets(self) -> str:
        assert self.process.stdout is not None
        lines: list[str] = []
        for line in self.process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                return "".join(lines)
        self.__exit__()
        raise AssertionError(f"it ended with {self.process.returncode}: {self.log}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever the test has left is killed."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    # The process.

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def state_dir(self) -> Path:
        return self.folder / ".local" / "state" / "penstock"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end and wait until it has; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(WITHIN_S)

    def kill(self) -> None:
        """As SIGKILL does: nothing is tidied up."""
        self.process.kill()
        self.process.wait(WITHIN_S)

    def processes(self) -> list[int]:
        """The number of everything it has started, directly or not, that lives; itself left out."""
        return [pid for pid in marked(f"{MARK}={self._mark}") if pid != self.pid]

    def wait_until_none_is_left(self, within_s: float = WITHIN_S) -> None:
        """Return when everything it has started has ended."""
        end_s = time.monotonic() + within_s
        while pids := self.processes():
            for pid in pids:
                if not ends_until(pid, end_s):
                    raise AssertionError(f"still there: {Path(f'/proc/{pid}/cmdline').read_bytes()!r}")

    def rss_bytes(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return 1024 * int(status.partition("VmRSS:")[2].split()[0])

    # Asking it.

    def request(self, path: str, body: object = None, *, method: str = "POST", headers: str = "") -> bytes:
        """The bytes of a request; `body` is sent as JSON, bytes as they are."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncontent-length: {len(content)}\r\n"
        return f"{head}{headers}\r\n".encode() + content

    async def send(self, sent: bytes) -> Answer:
        """Raw bytes on a connection of their own, read to its end."""
        async with asyncio.timeout(WITHIN_S):
            return await exchange(self.port, sent)

    async def get(self, path: str) -> Answer:
        return await self.send(self.request(path, method="GET", headers="connection: close\r\n"))

    async def post(self, path: str, body: object, *, headers: str = "") -> Answer:
        headers = f"connection: close\r\ncontent-type: application/json\r\n{headers}"
        return await self.send(self.request(path, body, headers=headers))

    async def chat(self, model: str, *, headers: str = "", **members: object) -> Answer:
        """One chat completion; `fake=` tells a fake engine what to do with it."""
        return await self.post(CHAT, chat_body(model, **members), headers=headers)

    @asynccontextmanager
    async def talk(self, sent: bytes) -> AsyncIterator[asyncio.StreamReader]:
        """A request whose client leaves at the end of the block."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(sent)
            yield reader
        finally:
            writer.transport.abort()

    # Looking into it.

    async def state(self) -> Any:
        """The live state, as the page sees it."""
        return (await self.get("/api/v1/state")).json()

    async def phase(self, model: str) -> str:
        return str((await self.state())["models"][model]["phase"])

    async def until_phase(self, model: str, phase: str) -> None:
        await until(lambda: self._is_in_phase(model, phase))

    async def _is_in_phase(self, model: str, phase: str) -> bool:
        return await self.phase(model) == phase

    async def until_waiting(self, count: int) -> None:
        """Return when so many calls wait for a slot."""

        async def waits() -> bool:
            return bool((await self.state())["counts"]["waiting"] == count)

        await until(waits)

    async def engine_port(self, model: str) -> int:
        """Where the fake engine that was started last for this model listens, as soon as it does."""
        port = ""

        async def listens() -> bool:
            nonlocal port
            log = (await self.get(f"/api/v1/models/log?model={model}")).content.decode()
            port = log.rpartition("listening ")[2].partition("\n")[0]
            return port.isdecimal()

        await until(listens)
        return int(port)

    async def seen(self, model: str, **at_least: int) -> Any:
        """What the model's engine has seen, as soon as these counts are reached."""
        query = "&".join(f"{name}={count}" for name, count in at_least.items())
        async with asyncio.timeout(WITHIN_S):
            return (await get(await self.engine_port(model), f"/__seen?{query}")).json()

    async def release(self, model: str) -> None:
        """Let one reply of the model's engine pass its gate."""
        await release(await self.engine_port(model))

    async def until_log(self, words: str) -> None:
        """Return when the program has logged this."""

        async def is_said() -> bool:
            return words in self.log

        await until(is_said)

    # Its records.

    def records(self) -> dict[str, CallRecord]:
        """All that the store holds by now, by id."""
        return self.books.records()

    async def record(self, of: Answer | str) -> CallRecord:
        """The closed record of a call, as soon as the store has it."""
        (record,) = await self.closed_records({id_of(of) if isinstance(of, Answer) else of})
        return record

    async def closed_records(self, ids: set[str]) -> list[CallRecord]:
        """The records of these calls, as soon as the store has all of them closed; in the order of their arrival."""

        async def are_there() -> bool:
            return self.books.count_closed(ids) == len(ids)

        await until(are_there)
        found = self.records()
        return [found[record_id] for record_id in sorted(ids)]

    async def until_no_record_is_open(self) -> None:
        async def is_none() -> bool:
            return self.books.count_open() == 0

        await until(is_none)


async def release(engine_port: int) -> None:
    """Let one reply of this fake engine pass its gate."""
    await get(engine_port, "/__release")


def chat_body(model: str, **members: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], **members}


def header(answer: Answer | bytes, name: str) -> str | None:
    """The first value of a header of an answer or of its head."""
    head = answer.head if isinstance(answer, Answer) else answer
    for line in head.decode("latin-1").split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.lower() == name:
            return value.strip()
    return None


def id_of(answer: Answer | bytes) -> str:
    """The id of the record that a call leaves behind."""
    record_id = header(answer, "x-penstock-id")
    assert record_id is not None, answer
    return record_id


def error_of(answer: Answer) -> Any:
    return answer.json()["error"]


async def until(holds: Callable[[], Awaitable[bool]], within_s: float = WITHIN_S) -> None:
    """Return when it holds. Only for what nobody tells: the inside of another process."""
    async with asyncio.timeout(within_s):
        while not await holds():
            await asyncio.sleep(0.01)  # no-sleep-needed: between two looks, not instead of one
