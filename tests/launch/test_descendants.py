"""An engine is gone when all that it brought into the world is gone."""

from __future__ import annotations

import asyncio
import signal

import pytest

from penstock.launch.base import Exit
from tests.launch.conftest import Run
from tests.launch.engines import SERVES, engine, launching, start


@pytest.mark.parametrize(
    "code",
    [
        "child('child'); rest('ready')",
        "deaf(); child('child'); signal.signal(signal.SIGTERM, signal.SIG_DFL); rest('ready')",
        "daemon('child'); rest('ready')",
        "deaf(); daemon('child'); signal.signal(signal.SIGTERM, signal.SIG_DFL); rest('ready')",
    ],
    ids=["child", "deaf child", "daemon", "deaf daemon"],
)
def test_a_stopped_engine_takes_its_descendants_along(code: str, run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            started = await start(launcher, engine(code))
            other = await start(launcher, SERVES)
            first, child = await started.life("ready"), await started.life("child")
            bystander = await other.life("ready")
            await started.running.stop(0.3)
            assert first.is_over
            assert child.is_over
            assert await started.running.wait() == Exit(signal=signal.SIGTERM)
            assert not bystander.is_over

    run(world())


@pytest.mark.parametrize("code", ["child('child')", "deaf(); daemon('child')"])
def test_what_an_engine_leaves_when_it_ends_by_itself_is_ended_too(code: str, run: Run) -> None:
    async def world() -> None:
        async with launching(orphan_grace_s=0.3) as launcher:
            started = await start(launcher, engine(f"{code}; sys.stdin.read(); sys.exit(4)"))
            child = await started.life("child")
            assert await started.running.wait() == Exit(code=4)
            assert child.is_over

    run(world())


def test_a_child_that_can_end_in_peace_is_asked_to(run: Run) -> None:
    code = "signal.signal(signal.SIGTERM, lambda *_: (print('said goodbye', flush=True), os._exit(0)))"

    async def world() -> None:
        async with launching() as launcher:
            started = await start(launcher, engine(f"{code}; daemon('child')"))
            await started.running.wait()
            assert "said goodbye\n" in started.log.tail()

    run(world())


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_daemon_that_lost_its_mark_goes_with_the_last_engine_it_could_belong_to(is_alone: bool, run: Run) -> None:
    command = engine("rest('child')")
    code = f"daemon('', lambda _: os.execve({command[0]!r}, {command!r}, {{}})); rest('ready')"

    async def world() -> None:
        async with launching() as launcher:
            started = await start(launcher, engine(code))
            others = [] if is_alone else [await start(launcher, SERVES)]
            child = await started.life("child")
            for each in (started, *others):
                assert not child.is_over
                await each.running.stop(30.0)
            assert child.is_over

    run(world())


def test_a_daemon_that_lost_its_mark_goes_though_all_engines_end_at_once(run: Run) -> None:
    command = engine("rest('child')")
    code = f"daemon('', lambda _: os.execve({command[0]!r}, {command!r}, {{}})); rest('ready')"

    async def world() -> None:
        async with launching() as launcher:
            engines = [await start(launcher, engine(code)) for _ in range(3)]
            children = [await started.life("child") for started in engines]
        assert all(child.is_over for child in children)

    run(world())


def test_cmd_stop_ends_the_engine_and_is_told_its_number(run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            stop = engine(
                "print('stopping', sys.argv[1], os.environ['COLOUR']); os.kill(int(sys.argv[1]), signal.SIGUSR1)"
            )
            started = await start(launcher, SERVES, env=(("COLOUR", "red"),), cmd_stop=(*stop, "${PID}"))
            await started.says("ready")
            await started.running.stop(30.0)
            assert await started.says("stopping") == f"{started.running.pid} red"
            assert await started.running.wait() == Exit(signal=signal.SIGUSR1)

    run(world())


def test_a_cmd_stop_that_hangs_is_killed_with_its_engine_after_the_grace(run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            started = await start(launcher, SERVES, cmd_stop=engine("deaf(); rest('stopping')"))
            await started.says("ready")
            patient = asyncio.create_task(started.running.stop(3600.0))
            stopping = await started.life("stopping")
            await started.running.stop(0.0)
            await patient
            assert stopping.is_over
            assert await started.running.wait() == Exit(signal=signal.SIGKILL)

    run(world())


@pytest.mark.parametrize("cmd_stop", [("false",), ("no-such-command",)])
def test_a_cmd_stop_that_fails_is_followed_by_the_usual_request(cmd_stop: tuple[str, ...], run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            started = await start(launcher, SERVES, cmd_stop=cmd_stop)
            await started.says("ready")
            await started.running.stop(30.0)
            assert await started.running.wait() == Exit(signal=signal.SIGTERM)
            assert ("no-such-command: command not found" in started.log.tail()) == (cmd_stop != ("false",))

    run(world())


def test_an_engine_that_ends_is_not_reported_before_its_cmd_stop_is_done(run: Run) -> None:
    async def world() -> None:
        async with launching() as launcher:
            stop = engine(
                "os.kill(int(sys.argv[1]), signal.SIGKILL)\n"
                "while os.path.exists(f'/proc/{sys.argv[1]}'): os.sched_yield()\n"
                "print('cleaned up')"
            )
            started = await start(launcher, SERVES, cmd_stop=(*stop, "${PID}"))
            await started.says("ready")
            await started.running.stop(30.0)
            assert started.log.tail().endswith("cleaned up\n")

    run(world())
