"""What is looked at once a second, because no fact tells of it: limits, idle connections, files that change."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from penstock.runtime.access.keys import Keyring
from penstock.runtime.calls.call import CallContext
from penstock.runtime.engines.dispatcher import Dispatcher
from penstock.runtime.live.feed import Feed
from penstock.runtime.records.recorder import Recorder
from penstock.store.journal import Journal
from penstock.wire.ingress import Doors

EVERY_S = 1.0


class Parts(Protocol):
    """The parts of a gateway that are looked after."""

    context: CallContext
    dispatcher: Dispatcher
    doors: Doors
    feed: Feed
    journal: Journal
    keyring: Keyring
    recorder: Recorder
    tasks: asyncio.TaskGroup


async def every_second(parts: Parts) -> None:
    """Look, until cancelled."""
    while True:
        await asyncio.sleep(EVERY_S)
        look(parts, time.monotonic())


def look(parts: Parts, now_s: float) -> None:
    """Once."""
    for served in list(parts.context.serving.values()):
        served.check_limits(now_s)
    for tunnel in list(parts.context.tunnels.values()):
        tunnel.protect(now_s)
    parts.context.patience.look(now_s)
    for connection in list(parts.doors.connections):
        connection.sweep(now_s)
    parts.dispatcher.look()
    for address, count in parts.keyring.flood.due(now_s):
        parts.recorder.turned_away(address, count)
    if parts.keyring.has_changed():
        parts.tasks.create_task(_read_keys(parts))
    parts.journal.flush()  # a disk that refused may take again
    if parts.context.active:
        parts.feed.changed()


async def _read_keys(parts: Parts) -> None:
    await parts.keyring.read_again()
    parts.dispatcher.key_terms(parts.keyring.terms())
