"""What large bodies cost, and whom they hold up: python -m bench.bodies --help.

Bodies of 20 MB of every shape, and answers of that size, one after the other through a gateway with everything on.
*cpu*: of the gateway, for one body. *held*: the longest time for which its event loop could do nothing else, because
it was at work itself or another of its threads had the interpreter; *own*: the first of these alone; *late*: the same
with what the machine was busy with otherwise. Then eight bodies at once, and how long small calls beside them take.
"""

from __future__ import annotations

import argparse
import http.client
import statistics
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.large import Case, answers, engine, requests
from bench.rig.build import Programs, build
from bench.rig.client import Load, run
from bench.rig.processes import PROC, cpu_us_by_process
from bench.rig.proxies import penstock, upstream
from bench.watched import longest, watching

MB = 1_000_000
AIM_CPU_MS, AIM_BLOCK_MS = 80.0, 25.0
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Gateway:
    """One that runs, with what is changed in its requests."""

    port: int
    pid: int
    watch: Path


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of one request, and by how many megabytes the gateway grew."""

    cpu_ms: float
    held_ms: float
    own_ms: float
    late_ms: float
    grown_mb: float


def main() -> None:
    args = _parser().parse_args()
    programs = build()
    print(f"aims: {AIM_CPU_MS:g} ms of CPU, held {AIM_BLOCK_MS:g} ms; of {args.times}: least / median")
    with upstream(programs, 0) as small, engine() as large:
        for title, settings, limits in VARIANTS[: args.variants]:
            model = {"upstream": f"http://127.0.0.1:{small}", **settings}
            models = {"bench": model, "large": {"upstream": f"http://127.0.0.1:{large}"}}
            print(f"\n{title}\n{'':36}{'MB':>6}{'cpu':>14}{'held':>14}{'own':>14}{'late':>14}{'grown MB':>10}")
            with running({"models": models, "limits": limits}) as gateway:
                is_first = not settings and not limits
                _table(gateway, (*requests(), *answers()) if is_first else requests(), args.times)
                if is_first:
                    _beside(programs, gateway)


VARIANTS: tuple[tuple[str, dict[str, object], dict[str, object]], ...] = (
    ("As they are", {}, {}),
    (
        "With another name for the engine, and a member set",
        {"use_model_name": "other", "filters": {"set_params": {"temperature": 0.5}}},
        {},
    ),
    ("Kept in memory", {}, {"spool": "100MiB"}),
)
"""What is measured: a title, settings of the model, limits."""


@contextmanager
def running(config: dict[str, object]) -> Iterator[Gateway]:
    with tempfile.TemporaryDirectory() as folder:
        watch = Path(folder) / "watch"
        watch.write_bytes(bytes(24))
        with penstock(config, Path(folder) / "gateway", program=("bench.watched", str(watch))) as target:
            yield Gateway(target.port, target.pid or 0, watch)


def _table(gateway: Gateway, cases: Iterable[Case], times: int) -> None:
    for case in cases:
        ask(gateway.port, case)
        found = [cost(gateway, case) for _ in range(times)]
        columns = [[each.cpu_ms for each in found], [each.held_ms for each in found]]
        columns += [[each.own_ms for each in found], [each.late_ms for each in found]]
        cells = "".join(f"{min(column):8.1f}/{statistics.median(column):5.1f}" for column in columns)
        grown_mb = max(each.grown_mb for each in found)
        print(f"{case.name:36}{len(case.body) / MB:6.1f}{cells}{grown_mb:10.1f}", flush=True)


def cost(gateway: Gateway, case: Case) -> Cost:
    idle_s = 0.2
    before_us, rss = cpu_us_by_process(gateway.pid)[gateway.pid], own_bytes(gateway.pid)
    time.sleep(idle_s)
    began_us, began_s = cpu_us_by_process(gateway.pid)[gateway.pid], time.monotonic()
    with watching(gateway.watch):
        ask(gateway.port, case)
        time.sleep(0.05)  # the last of it goes after the answer
    took_us, took_s = cpu_us_by_process(gateway.pid)[gateway.pid] - began_us, time.monotonic() - began_s
    watch_us = (began_us - before_us) * took_s / idle_s
    found = longest(gateway.watch)
    grown = own_bytes(gateway.pid) - rss
    return Cost((took_us - watch_us) / 1e3, 1e3 * found.held_s, 1e3 * found.own_s, 1e3 * found.late_s, grown / MB)


def own_bytes(pid: int) -> int:
    """Memory of the process alone; pages of files, which the kernel may take back, do not count."""
    lines = (PROC / str(pid) / "status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def ask(port: int, case: Case) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = case.body.replace(b'"bench"', b'"large"', 1) if case.answer else case.body
    connection.request("POST", case.path, body, {"content-type": case.content_type, "x-answer": case.answer})
    answer = connection.getresponse()
    while answer.read(MB):
        pass
    connection.close()
    if answer.status not in case.statuses:
        raise SystemExit(f"bench: status {answer.status} for {case.name}")


def _beside(programs: Programs, gateway: Gateway) -> None:
    """Small calls, one after the other, alone and beside large bodies, `AT_ONCE` at a time and without end."""
    for name, bodies in (("alone", ()), ("beside 8 bodies", tuple(requests())[:6])):
        stop = threading.Event()

        def send(number: int, bodies: tuple[Case, ...] = bodies, stop: threading.Event = stop) -> int:
            sent = 0
            while bodies and not stop.is_set():
                ask(gateway.port, bodies[(number + sent) % len(bodies)])
                sent += 1
            return sent

        with ThreadPoolExecutor(AT_ONCE) as senders:
            sent = [senders.submit(send, number) for number in range(AT_ONCE)]
            before = own_bytes(gateway.pid)
            with watching(gateway.watch):
                figures = run(programs, gateway.port, Load(1, seconds=5.0))
            grown_mb, block = (own_bytes(gateway.pid) - before) / MB, longest(gateway.watch)
            stop.set()
        total = sum(each.result() for each in sent)
        latency = figures.latency_us
        assert latency is not None, "it asked for seconds"
        print(
            f"small calls {name}: {figures.requests} in {figures.seconds:.1f} s, {figures.errors} errors, "
            f"latency p50 {latency.p50 / 1e3:.2f}, p99 {latency.p99 / 1e3:.2f}, most {latency.max / 1e3:.2f} ms; "
            f"{total} bodies, grown {grown_mb:.1f} MB; "
            f"held {1e3 * block.held_s:.1f}, own {1e3 * block.own_s:.1f}, late {1e3 * block.late_s:.1f} ms",
            flush=True,
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.bodies", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--times", type=int, default=7, help="how often each is sent")
    parser.add_argument("--variants", type=int, default=len(VARIANTS), help="how many of the three variants")
    return parser


if __name__ == "__main__":
    main()
