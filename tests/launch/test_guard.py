"""No engine outlives its gateway, whoever is killed first."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import penstock
from penstock.launch.base import Exit
from tests.launch.conftest import Run
from tests.launch.engines import DEAF, SERVES, Life, engine, guard_of, launching, parent_of, start

GATEWAY = """
import asyncio, os, signal, sys
from penstock.launch.base import LaunchSpec
from penstock.launch.process import ProcessLauncher

async def main(forks, grace_s, *engines):
    launcher = ProcessLauncher(float(grace_s))
    for number, text in enumerate(engines):
        argv, cmd_stop = eval(text)
        await launcher.start(LaunchSpec(str(number), argv, "", cmd_stop=cmd_stop), lambda text: os.write(1, text))
    if forks == "True" and not os.fork():
        os.write(1, b"fork %d\\n" % os.getpid())
        signal.pause()
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""
"""A gateway with nothing but engines, whose output it repeats."""


@asynccontextmanager
async def gateway(
    *engines: tuple[tuple[str, ...], tuple[str, ...] | None], says: int, grace_s: float = 30.0, forks: bool = False
) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Life]]]:
    """A gateway process and the lives of those who told their numbers, `says` of them, and of its guard."""
    command = (sys.executable, "-c", GATEWAY, str(forks), str(grace_s), *map(repr, engines))
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=path)
    assert process.stdout is not None
    try:
        told = [(await process.stdout.readline()).decode().split() for _ in range(says)]
        lives = {word: Life(int(pid)) for word, pid in told}
        yield process, lives | {"guard": parent_of(next(life for word, life in lives.items() if word != "fork"))}
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def test_a_killed_gateway_takes_all_its_engines_along(run: Run) -> None:
    deaf_daemon = engine("deaf(); daemon('deaf-daemon'); rest('deaf')")
    polite = engine("daemon('daemon'); child('child'); rest('polite')")

    async def world() -> None:
        async with gateway((deaf_daemon, None), (polite, None), says=5, grace_s=0.5) as (process, lives):
            assert not any(life.is_over for life in lives.values())
            process.kill()
            await asyncio.gather(*(life.end() for life in lives.values()))

    run(world())


def test_engines_of_a_killed_gateway_may_end_in_peace_and_print_while_they_do(run: Run, tmp_path: Path) -> None:
    """A pipe that nobody reads holds 64 KiB; one that nobody has open kills the writer."""
    code = f"""
def goodbye(*_):
    for _ in range(100): os.write(1, b'x' * 10_000)
    open({str(tmp_path / "saved")!r}, 'w').close()
    sys.exit()
signal.signal(signal.SIGTERM, goodbye)
rest('ready')
"""

    async def world() -> None:
        async with gateway((engine(code), None), says=1) as (process, lives):
            process.kill()
            await lives["guard"].end()
            assert (tmp_path / "saved").exists()

    run(world())


def test_the_cmd_stop_of_a_killed_gateways_engine_still_runs(run: Run, tmp_path: Path) -> None:
    stop = engine("open(sys.argv[2], 'w').close(); os.kill(int(sys.argv[1]), signal.SIGKILL)")

    async def world() -> None:
        async with gateway((DEAF, (*stop, "${PID}", str(tmp_path / "stopped"))), says=1) as (process, lives):
            process.kill()
            await lives["guard"].end()
            assert lives["ready"].is_over
            assert (tmp_path / "stopped").exists()

    run(world())


def test_a_fork_of_a_killed_gateway_keeps_no_engine_alive(run: Run) -> None:
    async def world() -> None:
        async with gateway((SERVES, None), says=2, forks=True) as (process, lives):
            process.kill()
            await asyncio.gather(lives["ready"].end(), lives["guard"].end())
            assert not lives["fork"].is_over
            os.kill(lives["fork"].pid, signal.SIGKILL)

    run(world())


def test_an_engine_ends_even_when_gateway_and_guard_are_killed_together(run: Run) -> None:
    async def world() -> None:
        async with gateway((DEAF, None), says=1) as (process, lives):
            process.send_signal(signal.SIGSTOP)
            os.kill(lives["guard"].pid, signal.SIGKILL)
            process.kill()
            await lives["ready"].end()

    run(world())


def test_the_guard_carries_little() -> None:
    code = "import sys; sys.path.append(sys.argv[1]); import penstock.launch.guard; print(*sys.modules)"
    folder = str(Path(penstock.__file__).parents[1])
    loaded = subprocess.check_output([sys.executable, "-I", "-S", "-c", code, folder], text=True).split()
    assert {name for name in loaded if name.startswith("penstock")} == {
        "penstock",
        "penstock.launch",
        "penstock.launch.guard",
        "penstock.launch.living",
        "penstock.launch.spawn",
    }
    assert not {"asyncio", "dataclasses", "inspect", "subprocess", "threading", "typing"} & set(loaded)


def test_a_guard_that_is_asked_to_end_stops_its_engines_first(run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            started = await start(launcher, SERVES)
            ready, guard = await started.life("ready"), guard_of(started)
            os.kill(guard.pid, signal.SIGTERM)
            assert await started.running.wait() == Exit(signal=signal.SIGTERM)
            assert ready.is_over
            await guard.end()

    run(world())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_a_terminal_sends_does_not_reach_the_engines(number: signal.Signals, run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            first = await start(launcher, SERVES)
            guard = guard_of(first)
            assert os.getsid(guard.pid) == guard.pid
            os.kill(guard.pid, number)
            second = await start(launcher, SERVES)
            assert guard_of(second).pid == guard.pid

    run(world())


def test_a_killed_guard_leaves_nothing_and_the_next_start_has_a_new_one(run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            started = await start(launcher, engine("deaf(); daemon('daemon'); child('child'); rest('ready')"))
            lives = [await started.life(word) for word in ("ready", "daemon", "child")]
            guard = guard_of(started)
            os.kill(guard.pid, signal.SIGKILL)
            assert await started.running.wait() == Exit()
            assert all(life.is_over for life in lives)
            await started.running.stop(30.0)
            again = await start(launcher, SERVES)
            assert guard_of(again).pid != guard.pid
            await again.says("ready")

    run(world())


def test_a_guard_that_ends_between_its_last_word_and_our_last_order_is_missed(run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            first, second = await start(launcher, SERVES), await start(launcher, SERVES)
            lives = [await first.life("ready"), await second.life("ready")]
            guard = guard_of(first)
            # All of this while the loop is busy with it, so that the word, the reset and the end come to it at once.
            os.kill(lives[0].pid, signal.SIGKILL)
            while not is_gone_and_told(lives[0], guard):
                pass
            os.kill(guard.pid, signal.SIGSTOP)
            stopping = second.running.stop(30.0)
            stopping.send(None)
            os.kill(guard.pid, signal.SIGKILL)
            while not guard.is_over:
                pass
            assert await first.running.wait() == Exit(signal=signal.SIGKILL)
            assert await second.running.wait() == Exit()
            assert all(life.is_over for life in lives)
            stopping.close()

    run(world())


def is_gone_and_told(engine: Life, guard: Life) -> bool:
    """The engine has been reaped, and its guard sleeps again."""
    if Path(f"/proc/{engine.pid}").exists():
        return False
    return Path(f"/proc/{guard.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def test_the_cmd_stop_of_what_a_killed_guard_left_still_runs(run: Run, tmp_path: Path) -> None:
    async def world() -> None:
        async with launching() as launcher:
            started = await start(launcher, SERVES, cwd=str(tmp_path), cmd_stop=("touch", "stopped"))
            os.kill(guard_of(started).pid, signal.SIGKILL)
            await started.running.wait()
            assert (tmp_path / "stopped").exists()

    run(world())
