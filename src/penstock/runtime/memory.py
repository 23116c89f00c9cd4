"""Tells the dispatcher how much of the host's memory is free, where models share that memory."""

from __future__ import annotations

import asyncio

from penstock.config.plan import HOST_DEVICE
from penstock.config.schema import Settings
from penstock.config.values import Residency
from penstock.runtime.dispatcher import Dispatcher
from penstock.sample import host

READ_EVERY_S = 5.0


def shares_host_memory(settings: Settings) -> bool:
    """Is the host's memory what models are fitted into? A device that is named is whatever its owner says."""
    return settings.residency is Residency.MEMORY and not settings.devices


def read_first(dispatcher: Dispatcher) -> None:
    """Before anything is loaded. It may take its time: nobody is served yet."""
    for device, free_bytes in _read().items():
        dispatcher.memory(device, free_bytes)


async def watch(dispatcher: Dispatcher) -> None:
    """Read it from time to time, and at once where an engine has gone. Ends only by being cancelled."""
    if host.IS_QUICK:
        dispatcher.read_memory = _read
    while True:
        await asyncio.sleep(READ_EVERY_S)
        if (free_bytes := await asyncio.to_thread(host.free_bytes)) is not None:
            dispatcher.memory(HOST_DEVICE, free_bytes)


def _read() -> dict[str, int]:
    free_bytes = host.free_bytes()
    return {} if free_bytes is None else {HOST_DEVICE: free_bytes}
