"""What it costs to carry records from the journal to the store: python -m bench.bookkeeper --help.

With SQLite, or with the PostgreSQL that --store names (its tables are emptied before each way; give it a database of
its own); --onto adds to what a store holds already. Three ways, two journal lines per record in each: a backlog carried
over within one process; the same by a bookkeeper's own process; and, by that process then, calls that open and end at
a steady rate while it looks on. With --against the rounds of this and of other versions of the sources alternate, each
in a fresh folder.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import create_engine, inspect

from bench.rig.processes import cpu_us_by_process, rss_bytes
from penstock.config.store_address import FILE_NAME, StoreAddress, read_address, sqlite_address
from penstock.core.accounting.record import CallRecord, Outcome
from penstock.runtime.records.bookkeeper import Bookkeeper
from penstock.runtime.records.bookkeeping import command, environment
from penstock.runtime.records.recorder import uuid7
from penstock.store.journal import Journal
from penstock.store.opening import open_store

HERE = Path(__file__).parents[1] / "src"
IN_FLIGHT = 64
LIVE_S, TURN_S = 10.0, 0.005
LIVE_LAST_S = itertools.cycle([0.02, 0.1, 0.3, 0.6, 2.0])
GATEWAY_ID, BOOT_ID = "g", "this"


def main() -> None:
    args = _parser().parse_args()
    if args.once:
        print(json.dumps(_measure(args.records, args.rate, args.store, args.onto)))
        return
    sources = [HERE, *args.against]
    found: dict[Path, list[dict[str, float]]] = {source: [] for source in sources}
    argv = [sys.executable, "-m", "bench.bookkeeper", "--once", f"--records={args.records}", f"--rate={args.rate}"]
    argv += [] if args.store is None else [f"--store={args.store}"]
    argv += [] if args.onto is None else [f"--onto={args.onto}"]
    for _, source in itertools.product(range(args.rounds), sources):
        environment = {**os.environ, "PYTHONPATH": str(source)}
        said = subprocess.run(argv, env=environment, stdout=subprocess.PIPE, check=True).stdout
        found[source].append(json.loads(said))
    print(f"medians of {args.rounds} rounds; {args.records} records, then {args.rate}/s for {LIVE_S:.0f} s")
    print(f"{'':24}" + "".join(f"{source.resolve().parent.name:>14}" for source in sources))
    for name in found[HERE][0]:
        print(f"{name:24}" + "".join(f"{statistics.median(one[name] for one in found[s]):14.1f}" for s in sources))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.bookkeeper", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--records", type=int, default=200_000, help="in the backlog")
    parser.add_argument("--rate", type=int, default=1000, help="calls per second, for those that are looked on at")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", type=Path, nargs="*", default=[], metavar="SRC", help="src of another version")
    parser.add_argument("--store", metavar="URL", help="postgresql://…; default: SQLite in a new folder")
    parser.add_argument(
        "--onto", metavar="URL", help="sqlite:///… or postgresql://…: it is added to, nothing is emptied"
    )
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    return parser


def _measure(records: int, rate: int, url: str | None, onto: str | None) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        one, two = Path(folder, "one"), Path(folder, "two")
        if onto is not None:
            return {
                **_in_process(one, records, read_address(onto)),
                **_as_child(two, records, rate, read_address(onto)),
            }
        found = _in_process(one, records, _address(one, url))
        return {**found, **_as_child(two, records, rate, _address(two, url))}


def _address(state_dir: Path, url: str | None) -> StoreAddress:
    """A store with nothing in it."""
    if url is None:
        return sqlite_address(state_dir / FILE_NAME)
    engine = create_engine(url)
    with engine.begin() as connection:
        if inspect(connection).has_table("calls"):
            connection.exec_driver_sql("TRUNCATE calls, journal_checkpoint")
    engine.dispose()
    return read_address(url)


def _in_process(state_dir: Path, records: int, address: StoreAddress) -> dict[str, float]:
    _write_backlog(state_dir, records)
    store = open_store(address)
    store.prepare()
    known = store.count()
    bookkeeper = Bookkeeper(state_dir / "journal", store, gateway_id=GATEWAY_ID, boot_id=BOOT_ID)
    bookkeeper.prepare()
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    while bookkeeper.carry_over():
        pass
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    assert store.count() - known == bookkeeper.status.records == records
    store.close()
    return {"in process: records/s": records / wall_s, "in process: cpu_us": cpu_s / records * 1e6}


def _as_child(state_dir: Path, records: int, rate: int, address: StoreAddress) -> dict[str, float]:
    _write_backlog(state_dir, records)
    backlog, journal = state_dir / "backlog", state_dir / "journal"
    journal.rename(backlog)
    environ = {**os.environ, **environment(address)}
    argv = command(state_dir, gateway_id=GATEWAY_ID, boot_id=BOOT_ID)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ) as child:
        wait = _waiter(child)
        wait(lambda status: status["store"] == "ok")
        started_s, before_us = time.perf_counter(), _cpu_us(child)
        backlog.rename(journal)
        while len(os.listdir(journal)) > 1:
            time.sleep(0.01)
        wall_s, cpu_us = time.perf_counter() - started_s, _cpu_us(child) - before_us
        wait(lambda status: status["records"] == records)
        memory_mb, before_us = rss_bytes(child.pid) / 1e6, _cpu_us(child)
        live = _write_live(state_dir, rate)
        wait(lambda status: status["records"] == records + live)
        live_us = _cpu_us(child) - before_us
    return {
        "child: records/s": records / wall_s,
        "child: cpu_us": cpu_us / records,
        "child: rss_mb": memory_mb,
        "looking on: cpu_us": live_us / live,
    }


def _waiter(child: subprocess.Popen[bytes]) -> Callable[[Callable[[dict[str, object]], bool]], None]:
    assert child.stdout is not None
    statuses = map(json.loads, child.stdout)
    return lambda is_awaited: next(None for status in statuses if is_awaited(status))


def _cpu_us(child: subprocess.Popen[bytes]) -> float:
    return cpu_us_by_process(child.pid)[child.pid]


def _write_backlog(state_dir: Path, records: int) -> None:
    """Of an earlier boot: its segments are deleted to the last one, which tells when all is done. Ours is empty."""
    journal = Journal(state_dir, boot_id="earlier", reserve_bytes=0)
    running: list[CallRecord] = []
    for call in itertools.islice(_calls("earlier"), records):
        journal.opened(call)
        running.append(call)
        if len(running) == IN_FLIGHT:
            _end(journal, running[: IN_FLIGHT // 8])
            del running[: IN_FLIGHT // 8]
            journal.flush()
    _end(journal, running)
    journal.close()
    Journal(state_dir, boot_id=BOOT_ID, reserve_bytes=0).close()


def _write_live(state_dir: Path, rate: int) -> int:
    """Open and end calls as time passes; return how many."""
    journal = Journal(state_dir, boot_id=BOOT_ID, reserve_bytes=0)
    running: list[tuple[float, str, CallRecord]] = []
    calls, started_s, count = _calls(BOOT_ID), time.perf_counter(), 0
    while running or count < rate * LIVE_S:
        now_s = time.perf_counter() - started_s
        for call in itertools.islice(calls, max(0, int(min(now_s, LIVE_S) * rate) - count)):
            journal.opened(call)
            heapq.heappush(running, (now_s + next(LIVE_LAST_S), call.id, call))
            count += 1
        while running and running[0][0] <= now_s:
            _end(journal, [heapq.heappop(running)[2]])
        journal.flush()
        time.sleep(TURN_S)
    journal.close()
    return count


def _calls(boot_id: str) -> Iterator[CallRecord]:
    for number in itertools.count():
        now = time.time()
        call = CallRecord(uuid7(now), "g", boot_id, "0.1.0", now, "POST", "/v1/chat/completions", "openai", "127.0.0.1")
        call.key, call.key_fingerprint = f"key-{number % 20}", "a1b2c3d4e5f6"
        call.model = call.model_requested = f"model-{number % 5}"
        call.engine, call.streamed, call.priority, call.cost = f"{call.model}/1", True, "normal", 1.0
        call.prompt_tokens_estimated, call.position_at_entry = 77, 0
        call.enqueued_s, call.admitted_s, call.sent_s = 0.00030, 0.00031, 0.00040
        yield call


def _end(journal: Journal, calls: list[CallRecord]) -> None:
    for call in calls:
        call.first_byte_s, call.first_token_s, call.done_s = 0.1123, 0.11245, 1.23456789
        call.outcome, call.http_status, call.response_content_type = Outcome.COMPLETED, 200, "text/event-stream"
        call.request_bytes, call.response_bytes = 886, 24_000
        call.prompt_tokens, call.cached_tokens, call.completion_tokens = 80, 12, 100
        call.token_source, call.engine_prompt_ms, call.engine_decode_ms = "engine", 12.5, 980.25
        call.finish_reason, call.caused_load, call.waited_for_load = "stop", False, False
        journal.closed(call)


if __name__ == "__main__":
    main()
