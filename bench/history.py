"""A long history for a store: calls, loads and readings of the host of many days.

One day of calls is made and rolled up. All others are copies of it, made by the database itself, rollups of minutes and
hours included: so ten million calls take minutes. Around each midnight, where a copy meets the next one, and for all
days and weeks, the rollups are left to be made by the bookkeeper's own code.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, Table

from penstock.core.accounting.host_sample import HostSample
from penstock.core.accounting.load_record import LoadRecord
from penstock.runtime.records.recorder import uuid7
from penstock.store.base import Checkpoint
from penstock.store.postgres import PostgresStore
from penstock.store.queries.dirty import mark
from penstock.store.queries.roller import Roller
from penstock.store.queries.tables import DAY, HOUR, MINUTE, SPANS, rollup_curves, rollup_sums
from penstock.store.rows import COLUMNS, LOAD_COLUMNS, SAMPLE_COLUMNS, Row, Value
from penstock.store.schema import calls
from penstock.store.sqlite import SqliteStore

MODELS, KEYS = 5, 20
WORKLOADS = (None, "nightly", "chat", "agent")
OUTCOMES = (("completed", 90), ("client_abandoned", 4), ("upstream_error", 2), ("rejected_quota", 3), ("deadline", 1))
SAMPLED_DAYS, SAMPLED_EVERY_S = 30, 5
"""As a gateway does that was told nothing else."""

BESIDE_A_SEAM = (-25, 25)
"""Minutes. No call lasts longer, but for a handful."""

FOREVER_S = 1e12
BATCH = 20_000
GATEWAY_ID, BOOT_ID = "g", "history"
HERE = Checkpoint(GATEWAY_ID, "00000001-history.jsonl", 1)


AnyStore = SqliteStore | PostgresStore


def fill(store: AnyStore, records: int, days: int, end: int) -> None:
    """Calls of `days` up to `end`, a full hour, and what else a gateway writes; the rest of the rollups is due then."""
    for batch in _batches(_calls(records // days, end)):
        store.upsert(batch, [], HERE)
    store.upsert([], [], HERE, loads=list(_loads(days, end)))
    for batch in _batches(_samples(min(days, SAMPLED_DAYS), end)):
        store.upsert([], [], HERE, samples=batch)
    roller = Roller(store, settled_after_s={**dict.fromkeys(SPANS, 0.0), DAY: FOREVER_S}, rest_s=0.0)
    roller.prepare()
    while roller.step():
        pass
    with store.transaction() as connection:
        triggers = _without_triggers(connection)
    for day in range(1, days):
        with store.transaction() as connection:
            _copy(connection, end, day)
    with store.transaction() as connection:
        for trigger in triggers:
            connection.exec_driver_sql(trigger)
        seams = (end - day * DAY + minute * MINUTE for day in range(1, days) for minute in range(*BESIDE_A_SEAM))
        mark(connection, MINUTE, set(seams), is_changed=False)
        mark(connection, DAY, {(end - 1) // DAY * DAY - day * DAY for day in range(days + 1)}, is_changed=False)


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(itertools.islice(rows, BATCH)):
        yield batch


def _without_triggers(connection: Connection) -> list[str]:
    """Nobody has to note what is copied together with its rollups; gives what brings them back."""
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql("ALTER TABLE calls DISABLE TRIGGER USER")
        return ["ALTER TABLE calls ENABLE TRIGGER USER"]
    found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").all()
    for name, _ in found:
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
    return [sql for _, sql in found]


def _copy(connection: Connection, end: int, day: int) -> None:
    """The last day, so many days earlier."""
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    first, shift = end - DAY, day * DAY
    new_id = {"id": f"'0{100 - day:03}-' || substr(id, 6)"}  # older than all that are made now, and as long
    _copy_rows(connection, calls, "received_at", f"received_at >= {first}", shift, new_id)
    _copy_rows(connection, rollup_sums, "start_at", f"start_at >= {first} AND span_s < {DAY}", shift, {})
    of_minutes = f'span_s = {MINUTE} AND "at" >= {first} AND received >= {first}'
    _copy_rows(connection, rollup_curves, "at", of_minutes, shift, {"received": f"received - {shift}"})
    of_hours = f'span_s = {HOUR} AND "at" >= {first} AND "at" < {end}'
    _copy_rows(connection, rollup_curves, "at", of_hours, shift, {})


def _copy_rows(
    connection: Connection, table: Table, at: str, chosen: str, shift: int, changed: Mapping[str, str]
) -> None:
    told = {at: f'"{at}" - {shift}', **changed}
    columns = ", ".join(f'"{column.name}"' for column in table.c)
    values = ", ".join(told.get(column.name, f'"{column.name}"') for column in table.c)
    connection.exec_driver_sql(
        f'INSERT INTO {table.name} ({columns}) SELECT {values} FROM {table.name} WHERE {chosen} ORDER BY "{at}"'
    )


def _calls(records: int, end: int) -> Iterator[Row]:
    """Of a day, in the order in which they came: of seconds to minutes, overlapping, half of them in a few hours."""
    chance = random.Random(7)
    outcomes = chance.choices([name for name, _ in OUTCOMES], [weight for _, weight in OUTCOMES], k=4096)
    for number in range(records):
        even = number / records
        received_at = end - DAY + DAY * (even + 0.12 * math.sin(2 * math.pi * even))
        yield _call(number, received_at, outcomes[number % 4096], chance)


_AT = {name: index for index, name in enumerate(COLUMNS)}
_SAME: dict[str, Value] = {
    "gateway_id": GATEWAY_ID, "boot_id": BOOT_ID, "gateway_version": "0.1.0", "method": "POST",
    "path": "/v1/chat/completions", "dialect": "openai", "client_address": "127.0.0.1", "count": 1, "streamed": True,
    "priority": "normal", "http_status": 200, "request_bytes": 900, "response_bytes": 24_000, "wait_reasons": "{}",
}  # fmt: skip
_EMPTY = [_SAME.get(name) for name in COLUMNS]


def _call(number: int, received_at: float, outcome: str, chance: random.Random) -> Row:
    wait_s = 0.0 if number % 3 else chance.expovariate(1 / 4.0)
    took_s = chance.lognormvariate(1.5, 1.2)
    key = int(KEYS * chance.random() ** 2)
    model = (key + number % 3) % MODELS
    known: dict[str, Value] = {
        "id": uuid7(received_at), "received_at": received_at, "key": f"key-{key}", "key_fingerprint": f"{key:08x}",
        "workload": WORKLOADS[key % 4], "model_requested": f"model-{model}", "model": f"model-{model}",
        "outcome": outcome, "done_s": wait_s + took_s,
    }  # fmt: skip
    if wait_s:
        known["wait_reasons"] = f'{{"model_cap":{wait_s:.6f}}}'
    if not outcome.startswith("rejected"):
        first_s = wait_s + took_s * 0.1
        known |= {
            "enqueued_s": 0.0003, "admitted_s": 0.0004 + wait_s, "sent_s": 0.0005 + wait_s,
            "first_byte_s": first_s, "first_token_s": first_s,
            "prompt_tokens": 20 + int(8000 * chance.random()), "cached_tokens": int(20 * chance.random()),
            "completion_tokens": int(took_s * 30), "engine": f"model-{model}/1", "caused_load": False,
            "waited_for_load": False, "token_source": "usage", "finish_reason": "stop",
        }  # fmt: skip
    row = _EMPTY.copy()
    for name, value in known.items():
        row[_AT[name]] = value
    return tuple(row)


def _loads(days: int, end: int) -> Iterator[Row]:
    """Two models share a device, and the other three."""
    for model, day in itertools.product(range(MODELS), range(days)):
        load = LoadRecord(
            uuid7(end - DAY * day), GATEWAY_ID, BOOT_ID, f"model-{model}", end - DAY * day, outcome="ready",
            done_s=12.5, engine=f"model-{model}/1",
        )  # fmt: skip
        told = {"devices": f'["gpu{model % 2}"]', "victims": "[]"}
        yield tuple(told.get(name, getattr(load, name)) for name in LOAD_COLUMNS)


def _samples(days: int, end: int) -> Iterator[Row]:
    engines = ",".join(
        f'{{"engine":"model-{model}/1","model":"model-{model}","pid":{4000 + model},"cpu_pct":12.5,'
        '"resident_bytes":9123456789,"footprint_bytes":9876543210,"device_memory_bytes":8123456789}'
        for model in range(MODELS)
    )
    device = '{"name":"gpu0","use_pct":71.5,"memory_used_bytes":61234567890,"memory_total_bytes":85899345920}'
    chance = random.Random(9)
    for number in range(int(days * DAY / SAMPLED_EVERY_S)):
        at = end - days * DAY + number * SAMPLED_EVERY_S
        sample = HostSample(
            uuid7(at), GATEWAY_ID, BOOT_ID, "here", at, cpu_pct=40 * chance.random(), ram_total_bytes=128 << 30,
            ram_available_bytes=64 << 30, gpu_pct=100 * chance.random(), gpu_memory_used_bytes=61 << 30,
            gpu_memory_total_bytes=80 << 30, power_w=300 + 100 * chance.random(),
        )  # fmt: skip
        told = {"devices": f"[{device}]", "engines": f"[{engines}]"}
        yield tuple(told.get(name, getattr(sample, name)) for name in SAMPLE_COLUMNS)
