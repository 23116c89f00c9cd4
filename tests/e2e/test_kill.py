"""kill -9 under load: no call is lost or told twice, none is called complete that was not, and no engine stays."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path

import pytest
from sqlalchemy import Row, create_engine, func, select

from penstock.store.schema import calls, poisoned
from penstock.store.segments import segments_in
from tests.e2e.leftovers import ends_until
from tests.e2e.program import Program, engine_cmd, until
from tests.e2e.witnesses import Told, Witnesses
from tests.fakes import FakeEngine, in_loop
from tests.store.postgres_server import Server

CLIENTS = 10
SLOW = 2
CHECK_EVERY = 8
"""Lives; the next one that is not killed brings over what all of them have left."""

BOOKKEEPER, GUARD = b"penstock.runtime.records.bookkeeper", b"penstock.launch.guard"

CONFIG = """
penstock: 1
wait_comments_after: 20ms
models:
  quick: {{cmd: {engine}, memory: 1MiB, parallel: 3}}
  near: {{upstream: "{near}", parallel: 4}}
  loads: {{cmd: "sleep 600 ${{PORT}}", memory: 1MiB}}
"""


class Ending(Enum):
    """How a life ends; whatever is killed first, the gateway is killed in the end."""

    AT_ITS_START = auto()  # while the tables are made, the journal is opened, and what was left is carried over
    AT_ITS_START_TOGETHER = auto()  # with its bookkeeper
    SUCCEEDED = auto()  # the next gateway serves already while the bookkeeper makes its last pass; then that is killed
    GATEWAY = auto()  # when somebody waits who knows it; its bookkeeper may make a last pass
    TOGETHER = auto()  # gateway and bookkeeper at once
    SEGMENTS = auto()  # both, while segments of the journal turn and are deleted
    BOOKKEEPER = auto()  # which is started anew, and some time later both are killed
    GUARD = auto()  # with it the engines, and some time later the gateway
    STORE = auto()  # the server of the store, which is started again; then the gateway


class Doomed(Program):
    """Is killed so long after it was started, whether it listens by then or not."""

    def __init__(self, folder: Path, config: str, *, lives_s: float, together: bool, environ: dict[str, str]) -> None:
        self._lives_s = lives_s
        self._together = together
        super().__init__(folder, config, **environ)

    def _until_it_greets(self) -> str:
        assert not ends_until(self.process.pid, time.monotonic() + self._lives_s)
        kill_all([self.process.pid, *(pids_of(self, BOOKKEEPER) if self._together else [])])
        self.process.wait()
        return "http://nobody:0"


def kill_all(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def pids_of(program: Program, kind: bytes) -> list[int]:
    """Of its processes that run this module."""
    found = []
    for pid in program.processes():
        with suppress(OSError):
            if kind in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def last_segment(program: Program) -> int:
    return max(segment.number for segment in segments_in(program.state_dir / "journal"))


async def is_after(program: Program, number: int) -> bool:
    return last_segment(program) > number


class Lives:
    """One state folder and one store, and gateways that die one after another."""

    def __init__(self, folder: Path, near: FakeEngine, server: Server | None) -> None:
        self._folder = folder
        self._config = CONFIG.format(engine=engine_cmd("--fork"), near=near.address)
        self._server = server
        self._url = f"sqlite:///{folder}/.local/state/penstock/penstock.db"
        self._environ: dict[str, str] = {}
        if server is not None:
            self._url = self._environ["DATABASE_URL"] = server.new_database()
        self._seen: set[str] = set()  # ids of records that were looked at
        self.told = Told()  # since then
        self.acknowledged = self.waiting = self.torn = 0

    async def live(self, number: int, ending: Ending, dice: random.Random) -> None:
        """Start, load, kill."""
        if ending in (Ending.AT_ITS_START, Ending.AT_ITS_START_TOGETHER):
            together = ending is Ending.AT_ITS_START_TOGETHER
            lives_s = 2.0 * dice.random()
            with Doomed(self._folder, self._config, lives_s=lives_s, together=together, environ=self._environ) as it:
                it.wait_until_none_is_left()
            return
        with Program(self._folder, self._config, **self._environ) as program:
            is_long = ending is Ending.SEGMENTS
            clients = Witnesses(program, f"life-{number}", self.told, dice=dice, is_long=is_long)
            first = last_segment(program)
            clients.begin(clients=CLIENTS, slow=SLOW)
            await self.told.more(dice.randrange(1, 120))
            await self._kill_others_first(program, ending, dice)
            if ending is Ending.GATEWAY:
                await clients.is_told_to_wait.wait()
            if is_long:
                await until(lambda: is_after(program, first))
            await asyncio.sleep(0.03 * dice.random())  # no-sleep-needed: at a moment that nobody expects
            dying = [program.pid]
            if ending in (Ending.TOGETHER, Ending.SEGMENTS, Ending.BOOKKEEPER):
                dying += pids_of(program, BOOKKEEPER)
            if ending is Ending.SUCCEEDED:
                await self._succeed(program, clients, dice)
                return
            dice.shuffle(dying)
            kill_all(dying)
            program.kill()
            await clients.end()
            program.wait_until_none_is_left()

    async def _succeed(self, program: Program, clients: Witnesses, dice: random.Random) -> None:
        (keeper,) = pids_of(program, BOOKKEEPER)
        os.kill(keeper, signal.SIGSTOP)
        await self.told.more(20)
        program.kill()
        await clients.end()
        with Program(self._folder, self._config, **self._environ) as successor:
            few = Witnesses(successor, f"after-{program.pid}", self.told, dice=dice, is_long=False)
            few.begin(clients=0, slow=SLOW)
            await few.is_told_to_wait.wait()
            os.kill(keeper, signal.SIGCONT)
            assert await asyncio.to_thread(ends_until, keeper, time.monotonic() + 60.0)
            many = Witnesses(successor, f"later-{program.pid}", self.told, dice=dice, is_long=False)
            many.begin(clients=CLIENTS, slow=0)
            await self.told.more(dice.randrange(1, 120))
            successor.kill()
            await few.end()
            await many.end()
            successor.wait_until_none_is_left()
        program.wait_until_none_is_left()

    async def _kill_others_first(self, program: Program, ending: Ending, dice: random.Random) -> None:
        if ending is Ending.BOOKKEEPER:
            kill_all(pids_of(program, BOOKKEEPER))
        elif ending is Ending.GUARD:
            before = program.processes()
            kill_all(guards := pids_of(program, GUARD))
            orphans = set(before) - {*guards, *pids_of(program, BOOKKEEPER)}
            end_s = time.monotonic() + 20.0
            assert all([await asyncio.to_thread(ends_until, pid, end_s) for pid in orphans]), "no engine stays"
        elif ending is Ending.STORE and self._server is not None:
            self._server.stop()
            await self.told.more(dice.randrange(1, 40))
            self._server.start()
        else:
            return
        await self.told.more(dice.randrange(1, 120))

    async def look(self) -> None:
        """A life that ends in peace carries over what the others left; then the store is held against what was told."""
        with Program(self._folder, self._config, **self._environ) as after:
            await until(lambda: self._is_carried_over(after), 60.0)
            await after.until_no_record_is_open()
            assert after.stop() == 0
            after.wait_until_none_is_left()
            assert "Traceback" not in after.log
        rows, set_aside = self._rows()
        assert set_aside == 0, "no line was torn that an answer followed"
        assert_true([row for row in rows if row.id not in self._seen], self.told)
        self._seen |= {row.id for row in rows}
        self.acknowledged += len(self.told.ids)
        self.waiting += len(self.told.waiting)
        self.torn += self.told.torn
        self.told = Told()

    async def _is_carried_over(self, program: Program) -> bool:
        health = (await program.get("/health/detail")).json()
        return (health["journal_lag_bytes"], health["store"], health["records_lost"]) == (0, "ok", 0)

    def _rows(self) -> tuple[list[Row[tuple[object, ...]]], int]:
        engine = create_engine(self._url)
        columns = [calls.c[name] for name in ("id", "client_request_id", "outcome", "done_s", "completion_tokens")]
        with engine.connect() as connection:
            rows = connection.execute(select(*columns)).all()
            set_aside = connection.execute(select(func.count()).select_from(poisoned)).scalar_one()
        engine.dispose()
        return list(rows), set_aside


def assert_true(rows: list[Row[tuple[object, ...]]], told: Told) -> None:
    """The records of some lives, whole and open to view, against what their clients saw."""
    records = {row.client_request_id: row for row in rows}
    assert len(records) == len(rows), "each of them once"
    assert records.keys() <= told.sent, "none that was not sent"
    assert told.ids.keys() <= records.keys(), "none is lost of which the client was told"
    for name, record_id in told.ids.items():
        assert records[name].id == record_id
    for name, record in records.items():
        assert record.outcome is not None, "all have ended"
        assert (record.done_s is None) == (record.outcome == "interrupted")
        if record.outcome in ("completed", "upstream_refused"):
            assert name in told.whole, f"its last byte arrived: {record}"
        if record.outcome == "rejected_unknown_model":  # decided and written down before anybody is told
            assert record.done_s < 1.0
        if record.outcome == "interrupted":
            assert record.completion_tokens is None


async def die_again_and_again(folder: Path, lives: int, server: Server | None) -> None:
    dice = random.Random(f"{lives} {server is None}")
    endings = [each for each in Ending if server is not None or each is not Ending.STORE]
    async with FakeEngine() as near:
        they = Lives(folder, near, server)
        for number in range(lives):
            await they.live(number, endings[(number + 1) % len(endings)], dice)
            if number % CHECK_EVERY == CHECK_EVERY - 1 or number == lives - 1:
                await they.look()
                print(f"{number + 1} lives, {they.acknowledged} calls acknowledged, {they.waiting} of them by comments")
        assert they.acknowledged > 10 * lives
        assert they.waiting >= lives // 8
        assert they.torn >= lives // 3, "most died in the middle of something"


LIVES = [
    pytest.param(3, marks=pytest.mark.timeout(180)),
    pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(7200)]),
]


@pytest.mark.parametrize("lives", LIVES)
@in_loop
async def test_lives_that_end_by_sigkill(tmp_path: Path, lives: int) -> None:
    await die_again_and_again(tmp_path, lives, None)


@pytest.mark.parametrize("lives", LIVES)
@in_loop
async def test_lives_that_end_by_sigkill_with_postgresql(tmp_path: Path, postgres: Server, lives: int) -> None:
    await die_again_and_again(tmp_path, lives, postgres)
