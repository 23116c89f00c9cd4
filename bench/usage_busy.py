"""What questions about the last half hour take of a gateway that is busy: python -m bench.usage_busy --help.

Many short calls go through a gateway with a fresh store. Right behind the last of them every question is asked, a few
times: the minute that has just passed is not rolled up then, and is read call by call. Gateway and bookkeeper share one
core. Beside it: how far the bookkeeper was behind all the while, and what both cost.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import tempfile
import threading
import time
from pathlib import Path

from bench.rig.build import build
from bench.rig.client import Figures, Load, run
from bench.rig.processes import cpu_us_by_process, peak_mb_by_role, role
from bench.rig.proxies import Target, penstock, upstream

QUESTIONS = ("timeline", "models", "perf", "consumers", "workloads", "now", "health")
LOOK_EVERY_S = 10.0
TIMES = 3


def main() -> None:
    args = _parser().parse_args()
    load = Load(args.connections, rig=f"delay:{args.answer_ms}", seconds=args.seconds)
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder, upstream(build(), 0) as port:
        models = {"bench": {"upstream": f"http://127.0.0.1:{port}", "parallel": 4096}}
        with penstock({"models": models}, Path(folder, "gateway")) as target:
            before = _cpu_s(target)
            figures, behind = _under_load(target, load)
            used = {name: cpu_s - before.get(name, 0.0) for name, cpu_s in _cpu_s(target).items()}
            told = [_asked(target, question) for question in QUESTIONS]
            assert target.pid
            memory = peak_mb_by_role(target.pid)
    print(f"{figures.requests} calls at {figures.rps:.0f}/s, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"minutes not rolled up, every {LOOK_EVERY_S:.0f} s: {' '.join(map(str, behind))}")
    for process, cpu_s in used.items():
        print(f"{process}: {1e6 * cpu_s / figures.requests:.0f} us of CPU a call, {memory[process]:.0f} MB at most")
    print("\n".join(told))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.usage_busy", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--seconds", type=float, default=150.0)
    parser.add_argument("--connections", type=int, default=40)
    parser.add_argument("--answer-ms", type=int, default=40, help="how long the engine takes for an answer")
    return parser


def _under_load(target: Target, load: Load) -> tuple[Figures, list[int]]:
    found: list[Figures] = []
    behind: list[int] = []
    thread = threading.Thread(target=lambda: found.append(run(build(), target.port, load)))
    thread.start()
    while thread.is_alive():
        thread.join(LOOK_EVERY_S)
        behind.append(_get(target, "health")["minutes_not_rolled_up"])  # type: ignore[arg-type]
    assert not found[0].errors, found[0].first_error
    return found[0], behind


def _asked(target: Target, question: str) -> str:
    before_s, took_s = _cpu_s(target)["bookkeeper"], []
    for _ in range(TIMES):
        started_s = time.perf_counter()
        answer = _get(target, f"{question}?last=30m" if question not in ("now", "health") else question)
        took_s.append(time.perf_counter() - started_s)
    cpu_ms = 1000 * (_cpu_s(target)["bookkeeper"] - before_s) / TIMES
    width = f", buckets of {answer['bucket_s']} s" if "bucket_s" in answer else ""
    return f"{question:10} {1000 * min(took_s):5.0f} to {1000 * max(took_s):5.0f} ms, {cpu_ms:5.0f} of CPU{width}"


def _get(target: Target, question: str) -> dict[str, object]:
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
    connection.request("GET", f"/usage/{question}")
    answer = connection.getresponse()
    found: dict[str, object] = json.loads(answer.read())
    connection.close()
    assert answer.status == 200, found
    return found


def _cpu_s(target: Target) -> dict[str, float]:
    assert target.pid
    return {role(pid): used_us / 1e6 for pid, used_us in cpu_us_by_process(target.pid).items()}


if __name__ == "__main__":
    main()
