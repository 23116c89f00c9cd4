"""Starts engines as processes of this machine, through a guard that sees to it that they end.

The guard starts with the first engine. Should it be killed, what it left is killed here, and the next start has a
new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

from penstock.launch.base import Exit, LaunchFailed, LaunchSpec, LogSink, Running
from penstock.launch.inheritance import inherited
from penstock.launch.living import MARK, kill_marked
from penstock.launch.output import Output
from penstock.launch.remedy import remedy

ORPHAN_GRACE_S = 5.0
"""How long engines that lost their gateway may take to end by themselves."""

_ENGINE_PORTS = range(20000, 32000)
_PORT_TRIES = 100
_READ_BYTES = 65536
_FOLDER = str(Path(__file__).parents[2])
_BOOT = "import sys; sys.path.append(sys.argv.pop(1)); from penstock.launch.guard import main; main()"


def free_port() -> int:
    """A port of the loopback address that nobody listens on, at this moment.

    From below the range that systems give to outgoing connections: an engine that loads for minutes
    before it binds must not lose its port to one of those.
    """
    for _ in range(_PORT_TRIES):
        port = random.choice(_ENGINE_PORTS)  # noqa: S311 - a port is no secret
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise LaunchFailed(f"no free port was found between {_ENGINE_PORTS[0]} and {_ENGINE_PORTS[-1]}")


class ProcessLauncher:
    """Launches on this machine; `close` it before its event loop ends."""

    def __init__(self, orphan_grace_s: float = ORPHAN_GRACE_S) -> None:
        self._orphan_grace_s = orphan_grace_s
        self._guard: _Guard | None = None
        self._is_closed = False

    async def start(self, spec: LaunchSpec, log: LogSink) -> Running:
        while self._guard is not None and self._guard.is_lost:
            lost = self._guard
            await lost.ended.wait()
            if self._guard is lost:
                self._guard = None
        if self._is_closed:
            raise LaunchFailed("the gateway is shutting down")
        try:
            if self._guard is None:
                self._guard = _Guard(self._orphan_grace_s)
            return await self._guard.start(spec, log)
        except OSError as fault:
            raise LaunchFailed(f"this machine has no room for it: {fault.strerror}") from fault

    async def close(self) -> None:
        """Stop every engine and the guard; nothing can be started afterwards. Idempotent."""
        self._is_closed = True
        if self._guard is not None:
            self._guard.close(self._orphan_grace_s)
            await self._guard.ended.wait()


class _Guard:
    """The gateway's end of one guard process."""

    def __init__(self, orphan_grace_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = _start_guard(theirs.fileno(), orphan_grace_s)
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._receive)
        self._received = b""
        self._to_send: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._engines: dict[int, _Engine] = {}
        self._last_number = 0
        self._cleaning: asyncio.Task[None] | None = None
        self._grace_s = orphan_grace_s
        self.ended = asyncio.Event()
        """Set when the guard is gone, and every engine with it."""
        threading.Thread(target=self._wait, name="guard", daemon=True).start()

    @property
    def is_lost(self) -> bool:
        return self._cleaning is not None

    async def start(self, spec: LaunchSpec, log: LogSink) -> Running:
        self._last_number += 1
        number = self._last_number
        source, output = os.pipe()
        engine = self._engines[number] = _Engine(self, number, spec, Output(source, log))
        env = {**inherited(os.environ), **dict(spec.env), MARK: engine.mark}
        self._send("start", number, spec.argv, env, spec.cwd, spec.cmd_stop, fds=(source, output))
        try:
            await engine.started
        except asyncio.CancelledError:
            self.stop(number, 0.0)
            raise
        except LaunchFailed as failed:
            what_to_do = await asyncio.to_thread(remedy, spec, env)
            if what_to_do is None:
                raise
            raise LaunchFailed(f"{failed}; {what_to_do}", is_final=True) from failed
        return engine

    def stop(self, number: int, grace_s: float) -> None:
        self._send("stop", number, grace_s)

    def close(self, grace_s: float) -> None:
        self._send("close", grace_s)

    def _send(self, *words: object, fds: tuple[int, ...] = ()) -> None:
        if self.is_lost:
            return
        self._to_send.append((json.dumps(words).encode() + b"\n", fds))
        if len(self._to_send) == 1:
            self._flush()

    def _flush(self) -> None:
        """Send what waits; go on when the socket has room again. What the guard has got is closed here."""
        self._loop.remove_writer(self._socket)
        while self._to_send:
            line, fds = self._to_send[0]
            try:
                sent = socket.send_fds(self._socket, [line], fds) if fds else self._socket.send(line)
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._flush)
                return
            except OSError:  # the guard is gone, and `_lose` comes
                sent = len(line)
            for output in fds[1:]:
                os.close(output)
            self._to_send[0] = (line[sent:], ())
            if sent == len(line):
                self._to_send.popleft()

    def _receive(self) -> bool:
        """Take what the guard says; False = nothing more for now, or for ever."""
        try:
            received = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            received = b""
        if not received:
            self._loop.remove_reader(self._socket)
            return False
        *lines, self._received = (self._received + received).split(b"\n")
        for line in lines:
            self._take(json.loads(line))
        return True

    def _take(self, reply: object) -> None:
        match reply:
            case ["started", int(number), int(pid)]:
                self._engines[number].has_started(pid)
            case ["failed", int(number), str(reason)]:
                self._engines.pop(number).has_failed(reason)
            case ["gone", int(number), int(code)]:
                self._engines.pop(number).has_ended(Exit(code=code) if code >= 0 else Exit(signal=-code))
            case _:
                raise AssertionError(reply)

    def _wait(self) -> None:
        """On a thread, for the socket does not tell for certain: of one whose other end was closed before it had read
        everything, uvloop never says anything again."""
        self._process.wait()
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody asks any more
            self._loop.call_soon_threadsafe(self._lose)

    def _lose(self) -> None:
        """It has ended; what it said last may still be unread."""
        while self._receive():
            pass
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        for output in [fd for _, fds in self._to_send for fd in fds[1:]]:
            os.close(output)
        self._cleaning = self._loop.create_task(self._clean_up())

    async def _clean_up(self) -> None:
        """The guard ended. If it left engines, end them; how each one ended, nobody can tell."""
        engines = list(self._engines.values())
        try:
            if engines:
                await asyncio.to_thread(kill_marked, {engine.mark: engine.pid for engine in engines})
                await asyncio.gather(*(asyncio.to_thread(engine.run_cmd_stop, self._grace_s) for engine in engines))
        finally:
            for engine in engines:
                engine.has_failed("the guard process died")
            self._engines.clear()
            self.ended.set()


def _start_guard(fd: int, orphan_grace_s: float) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-I", "-S", "-c", _BOOT, _FOLDER, str(fd), str(orphan_grace_s)]
    return subprocess.Popen(  # in a session of its own: Ctrl-C in the terminal is for the gateway alone
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=(fd,), start_new_session=True
    )


class _Engine:
    """One engine, as its owner sees it."""

    def __init__(self, guard: _Guard, number: int, spec: LaunchSpec, output: Output) -> None:
        self.address = spec.address
        self.pid: int | None = None
        self.mark = f"{spec.replica_id}/{secrets.token_hex(8)}"
        self.started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._guard = guard
        self._number = number
        self._spec = spec
        self._output = output
        self._exit = Exit()
        self._gone = asyncio.Event()

    async def wait(self) -> Exit:
        await self._gone.wait()
        return self._exit

    async def stop(self, grace_s: float) -> None:
        if not self._gone.is_set():
            self._guard.stop(self._number, grace_s)
            await self._gone.wait()

    def has_started(self, pid: int) -> None:
        self.pid = pid
        if not self.started.done():  # its starter may have been cancelled
            self.started.set_result(pid)

    def has_failed(self, reason: str) -> None:
        if not self.started.done():
            self.started.set_exception(LaunchFailed(reason))
        self.has_ended(Exit())

    def has_ended(self, how: Exit) -> None:
        self._output.close()
        self._exit = how
        self._gone.set()

    def run_cmd_stop(self, grace_s: float) -> None:
        """What runs elsewhere, such as a container, is still there after all processes were killed. Blocks.

        Not if it names the process: that number may be somebody else's by now.
        """
        argv = self._spec.cmd_stop
        if argv is None or any("${PID}" in word for word in argv):
            return
        env = {**inherited(os.environ), **dict(self._spec.env)}
        try:
            subprocess.run(argv, env=env, cwd=self._spec.cwd, stdin=subprocess.DEVNULL, timeout=grace_s, check=False)
        except (OSError, subprocess.TimeoutExpired):
            pass
