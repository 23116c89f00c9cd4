"""How long the questions of a dashboard take on a long history: python -m bench.usage --help.

A history of 90 days is made (five models, twenty keys, four workloads, calls of seconds to minutes that overlap; more
by day than by night), carried into SQLite and, where it can be had, PostgreSQL, and rolled up by the bookkeeper's own
code. Then every question is asked four times; the fastest of the last three is told: on a machine that others use too,
the rest is theirs.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from penstock.config.store_address import StoreAddress, read_address, sqlite_address
from penstock.core.load_record import LoadRecord
from penstock.runtime.recorder import uuid7
from penstock.store.base import Checkpoint
from penstock.store.postgres import PostgresStore
from penstock.store.queries.asking import DAY_S, Asked, span_s
from penstock.store.queries.courses import Filter
from penstock.store.queries.queries import Queries
from penstock.store.queries.roller import Roller
from penstock.store.queries.tables import SPANS
from penstock.store.rows import COLUMNS, LOAD_COLUMNS, Row, Value
from penstock.store.sqlite import SqliteStore

BATCH = 20_000
DAYS = 90
HERE = Checkpoint("g", "00000001-b.jsonl", 1)
WINDOWS = ("30m", "24h", "7d", "90d")
GOAL_MS = {"30m": 200, "24h": 200, "7d": 1000, "90d": 1000}

OUTCOMES = (("completed", 90), ("client_abandoned", 4), ("upstream_error", 2), ("rejected_quota", 3), ("deadline", 1))


def main() -> None:
    args = _parser().parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    now = time.time()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-usage-", dir=args.folder)))
        for kind in args.stores.split(","):
            if kind == "sqlite":
                path = folder / "penstock.db"
                _measure(kind, SqliteStore(path), sqlite_address(path), args.records, now)
            else:
                url = args.url or _postgres(stack)
                _measure(kind, PostgresStore(url), read_address(url), args.records, now)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.usage", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--stores", default="sqlite,postgres")
    parser.add_argument("--url", help="of an empty PostgreSQL database; else one is made")
    parser.add_argument("--folder", type=Path, help="where the files are made")
    return parser


def _postgres(stack: ExitStack) -> str:
    from tests.store.postgres_server import a_postgres_server

    return stack.enter_context(a_postgres_server()).new_database()


def _measure(kind: str, store: SqliteStore | PostgresStore, address: StoreAddress, records: int, now: float) -> None:
    store.prepare()
    roller = Roller(store, now=lambda: now, settled_after_s=dict.fromkeys(SPANS, 0.0), rest_s=0.0)
    roller.prepare()
    filled_s = _timed(lambda: _fill(store, records, now))
    rolled_s = _timed(lambda: _roll(roller))
    size_mb = store.used_bytes() / 1e6
    print(f"\n{kind}: {records} records in {filled_s:.0f} s ({records / filled_s:.0f}/s), ", end="")
    print(f"rolled up in {rolled_s:.0f} s ({records / rolled_s:.0f}/s), {size_mb:.0f} MB")
    store.close()
    queries = Queries(address, limit_s=60.0, now=lambda: now)
    questions = _questions(queries)
    print(f"{'ms, warm':34}" + "".join(f"{last:>9}" for last in WINDOWS))
    for name, ask in questions.items():
        found = [_warm_ms(ask, Asked(now - span_s(last), now, last)) for last in WINDOWS]
        marks = ["!" if ms > GOAL_MS[last] else " " for ms, last in zip(found, WINDOWS, strict=True)]
        print(f"{name:34}" + "".join(f"{ms:8.0f}{mark}" for ms, mark in zip(found, marks, strict=True)))
    print(f"memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most")
    queries.close()


def _questions(queries: Queries) -> dict[str, Callable[[Asked], object]]:
    def only(filter_: Filter, ask: Callable[[Asked], object]) -> Callable[[Asked], object]:
        return lambda asked: ask(Asked(asked.since, asked.until, asked.last, filter_))

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
        "consumers": queries.consumers,
        "consumers of a model": only(Filter(model="model-1"), queries.consumers),
        "workloads": queries.workloads,
        "requests": lambda asked: queries.requests(asked, limit=500),
        "requests of a key": lambda asked: queries.requests(None, filter=Filter(key="key-1"), limit=500),
        "loads": queries.loads,
        "hosts": queries.hosts,
    }


def _warm_ms(ask: Callable[[Asked], object], asked: Asked) -> float:
    ask(asked)
    return 1000 * min(_timed(lambda: ask(asked)) for _ in range(3))


def _timed(do: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    do()
    return time.perf_counter() - started_s


def _roll(roller: Roller) -> None:
    while roller.step():
        pass


def _fill(store: SqliteStore | PostgresStore, records: int, now: float) -> None:
    rows = _rows(records, now)
    loads = _loads(now)
    while batch := list(itertools.islice(rows, BATCH)):
        store.upsert(batch, [], HERE, loads=loads)
        loads = []


def _loads(now: float) -> list[Row]:
    made = []
    for number, at in itertools.product(range(5), range(DAYS)):
        load = LoadRecord(uuid7(now), "g", "b", f"model-{number}", now - DAY_S * at, outcome="ready", done_s=12.5)
        values = [getattr(load, name) for name in LOAD_COLUMNS]
        devices, victims = LOAD_COLUMNS.index("devices"), LOAD_COLUMNS.index("victims")
        values[devices], values[victims] = f'["gpu{number % 2}"]', "[]"
        made.append(tuple(values))
    return made


def _rows(records: int, now: float) -> Iterator[Row]:
    """In the order in which calls came."""
    chance = random.Random(7)
    ids = random.Random(8)
    outcomes = random.Random(9).choices([name for name, _ in OUTCOMES], [weight for _, weight in OUTCOMES], k=4096)
    at = {name: index for index, name in enumerate(COLUMNS)}
    empty: list[Value] = [None] * len(COLUMNS)
    step_s = DAYS * DAY_S / records
    for number in range(records):
        even = now - DAYS * DAY_S + number * step_s
        received_at = even + 3 * 3600 * math.sin(even / DAY_S * 2 * math.pi)  # bunched together by day
        if received_at >= now:
            received_at = even
        outcome = outcomes[number % 4096]
        row = empty.copy()
        wait_s = 0.0 if number % 3 else chance.expovariate(1 / 4.0)
        took_s = chance.lognormvariate(1.5, 1.2)
        key = int(20 * chance.random() ** 2)
        model = (key + number % 3) % 5
        known: dict[str, Value] = {
            "id": f"{ids.getrandbits(96):024x}{number:08x}", "gateway_id": "g", "boot_id": "b",
            "gateway_version": "0.1.0", "received_at": received_at, "method": "POST",
            "path": "/v1/chat/completions", "dialect": "openai", "client_address": "127.0.0.1", "key": f"key-{key}",
            "key_fingerprint": f"{key:08x}", "workload": (None, "nightly", "chat", "agent")[key % 4], "count": 1,
            "model_requested": f"model-{model}", "model": f"model-{model}", "streamed": True, "priority": "normal",
            "wait_reasons": "{}" if not wait_s else f'{{"model_cap":{wait_s:.6f}}}', "outcome": outcome,
            "http_status": 200, "request_bytes": 900, "response_bytes": 24_000, "done_s": wait_s + took_s,
        }  # fmt: skip
        if not outcome.startswith("rejected"):
            known |= {
                "enqueued_s": 0.0003, "admitted_s": 0.0004 + wait_s, "sent_s": 0.0005 + wait_s,
                "first_byte_s": wait_s + took_s * 0.1, "first_token_s": wait_s + took_s * 0.1,
                "prompt_tokens": chance.randrange(20, 8000), "cached_tokens": chance.randrange(0, 20),
                "completion_tokens": int(took_s * 30), "engine": f"model-{model}/1", "caused_load": False,
                "waited_for_load": False, "token_source": "usage", "finish_reason": "stop",
            }  # fmt: skip
        for name, value in known.items():
            row[at[name]] = value
        yield tuple(row)


if __name__ == "__main__":
    os.nice(5)
    main()
