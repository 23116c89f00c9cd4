"""Compares direct, nginx, Penstock and any other proxy, in one run and by turns: python -m bench.relay --help."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

from bench.rig.build import Programs, build
from bench.rig.processes import PROXY_CORE
from bench.rig.proxies import Target, nginx, penstock, upstream
from bench.rig.scenarios import Bench, Sizes, added_latency, medians
from bench.rig.table import lines

QUICK = Sizes(rounds=1, seconds=0.4, streams=200, waiters=320)


def main() -> None:
    args = _parser().parse_args()
    sizes = QUICK if args.quick else Sizes(args.rounds, args.seconds, streams=1000, waiters=2000)
    programs = build()
    with _targets(programs, args) as (upstream_port, targets):
        bench = Bench(programs, upstream_port, targets, sizes, say=lambda name: print(f"… {name}", file=sys.stderr))
        bench.run()
    added_latency(bench.samples)
    found = medians(bench.samples)
    print(f"medians of {sizes.rounds} alternating rounds; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("\n".join(lines(dict(sorted(found.items())), [target.name for target in targets])))
    for error in bench.errors:
        print(f"error: {error}")
    if args.json:
        whole = {"machine": _machine(), "sizes": asdict(sizes), "medians": found, "samples": bench.samples}
        args.json.write_text(json.dumps({**whole, "errors": bench.errors}, indent=1))
    sys.exit(1 if bench.errors else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.relay", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="alternating rounds; medians are taken over them")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one run of the load")
    parser.add_argument("--quick", action="store_true", help="one short round: does it work, not how fast is it")
    parser.add_argument("--only", action="append", choices=["nginx", "penstock"], help="leave the other one out")
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=URL[,PID]",
        help="another proxy that passes models `bench` and `q` to --upstream-port; with its pid its cost is read too",
    )
    parser.add_argument("--upstream-port", type=int, default=0, help="for peers, who have to know it before; 0 = any")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    return parser


@contextmanager
def _targets(programs: Programs, args: argparse.Namespace) -> Iterator[tuple[int, list[Target]]]:
    wanted = args.only or ["nginx", "penstock"]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-bench-")))
        port = stack.enter_context(upstream(programs, args.upstream_port))
        targets = [Target("direct", port)]
        if "nginx" in wanted and (program := shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")):
            targets.append(stack.enter_context(nginx(program, port, folder / "nginx")))
        if "penstock" in wanted:
            models = {"bench": _model(port, 4096), "q": _model(port, 32)}
            targets.append(stack.enter_context(penstock({"models": models}, folder / "penstock")))
        yield port, targets + [_peer(text) for text in args.peer]


def _model(upstream_port: int, parallel: int) -> dict[str, object]:
    return {"upstream": f"http://127.0.0.1:{upstream_port}", "parallel": parallel}


def _peer(text: str) -> Target:
    name, _, rest = text.partition("=")
    url, _, pid = rest.partition(",")
    port = urlsplit(url).port
    if not name or port is None:
        sys.exit(f"bench: --peer {text}: expected NAME=URL[,PID] with a port in the URL")
    if pid and PROXY_CORE is not None:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {PROXY_CORE})
    return Target(name, port, int(pid) if pid else None, queues=True)


def _machine() -> dict[str, object]:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
    }


if __name__ == "__main__":
    main()
