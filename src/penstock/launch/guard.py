"""The process that owns the engines, so that none of them outlives the gateway.

It stays as long as the gateway: nothing of Penstock but `living` may be imported here, and little else.

Orders come as JSON lines over a socket, replies go back the same way:
    ["start", number, argv, env, cwd, cmd_stop]   with both ends of the pipe for the engine's output (read, write)
    ["stop", number, grace_s]        ["close", grace_s]
    ["started", number, pid]         ["failed", number, reason]         ["gone", number, exitcode]
`exitcode` is negative for a signal. "gone" comes when nothing of the engine is left, descendants included: on Linux
those that turned daemon become children of the guard (a child subreaper) and are told apart by the mark in their
environment; elsewhere only the engine's process group and what still hangs on it can be found.

When the gateway is gone, or the guard gets SIGTERM, every engine is stopped and the guard ends.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time

from penstock.launch.living import MARK, Living, kill, living, mark_of, pidfd, send, send_group, with_descendants
from penstock.launch.spawn import adopt_orphans, spawn

RECHECK_S = 0.1
"""How often the remains of an engine are looked at when no signal tells of their end."""


class Engine:
    """One engine, from its start until nothing of it is left.

    source, output: the two ends of the pipe it prints to. status: how its first process ended; None = it was not
    waited for, so that its number is surely its own. deadline_s: when it is killed; None = it may live.
    stopper: the process of its running `cmd_stop`.
    """

    __slots__ = ("cmd_stop", "cwd", "deadline_s", "env", "number", "output", "pid", "source", "status", "stopper")

    def __init__(
        self, number: int, env: dict[str, str], cwd: str | None, cmd_stop: list[str] | None, pipe: list[int]
    ) -> None:
        self.number = number
        self.env = env
        self.cwd = cwd
        self.cmd_stop = cmd_stop
        self.source, self.output = pipe
        self.pid = 0
        self.status: int | None = None
        self.deadline_s: float | None = None
        self.stopper: int | None = None

    def is_ending(self, now_s: float) -> bool:
        """Whether its remains have to be looked at: its first process ended, or its time is up."""
        return self.status is not None or (self.deadline_s is not None and self.deadline_s <= now_s)

    def close(self) -> None:
        os.close(self.source)
        os.close(self.output)


class Guard:
    """The engines' parent; one thread, woken by orders, signals and deadlines."""

    def __init__(self, gateway: socket.socket, grace_s: float) -> None:
        gateway.set_inheritable(False)  # an engine that held it would hide the guard's death from the gateway
        self._gateway = gateway
        self._grace_s = grace_s
        self._engines: dict[int, Engine] = {}
        self._received = b""
        self._fds: list[int] = []
        self._is_closing = False
        self._is_orphaned = False
        self._adopts_orphans = adopt_orphans()
        self._poll = select.poll()
        self._poll.register(gateway, select.POLLIN)
        self._gateway_life = pidfd(
            os.getppid()
        )  # a fork of the gateway could hold its socket open longer than it lives
        if self._gateway_life is not None:
            self._poll.register(self._gateway_life, select.POLLIN)

    def run(self) -> None:
        """Serve until the gateway is gone or asks for the end, and every engine is gone too."""
        wake, alarm = os.pipe()
        os.set_blocking(alarm, False)
        signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)  # unlike SIG_IGN, engines do not inherit it
        self._poll.register(wake, select.POLLIN)
        while self._engines or not self._is_closing:
            for fd, _ in self._poll.poll(self._pause_ms()):
                if fd == self._gateway.fileno():
                    self._receive()
                elif fd == wake and signal.SIGTERM in os.read(wake, 4096):
                    self._close(self._grace_s)
                elif fd == self._gateway_life:
                    self._lose_gateway()
                elif fd != wake:
                    os.read(fd, 65536)  # an orphan's output
            self._settle()

    def _pause_ms(self) -> float | None:
        now_s = time.monotonic()
        if any(engine.is_ending(now_s) for engine in self._engines.values()):
            return RECHECK_S * 1000
        deadlines = [engine.deadline_s for engine in self._engines.values() if engine.deadline_s is not None]
        return (min(deadlines) - now_s) * 1000 + 1 if deadlines else None

    # The gateway's orders.

    def _receive(self) -> None:
        try:
            received, fds, _, _ = socket.recv_fds(self._gateway, 65536, 64)
        except ConnectionError:
            received, fds = b"", []
        if not received:
            self._lose_gateway()
            return
        for fd in fds:
            os.set_inheritable(fd, False)
        self._fds += fds
        *lines, self._received = (self._received + received).split(b"\n")
        for line in lines:
            order, *arguments = json.loads(line)
            if order == "start":
                self._start(*arguments)
            elif order == "stop":
                self._stop(*arguments)
            else:
                self._close(*arguments)

    def _reply(self, *words: object) -> None:
        try:  # this waits for a frozen gateway once the socket is full; its orders do not come meanwhile either
            self._gateway.sendall(json.dumps(words).encode() + b"\n")
        except OSError:
            pass  # it is gone, and the next poll says so

    def _lose_gateway(self) -> None:
        """Stop all. Nobody else reads now what engines print, and one that cannot print may not end as it should."""
        if self._is_orphaned:
            return
        self._is_orphaned = True
        self._poll.unregister(self._gateway)
        if self._gateway_life is not None:
            self._poll.unregister(self._gateway_life)
        for engine in self._engines.values():
            self._poll.register(engine.source, select.POLLIN)
        self._close(self._grace_s)

    def _close(self, grace_s: float) -> None:
        self._is_closing = True
        for number in self._engines:
            self._stop(number, grace_s)

    def _start(
        self, number: int, argv: list[str], env: dict[str, str], cwd: str | None, cmd_stop: list[str] | None
    ) -> None:
        pipe, self._fds = self._fds[:2], self._fds[2:]
        engine = Engine(number, env, cwd, cmd_stop, pipe)
        fault = "the gateway is shutting down" if self._is_closing else self._run_engine(engine, argv)
        if fault:
            engine.close()
            self._reply("failed", number, fault)
        else:
            self._engines[number] = engine
            self._reply("started", number, engine.pid)

    def _run_engine(self, engine: Engine, argv: list[str]) -> str:
        """Start its first process; return what went wrong, or nothing."""
        hears, tells = os.pipe()
        with open(hears, "rb") as pipe:
            try:
                engine.pid = spawn(argv, engine.env, engine.cwd, engine.output, tells, dies_with_parent=True)
            except OSError as fault:
                return f"no new process: {fault.strerror}"
            finally:
                os.close(tells)
            return pipe.read().decode()  # ends when the new process has become the engine

    def _stop(self, number: int, grace_s: float) -> None:
        engine = self._engines.get(number)
        if engine is None:
            return
        deadline_s = time.monotonic() + grace_s
        if engine.deadline_s is not None:
            engine.deadline_s = min(engine.deadline_s, deadline_s)
            return
        engine.deadline_s = deadline_s
        if engine.cmd_stop is None:
            send_group(engine.pid, signal.SIGTERM)
            return
        try:
            argv = [word.replace("${PID}", str(engine.pid)) for word in engine.cmd_stop]
            engine.stopper = spawn(argv, engine.env, engine.cwd, engine.output, tells=2, dies_with_parent=False)
        except OSError:
            send_group(engine.pid, signal.SIGTERM)

    # How engines end.

    def _settle(self) -> None:
        """Look after every engine that ended or whose time is up."""
        died = self._reap()
        now_s = time.monotonic()
        ending = [engine for engine in self._engines.values() if engine.is_ending(now_s)]
        remains = self._remains() if ending else {}
        for engine in ending:
            left = remains[engine.number]
            if engine.deadline_s is None:
                engine.deadline_s = now_s + self._grace_s
            if engine.deadline_s <= now_s:
                left = kill(left)
            elif engine in died:
                for process in left:
                    if process.session != engine.stopper:
                        send(process, signal.SIGTERM)
            if engine.status is not None and not left:
                self._forget(engine, engine.status)
        if ending and not self._engines:
            self._end_strays()

    def _reap(self) -> list[Engine]:
        """Take every dead child from the kernel; return the engines whose first process was among them."""
        died = []
        while (child := _next_dead_child(os.WNOHANG)) is not None:
            pid, status = child
            for engine in self._engines.values():
                if pid == engine.pid and engine.status is None:
                    engine.status = status
                    died.append(engine)
                elif pid == engine.stopper:
                    engine.stopper = None
                    if status != 0 and engine.status is None:
                        send_group(engine.pid, signal.SIGTERM)
        return died

    def _remains(self) -> dict[int, list[Living]]:
        """All living processes of every engine, by the engine's number."""
        table = living()
        sessions = {pid: engine for engine in self._engines.values() for pid in (engine.pid, engine.stopper)}
        remains: dict[int, list[Living]] = {number: [] for number in self._engines}
        for process in table:
            is_root = process.parent == os.getpid() if self._adopts_orphans else process.session in sessions
            owner = (sessions.get(process.session) or self._owner_by_mark(process)) if is_root else None
            if owner is not None:
                remains[owner.number].append(process)
        return {number: with_descendants(roots, table) for number, roots in remains.items()}

    def _owner_by_mark(self, daemon: Living) -> Engine | None:
        """Whose daemon it is. One without a mark belongs to the only engine there is, or waits until there is one."""
        owners = {engine.env[MARK]: engine for engine in self._engines.values()}
        only = next(iter(owners.values())) if len(owners) == 1 else None
        return owners.get(mark_of(daemon) or "", only)

    def _forget(self, engine: Engine, status: int) -> None:
        if self._is_orphaned:
            self._poll.unregister(engine.source)
        engine.close()
        del self._engines[engine.number]
        self._reply("gone", engine.number, os.waitstatus_to_exitcode(status))

    def _end_strays(self) -> None:
        """Kill what no engine could be found for, now that there is none."""
        while True:
            table = living()
            if not kill(with_descendants([process for process in table if process.parent == os.getpid()], table)):
                return
            _next_dead_child(0)


def _next_dead_child(options: int) -> tuple[int, int] | None:
    """Number and wait status of a child that ended, if there is one."""
    try:
        pid, status = os.waitpid(-1, options)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def main() -> None:
    """Arguments: the number of the socket to the gateway, and the seconds of grace for engines that lost it."""
    fd, grace_s = sys.argv[1:]
    Guard(socket.socket(fileno=int(fd)), float(grace_s)).run()
