"""The store stopped, locked or out of room, then the journal's disk too: nothing is lost, and no caller notices."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.load import Answers, many_calls
from tests.e2e.program import Program, engine_cmd, until
from tests.e2e.store import SqliteBooks
from tests.fakes import in_loop
from tests.store.postgres_server import a_postgres_server
from tests.store.small_disk import a_small_disk, enlarge, fill_up

MIB = 1 << 20
CONFIG = f"""
penstock: 1
models:
  a: {{cmd: {engine_cmd()}, memory: 1MiB, parallel: 8}}
preload: [a]
"""
LONG = [pytest.mark.long, pytest.mark.timeout(3600)]
CALLS = [300, pytest.param(50_000, marks=LONG)]
WITHIN_S = 300.0


async def health(program: Program) -> Any:
    return (await program.get("/health/detail")).json()


async def until_health(program: Program, holds: Callable[[Any], bool]) -> None:
    async def does() -> bool:
        return holds(await health(program))

    await until(does, WITHIN_S)


async def assert_all_there(program: Program, *answers: Answers) -> None:
    """Each of them once, completed, with its token; and the gateway knows of no loss."""
    ids = {each for one in answers for each in one.ids}
    assert sum(len(one.ids) for one in answers) == len(ids)

    async def are_there() -> bool:
        return program.books.count_closed(ids) == len(ids)

    await until(are_there, WITHIN_S)
    records = program.records()
    assert records.keys() == ids
    assert {record.outcome for record in records.values()} == {"completed"}
    assert sum(record.completion_tokens or 0 for record in records.values()) == len(ids)
    await until_health(program, lambda told: told["status"] == "ok" and told["journal_lag_bytes"] == 0)
    assert (await health(program))["records_lost"] == 0


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process writes to a SQLite file, and takes its time."""
    hold = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN EXCLUSIVE'); print(); input()"
    argv = [sys.executable, "-c", hold, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize("calls", CALLS)
@in_loop
async def test_postgresql_that_is_stopped_for_a_third_of_the_time(tmp_path: Path, calls: int) -> None:
    with a_postgres_server() as server:
        url = server.new_database()
        with Program(tmp_path, CONFIG, DATABASE_URL=url) as program:
            before = await many_calls(program, calls // 3)
            server.stop()
            meanwhile = await many_calls(program, calls // 3)
            await until_health(program, lambda told: told["status"] == "degraded" and told["journal_lag_s"] > 0)
            server.start()
            after = await many_calls(program, calls // 3)
            await assert_all_there(program, before, meanwhile, after)


@pytest.mark.parametrize("calls", CALLS)
@in_loop
async def test_sqlite_that_another_process_has_locked(tmp_path: Path, calls: int) -> None:
    with Program(tmp_path, CONFIG) as program:
        before = await many_calls(program, calls // 3)
        with locked(program.state_dir / "penstock.db"):
            meanwhile = await many_calls(program, calls // 3)
            await until_health(program, lambda told: told["reasons"] == ["the store is locked"])
        after = await many_calls(program, calls // 3)
        await assert_all_there(program, before, meanwhile, after)


@pytest.mark.parametrize("calls", CALLS)
@in_loop
async def test_a_store_whose_disk_is_full(tmp_path: Path, calls: int) -> None:
    room = 8 * MIB + calls * 2000  # the log alone may grow to 4 MiB before it is carried over
    with (
        a_small_disk(tmp_path / "disk", size_bytes=room) as disk,
        Program(tmp_path, CONFIG, "--store", f"sqlite:///{disk}/penstock.db") as program,
    ):
        program.books = SqliteBooks(disk / "penstock.db")
        before = await many_calls(program, calls // 3)
        await program.closed_records(set(before.ids))
        fill_up(disk / "somebody-else")
        meanwhile = await many_calls(program, calls // 3)
        await until_health(program, lambda told: "full" in str(told["store"]))
        (disk / "somebody-else").unlink()
        after = await many_calls(program, calls // 3)
        await assert_all_there(program, before, meanwhile, after)


@in_loop
async def test_a_full_disk_for_the_store_and_then_for_the_journal_too(tmp_path: Path) -> None:
    with (
        a_small_disk(tmp_path / "stores", size_bytes=MIB) as stores,
        a_small_disk(tmp_path / "journals", size_bytes=2 * MIB) as journals,
    ):
        flags = ("--store", f"sqlite:///{stores}/penstock.db", "--state-dir", str(journals / "state"))
        with Program(tmp_path, CONFIG, *flags) as program:
            program.books = SqliteBooks(stores / "penstock.db")
            fill_up(stores / "somebody-else")
            answers = [await many_calls(program, 400)]
            while not any("journal cannot be written" in reason for reason in (await health(program))["reasons"]):
                answers.append(await many_calls(program, 400))
            answers.append(await many_calls(program, 400))  # into memory
            enlarge(journals, 64 * MIB)
            await until_health(program, lambda told: "journal cannot" not in str(told["reasons"]))
            enlarge(stores, 64 * MIB)
            await assert_all_there(program, *answers)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("choice", ["serve", "refuse"])
@in_loop
async def test_when_memory_is_full_as_well_the_loss_is_counted_or_calls_are_refused(
    tmp_path: Path, choice: str
) -> None:
    config = CONFIG + f"store: {{journal_full: {choice}}}\n"
    with (
        a_small_disk(tmp_path / "stores", size_bytes=MIB) as stores,
        a_small_disk(tmp_path / "journals", size_bytes=2 * MIB) as journals,
    ):
        flags = ("--store", f"sqlite:///{stores}/penstock.db", "--state-dir", str(journals / "state"))
        with Program(tmp_path, config, *flags) as program:
            program.books = SqliteBooks(stores / "penstock.db")
            fill_up(stores / "somebody-else")
            answers = await many_calls(program, 110_000)
            lost = (await health(program))["records_lost"]
            enlarge(journals, 512 * MIB)
            enlarge(stores, 512 * MIB)
            await until_health(program, lambda told: told["journal_lag_bytes"] == 0 and told["store"] == "ok")
            await program.closed_records(set((await many_calls(program, 1)).ids))
            records = program.records().values()
            completed = sum(record.outcome == "completed" for record in records) - 1
            refused = sum(record.count for record in records if record.error_code == "journal_full")
            if choice == "serve":
                assert answers.refused == {}
                assert (completed + lost, lost > 0) == (110_000, True)
            else:
                assert lost == 0
                assert (completed, refused) == (len(answers.ids), answers.refused[503])


@pytest.mark.long
@pytest.mark.timeout(3600)
@in_loop
async def test_callers_do_not_notice_that_the_store_is_away(tmp_path: Path) -> None:
    """Median of the p99s of seven rounds with, and seven without, by turns."""
    with a_postgres_server() as server, Program(tmp_path, CONFIG, DATABASE_URL=server.new_database()) as program:
        await many_calls(program, 3000)
        normal, away = [], []
        for _ in range(7):
            normal.append((await many_calls(program, 3000)).p99_s)
            server.stop()
            away.append((await many_calls(program, 3000)).p99_s)
            server.start()
            await until_health(program, lambda told: told["journal_lag_bytes"] == 0 and told["store"] == "ok")
        assert statistics.median(away) <= 1.2 * statistics.median(normal)
