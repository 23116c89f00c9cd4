"""How long the questions of a dashboard take on a long history: python -m bench.usage --help.

A history of 90 days is made (bench/history.py), written into SQLite and, where it can be had, PostgreSQL, and rolled up
by the bookkeeper's own code. A store that has calls already is asked as it is. Then every question is asked four times;
the fastest of the last three is told, and the CPU time of this process beside it: on a machine that others use too, the
rest is theirs. PostgreSQL's own work is in the time alone.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench.history import fill
from penstock.config.store_address import FILE_NAME, StoreAddress, read_address, sqlite_address
from penstock.store.postgres import PostgresStore
from penstock.store.queries.asking import Asked, span_s
from penstock.store.queries.courses import Filter
from penstock.store.queries.queries import Queries
from penstock.store.queries.roller import Roller
from penstock.store.queries.tables import HOUR, SPANS
from penstock.store.sqlite import SqliteStore

WINDOWS = ("30m", "24h", "7d", "90d", "366d")
GOAL_MS = {"30m": 200, "24h": 200, "7d": 1000, "90d": 1000}


def main() -> None:
    args = _parser().parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with ExitStack() as stack:
        folder = args.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-usage-")))
        for kind in args.stores.split(","):
            address = sqlite_address(folder / FILE_NAME) if kind == "sqlite" else _postgres(args.url, stack)
            print(f"\n{kind}")
            _prepare(address, args.records, args.days)
            if not args.only_build:
                _ask_all(address)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.usage", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--stores", default="sqlite,postgres")
    parser.add_argument("--url", help="of a PostgreSQL database; else a server is started for a while")
    parser.add_argument("--folder", type=Path, help=f"where {FILE_NAME} is, or is made and left; else one for a while")
    parser.add_argument("--only-build", action="store_true", help="ask nothing")
    return parser


def _postgres(url: str | None, stack: ExitStack) -> StoreAddress:
    from tests.store.postgres_server import a_postgres_server

    return read_address(url or stack.enter_context(a_postgres_server()).new_database())


def _prepare(address: StoreAddress, records: int, days: int) -> None:
    """The store is filled, if it is empty, and all of it rolled up."""
    store = PostgresStore(address.url) if address.path is None else SqliteStore(address.path)
    store.prepare()
    if not store.latest(1):
        _told("written", records, lambda: fill(store, records, days, int(time.time()) // HOUR * HOUR))
    roller = Roller(store, settled_after_s=dict.fromkeys(SPANS, 0.0), rest_s=0.0)
    roller.prepare()
    _told("rolled up", records, lambda: _roll(roller))
    print(f"{store.count()} calls, {store.used_bytes() / 1e6:.0f} MB, rollups among them in SQLite")
    store.close()


def _told(what: str, records: int, do: Callable[[], object]) -> None:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    do()
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    print(
        f"{what} in {wall_s:.0f} s ({records / wall_s:.0f}/s), {1e6 * cpu_s / records:.0f} us of CPU each", flush=True
    )


def _roll(roller: Roller) -> None:
    while roller.step():
        pass


def _ask_all(address: StoreAddress) -> None:
    store = PostgresStore(address.url) if address.path is None else SqliteStore(address.path)
    now = store.latest(1)[0].received_at - 1234.5  # about the history's end, and no round time
    store.close()
    queries = Queries(address, limit_s=60.0, now=lambda: now)
    print(f"{'ms, warm (of CPU)':34}" + "".join(f"{last:>13}" for last in WINDOWS))
    for name, ask in _questions(queries).items():
        told = [_told_ms(last, *_warm_ms(ask, Asked(now - span_s(last), now, last))) for last in WINDOWS]
        print(f"{name:34}" + "".join(told))
    print(f"memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most")
    queries.close()


def _questions(queries: Queries) -> dict[str, Callable[[Asked], object]]:
    def only(filter_: Filter, ask: Callable[[Asked], object]) -> Callable[[Asked], object]:
        return lambda asked: ask(Asked(asked.since, asked.until, asked.last, filter_))

    rare = Filter(key="key-1", outcome="deadline", workload="nightly")
    return {
        "now": lambda _: queries.now(),
        "health": lambda _: queries.health(),
        "timeline": queries.timeline,
        "timeline of a model": only(Filter(model="model-1"), queries.timeline),
        "timeline of a key and outcome": only(Filter(key="key-1", outcome="completed"), queries.timeline),
        "models": queries.models,
        "models of a key": only(Filter(key="key-1"), queries.models),
        "models of a workload": only(Filter(workload="nightly"), queries.models),
        "perf": queries.perf,
        "perf of a key": only(Filter(key="key-1"), queries.perf),
        "consumers": queries.consumers,
        "consumers of a model": only(Filter(model="model-1"), queries.consumers),
        "workloads": queries.workloads,
        "requests": lambda asked: queries.requests(asked, limit=500),
        "requests of a key": lambda asked: queries.requests(None, filter=Filter(key="key-1"), limit=500),
        "requests of a workload": lambda asked: queries.requests(None, filter=Filter(workload="chat"), limit=500),
        "requests of few": lambda asked: queries.requests(asked, filter=rare, limit=500),
        "requests of nobody": lambda asked: queries.requests(asked, filter=Filter(outcome="interrupted"), limit=500),
        "requests that are open": lambda asked: queries.requests(None, only_open=True, limit=500),
        "loads": queries.loads,
        "hosts": queries.hosts,
    }


def _warm_ms(ask: Callable[[Asked], object], asked: Asked) -> tuple[float, float]:
    """Of wall clock and of CPU."""
    ask(asked)
    return min(_timed_ms(lambda: ask(asked)) for _ in range(3))


def _timed_ms(do: Callable[[], object]) -> tuple[float, float]:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    do()
    return 1000 * (time.perf_counter() - wall_s), 1000 * (time.process_time() - cpu_s)


def _told_ms(last: str, wall_ms: float, cpu_ms: float) -> str:
    mark = "!" if wall_ms > GOAL_MS.get(last, wall_ms) else " "
    return f"{wall_ms:6.0f}{mark}({cpu_ms:4.0f})"


if __name__ == "__main__":
    os.nice(5)
    main()
