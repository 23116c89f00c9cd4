"""What calls notice of a dashboard that asks for a year, again and again: python -m bench.usage_beside --help.

A gateway with a store that has a long history (bench/usage.py leaves one) answers a steady stream of calls, in rounds
by turns alone and while two askers put the heaviest questions there are, one after the other. Gateway and bookkeeper
share one core. Beside the latency of calls: how the questions fared, and what memory either process came to.
"""

from __future__ import annotations

import argparse
import collections
import http.client
import itertools
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.rig.build import build
from bench.rig.client import Load, run
from bench.rig.processes import peak_mb_by_role
from bench.rig.proxies import penstock, upstream

ASKERS = 2
KEEP = {"keep": "forever", "keep_samples": "forever"}
"""Else the first thing the bookkeeper did would be to delete what the bench has made."""

HEAVIEST = (
    "timeline?last={last}", "timeline?last={last}&key=key-1&outcome=completed", "models?last={last}&workload=nightly",
    "consumers?last={last}&model=model-1", "perf?last={last}&key=key-1", "hosts?last={last}",
    "requests?last={last}&outcome=deadline&key=key-7&workload=agent&limit=1000",
)  # fmt: skip


class Asking:
    """Questions, from the start of a block to its end. took_s: of the answered ones; refused: by why, and which."""

    def __init__(self, port: int, last: str) -> None:
        self.took_s: list[float] = []
        self.refused: collections.Counter[str] = collections.Counter()
        self._port = port
        self._paths = [f"/usage/{question.format(last=last)}" for question in HEAVIEST]
        self._is_over = threading.Event()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        self._is_over.clear()
        threads = [threading.Thread(target=self._ask, args=(at,)) for at in range(ASKERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join()

    def _ask(self, first: int) -> None:
        for path in itertools.cycle(self._paths[first:] + self._paths[:first]):
            if self._is_over.is_set():
                return
            started_s = time.perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            if answer.status == 200:
                self.took_s.append(time.perf_counter() - started_s)
            else:
                self.refused[f"{json.loads(body)['error']['code']} {path}"] += 1


def main() -> None:
    args = _parser().parse_args()
    load = Load(args.connections, rig=f"delay:{args.answer_ms}", seconds=args.seconds)
    alone: list[int] = []
    beside: list[int] = []
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder, upstream(build(), 0) as port:
        models = {"bench": {"upstream": f"http://127.0.0.1:{port}", "parallel": 4096}}
        with penstock({"models": models, "store": {"url": args.store, **KEEP}}, Path(folder, "gateway")) as target:
            assert target.pid
            asking = Asking(target.port, args.last)
            run(build(), target.port, load)
            time.sleep(3.0)
            before = peak_mb_by_role(target.pid)
            for _ in range(args.rounds):
                alone.append(_p99_us(target.port, load))
                with asking.going_on():
                    beside.append(_p99_us(target.port, load))
            after = peak_mb_by_role(target.pid)
    ratio = statistics.median(beside) / statistics.median(alone)
    print(f"{args.rounds} rounds by turns, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"p99 of calls, ms: alone {_told_ms(alone)}; beside questions {_told_ms(beside)}; ratio {ratio:.2f}")
    took = f"{statistics.median(asking.took_s):.2f} s, at most {max(asking.took_s):.2f} s" if asking.took_s else "-"
    print(f"questions over {args.last}: {len(asking.took_s)} answered in {took}; refused: {dict(asking.refused)}")
    for process, mb in after.items():
        print(f"memory of the {process}: {before.get(process, 0):.1f} MB before the questions, at most {mb:.1f} MB")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.usage_beside", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--store", required=True, metavar="URL", help="sqlite:///… or postgresql://…, with a history")
    parser.add_argument("--last", default="366d", help="the window that is asked for")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each half of a round")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--answer-ms", type=int, default=40, help="how long the engine takes for an answer")
    return parser


def _p99_us(port: int, load: Load) -> int:
    figures = run(build(), port, load)
    assert figures.latency_us is not None
    assert not figures.errors, figures.first_error
    return figures.latency_us.p99


def _told_ms(values_us: list[int]) -> str:
    values = sorted(value / 1000 for value in values_us)
    return f"{statistics.median(values):.1f} ({values[0]:.1f} to {values[-1]:.1f})"


if __name__ == "__main__":
    main()
