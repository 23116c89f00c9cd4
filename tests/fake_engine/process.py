"""The fake engine as a process of its own, with the vices that only a process can have."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import NoReturn

from tests.fake_engine.behaviour import Behaviour
from tests.fake_engine.server import FakeEngine

CHILD = "import signal; signal.pause()"
DEAF_CHILD = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, typed."""

    port: int
    load_s: float
    binds_late: bool
    is_never_ready: bool
    exits_with: int | None
    says: str
    ignores_sigterm: bool
    forks: bool
    script: list[Behaviour]


class _ProcessEngine(FakeEngine):
    def die(self) -> NoReturn:
        os._exit(1)


def main(argv: list[str] | None = None) -> None:
    options = _parse(argv)
    if options.says:
        print(options.says, file=sys.stderr, flush=True)
    if options.exits_with is not None:
        sys.exit(options.exits_with)
    if options.ignores_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    asyncio.run(_run(options))


async def _run(options: Options) -> None:
    engine = _ProcessEngine(options.script, port=options.port, is_ready=False)
    engine.facts = {"pid": os.getpid(), "child_pid": _child(options) if options.forks else None}
    if options.binds_late:
        await asyncio.sleep(options.load_s)  # no-sleep-needed: loading takes as long as was asked for
    await engine.start()
    print(f"listening {engine.port}", flush=True)
    if not options.binds_late:
        await asyncio.sleep(options.load_s)  # no-sleep-needed: loading takes as long as was asked for
    if not options.is_never_ready:
        engine.is_ready = True
        print(f"ready {time.time():.6f}", flush=True)
    await asyncio.get_running_loop().create_future()


def _child(options: Options) -> int:
    """Start a process that outlives this one unless somebody cares; as deaf to SIGTERM as its parent."""
    program = DEAF_CHILD if options.ignores_sigterm else CHILD
    child = subprocess.Popen([sys.executable, "-c", program])
    print(f"child {child.pid}", file=sys.stderr, flush=True)
    return child.pid


def _parse(argv: list[str] | None) -> Options:
    parser = argparse.ArgumentParser(description="A scripted model server; prints `listening PORT` once it is bound.")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--load-s", type=float, default=0.0, help="seconds of 503 on /health before it is ready")
    parser.add_argument("--late-bind", action="store_true", help="do not even listen while loading")
    parser.add_argument("--never-ready", action="store_true", help="503 on /health for ever")
    parser.add_argument("--exit", type=int, metavar="CODE", help="exit at once")
    parser.add_argument("--say", default="", metavar="TEXT", help="a line for stderr, first of all")
    parser.add_argument("--ignore-sigterm", action="store_true")
    parser.add_argument("--fork", action="store_true", help="have a child process that does nothing")
    parser.add_argument("--script", default="[{}]", metavar="JSON", help="a list of behaviours, one a request")
    args = parser.parse_args(argv)
    return Options(
        port=args.port,
        load_s=args.load_s,
        binds_late=args.late_bind,
        is_never_ready=args.never_ready,
        exits_with=args.exit,
        says=args.say,
        ignores_sigterm=args.ignore_sigterm,
        forks=args.fork,
        script=Behaviour.script(args.script),
    )
