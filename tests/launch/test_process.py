"""Engines start as they were configured, and end completely, one way or the other."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest

from penstock.launch.base import Exit, LaunchFailed
from penstock.launch.process import free_port
from tests.launch.conftest import Run
from tests.launch.engines import DEAF, EXITS_3, SERVES, Life, engine, guard_of, launching, start

THE_C_LIBRARYS_OWN = 0b11 << 31
"""Signals 32 and 33: threads use them among themselves, and no program can set them."""


def test_an_engine_that_exits_at_once_leaves_its_code_and_its_last_lines(run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            started = await start(launcher, EXITS_3)
            assert await started.running.wait() == Exit(code=3)
            assert started.log.tail() == "no model\nno memory\n"

    run(world())


@pytest.mark.parametrize(
    ("argv", "cwd", "reason"),
    [
        (
            ("no-such-engine", "-x"),
            None,
            "no-such-engine: command not found; install it, write its whole path in `cmd`, or start Penstock with …",
        ),
        (("./engine",), ".", "./engine: command not found; correct the path in `cmd`"),
        (("/dev/null/engine",), None, "/dev/null/engine: Not a directory; correct the path in `cmd`"),
        (("./folder",), ".", "./folder: not executable; it is a folder: name the program in it in `cmd`"),
        (
            ("./notes",),
            ".",
            "./notes: not executable; make it executable (chmod +x), or name another program in `cmd`",
        ),
        (
            ("./script",),
            ".",
            "./script: its interpreter is missing; install /no/such/interpreter, or correct the first line …",
        ),
        (
            SERVES,
            "nowhere",
            "cannot work in nowhere: No such file or directory; make that folder, or correct `cwd`",
        ),
        (("a\0b",), None, "a zero byte in the command or its environment; take it out of `cmd` or `env`"),
    ],
)
def test_what_cannot_be_started_fails_for_good_with_the_reason_and_what_to_do(
    argv: tuple[str, ...], cwd: str | None, reason: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "notes").write_text("hello")
    (tmp_path / "script").write_text("#!/no/such/interpreter\n")
    (tmp_path / "script").chmod(0o755)
    (tmp_path / "folder").mkdir()

    async def world() -> None:
        async with launching() as launcher:
            with pytest.raises(LaunchFailed) as failed:
                await start(launcher, argv, cwd=cwd and str(tmp_path / cwd))
            assert str(failed.value).replace(f"{tmp_path}/", "").startswith(reason.removesuffix("…"))
            assert failed.value.is_final

    run(world())


def test_what_may_start_the_next_time_is_no_final_failure(run: Run, tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"\1\2\3")  # perhaps it is being replaced at this moment
    (tmp_path / "noise").chmod(0o755)

    async def world() -> None:
        async with launching() as launcher:
            with pytest.raises(LaunchFailed, match=r"^\./noise: Exec format error$") as failed:
                await start(launcher, ("./noise",), cwd=str(tmp_path))
            assert not failed.value.is_final

    run(world())


def test_an_engine_gets_its_environment_its_folder_and_nothing_to_read(run: Run, tmp_path: Path) -> None:
    code = "print('env', os.environ['COLOUR'], os.environ['HOME'] != '', os.getcwd(), sys.stdin.read() == '')"

    async def world() -> None:
        async with launching() as launcher:
            started = await start(launcher, engine(code), env=(("COLOUR", "blå"),), cwd=str(tmp_path))
            assert await started.says("env") == f"blå True {tmp_path} True"

    run(world())


def test_an_environment_larger_than_the_way_to_the_guard_arrives_whole(run: Run) -> None:
    env = tuple((f"LONG_{number}", str(number) * 100_000) for number in range(8))
    code = "print('sum', sum(len(value) for name, value in os.environ.items() if name.startswith('LONG_')))"

    async def world() -> None:
        async with launching() as launcher:
            engines = await asyncio.gather(*(start(launcher, engine(code), env=env) for _ in range(3)))
            assert {await started.says("sum") for started in engines} == {"800000"}

    run(world())


def test_an_engine_inherits_no_files_and_no_deaf_signals(run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            started = await start(launcher, ("sh", "-c", "ls -l /proc/$$/fd; exec grep Sig /proc/self/status"))
            await started.running.wait()
            assert re.findall(r"(\d) ->", started.log.tail()) == ["0", "1", "2"]
            deaf = [int(mask, 16) for mask in re.findall(r"Sig(?:Ign|Blk):\s(.*)", started.log.tail())]
            assert [mask & ~THE_C_LIBRARYS_OWN for mask in deaf] == [0, 0]

    run(world())


def test_an_engine_is_asked_to_stop_before_it_is_made_to(run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            started = await start(
                launcher, engine("signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); rest('ready')")
            )
            await started.says("ready")
            await started.running.stop(30.0)
            assert await started.running.wait() == Exit(code=7)

    run(world())


def test_an_engine_that_ignores_the_request_is_killed_after_the_grace(run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            started = await start(launcher, DEAF)
            await started.says("ready")
            await started.running.stop(0.2)
            assert await started.running.wait() == Exit(signal=signal.SIGKILL)

    run(world())


def test_a_second_stop_may_shorten_the_grace_and_a_late_one_does_nothing(run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            started = await start(launcher, DEAF)
            await started.says("ready")
            patient = asyncio.create_task(started.running.stop(3600.0))
            waits = [asyncio.create_task(started.running.wait()) for _ in range(3)]
            await started.running.stop(0.0)
            await patient
            await started.running.stop(30.0)
            assert {await wait for wait in waits} == {Exit(signal=signal.SIGKILL)}

    run(world())


def test_one_who_gives_up_waiting_takes_nothing_from_the_others(run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            started = await start(launcher, SERVES)
            await started.says("ready")
            waits = [asyncio.create_task(started.running.wait()) for _ in range(2)]
            asyncio.get_running_loop().call_soon(waits[0].cancel)
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            assert waits[0].cancelled()
            await started.running.stop(30.0)
            assert await waits[1] == Exit(signal=signal.SIGTERM)

    run(world())


def test_a_start_that_is_cancelled_leaves_no_engine(run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            first = await start(launcher, SERVES)
            guard, before = guard_of(first), set(children(guard_of(first)))
            cancelled = asyncio.create_task(start(launcher, DEAF))
            asyncio.get_running_loop().call_soon(cancelled.cancel)
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            second = await start(launcher, SERVES)  # orders are followed in their order
            assert second.running.pid is not None
            for pid in set(children(guard)) - before - {second.running.pid}:
                try:
                    await Life(pid).end()
                except ProcessLookupError:
                    pass

    run(world())


def test_twenty_engines_start_and_stop_at_once(run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            engines = await asyncio.gather(*(start(launcher, SERVES) for _ in range(20)))
            lives = await asyncio.gather(*(started.life("ready") for started in engines))
            await asyncio.gather(*(started.running.stop(30.0) for started in engines))
            assert all(life.is_over for life in lives)

    run(world())


def test_fifty_starts_leave_no_zombie_and_no_open_file(run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            guard = guard_of(await start(launcher, SERVES))
            await (await start(launcher, ("true",))).running.wait()
            before = open_files(guard), children(guard)
            for _ in range(50):
                await (await start(launcher, ("true",))).running.wait()
            assert (open_files(guard), children(guard)) == before
        assert guard.is_over

    before = len(os.listdir("/proc/self/fd"))
    run(world())
    assert len(os.listdir("/proc/self/fd")) == before


def test_nothing_starts_after_the_end(run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            started = await start(launcher, SERVES)
        assert await started.running.wait() == Exit(signal=signal.SIGTERM)
        await launcher.close()
        with pytest.raises(LaunchFailed, match="shutting down"):
            await start(launcher, SERVES)

    run(world())


def test_a_free_port_can_be_listened_on(run: Run) -> None:
    async def world() -> None:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", free_port())
        server.close()
        await server.wait_closed()

    run(world())


def open_files(guard: Life) -> tuple[int, int]:
    return len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{guard.pid}/fd"))


def children(guard: Life) -> list[int]:
    """Every child, zombies too."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                parent = file.read().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if int(parent) == guard.pid:
            found.append(int(pid))
    return found
