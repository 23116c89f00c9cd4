"""An engine that somebody else runs is there at once and never ends by itself."""

from __future__ import annotations

import asyncio

from penstock.launch.base import Exit, LaunchSpec
from penstock.launch.remote import RemoteLauncher
from tests.launch.conftest import Run


def test_a_remote_engine_runs_until_we_stop_caring(run: Run) -> None:
    async def world() -> None:
        running = await RemoteLauncher().start(LaunchSpec("m", (), "http://far.away:1"), lambda _: None)
        assert (running.address, running.pid) == ("http://far.away:1", None)
        waits = [asyncio.ensure_future(running.wait()) for _ in range(2)]
        await running.stop(0.0)
        await running.stop(0.0)
        assert [await wait for wait in waits] == [Exit(), Exit()]

    run(world())
