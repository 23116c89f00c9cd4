"""Engines that somebody else runs (`upstream:`): there is nothing to start, and only our interest can stop."""

from __future__ import annotations

import asyncio

from penstock.launch.base import Exit, LaunchSpec, LogSink, Running


class RemoteLauncher:
    """Takes engines as they are: `start` returns at once, `stop` touches nothing."""

    async def start(self, spec: LaunchSpec, log: LogSink) -> Running:
        return _Remote(spec.address)


class _Remote:
    def __init__(self, address: str) -> None:
        self.address = address
        self.pid = None
        self._stopped = asyncio.Event()

    async def wait(self) -> Exit:
        await self._stopped.wait()
        return Exit()

    async def stop(self, grace_s: float) -> None:
        self._stopped.set()
