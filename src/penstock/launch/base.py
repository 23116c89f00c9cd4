"""What every way of starting an engine looks like to the runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

LogSink = Callable[[bytes], None]
"""Takes what an engine printed, as it comes; never blocks, never raises."""


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """Everything needed to start one replica, with nothing left to fill in but `${PID}` in `cmd_stop`.

    env: added to what it inherits of the gateway's own environment. address: where the engine will answer,
    "http://127.0.0.1:5801".
    """

    replica_id: str
    argv: tuple[str, ...]
    address: str
    env: tuple[tuple[str, str], ...] = ()
    cwd: str | None = None
    cmd_stop: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: an exit code, or the number of the signal that killed it; both None = nobody knows."""

    code: int | None = None
    signal: int | None = None

    def __str__(self) -> str:
        if self.signal is not None:
            return f"killed by signal {self.signal}"
        return "gone" if self.code is None else f"exit code {self.code}"


class LaunchFailed(Exception):
    """The engine could not even be started; the message says why.

    is_final: somebody must mend something first, so that trying again is useless.
    """

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


class Running(Protocol):
    """An engine that was started; maybe not ready yet, maybe gone already."""

    @property
    def address(self) -> str: ...

    @property
    def pid(self) -> int | None:
        """The process id on this machine; None = it has none here."""

    async def wait(self) -> Exit:
        """Return when the engine and all its descendants are gone. May be awaited by several."""

    async def stop(self, grace_s: float) -> None:
        """Ask it to stop, insist after `grace_s` seconds, return when all of it is gone. Idempotent."""


class Launcher(Protocol):
    """One way to start engines. Raises LaunchFailed."""

    async def start(self, spec: LaunchSpec, log: LogSink) -> Running:
        """Return as soon as the engine exists; readiness is for the caller to find out."""
