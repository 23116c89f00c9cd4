"""The views in Overlaat's shape, asked of both databases as its own queries ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from penstock.core.accounting.record import CallRecord
from penstock.store.base import Checkpoint, Store
from penstock.store.sqlite import SqliteStore
from tests.store.both import KINDS, new_url, prepared
from tests.store.some_calls import a_load, a_sample, an_open_call, ended, rows
from tests.store.test_stores import noted

HERE = Checkpoint("g", "s", 1)
AT = 1_700_000_000.25
REQUEST_EVENTS = (
    "id t_enqueue t_acquire t_first_token t_done model_requested key_fp streamed outcome http_status prompt_tokens "
    "completion_tokens overlaat_version priority cost wait_reason pool workload cached_tokens"
)
HOST_SAMPLES = (
    "ts gpu_pct gpu_freq_mhz ram_total_gb ram_wired_gb ram_active_gb ram_inactive_gb ram_compressed_gb ram_free_gb "
    "cpu_load1 cpu_load5 backends_json"
)


class Database:
    """A prepared store and the way into it that any other reader has."""

    def __init__(self, store: Store, url: str) -> None:
        self.store = store
        self.engine: Engine = create_engine(url)

    def ask(self, question: str) -> list[dict[str, object]]:
        with self.engine.begin() as connection:
            return [dict(row._mapping) for row in connection.exec_driver_sql(question)]


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = new_url(request.param, tmp_path, request)
    with prepared(url) as store:
        database = Database(store, url)
        yield database
        database.engine.dispose()


def a_served_call() -> CallRecord:
    call = ended(an_open_call())
    call.model_requested, call.model, call.key_fingerprint, call.streamed = "alias", "m", "a1b2c3d4", True
    call.enqueued_s, call.admitted_s, call.first_token_s, call.done_s = 0.25, 0.75, 1.0, 2.0
    call.http_status, call.prompt_tokens, call.completion_tokens, call.cached_tokens = 200, 10, 20, 0
    call.priority, call.cost, call.pool, call.workload = "low", 0.25, "default", "batch"
    call.wait_reasons = {"model_cap": 0.1, "loading": 0.3, "hold": 0.1}
    return call


def test_a_served_call_is_one_event_with_its_moments_as_epoch_seconds(database: Database) -> None:
    database.store.upsert(rows(a_served_call()), [], HERE)
    (event,) = database.ask("SELECT * FROM request_events")
    assert " ".join(event) == REQUEST_EVENTS
    moments = [AT + 0.25, AT + 0.75, AT + 1.0, AT + 2.0]
    assert [event[name] for name in ("t_enqueue", "t_acquire", "t_first_token", "t_done")] == moments
    told = {name: event[name] for name in ("model_requested", "key_fp", "outcome", "wait_reason", "priority", "cost")}
    assert told == {
        "model_requested": "alias", "key_fp": "a1b2c3d4", "outcome": "completed", "wait_reason": "loading",
        "priority": -1, "cost": 0.25,
    }  # fmt: skip
    assert (event["streamed"], event["cached_tokens"], event["overlaat_version"]) == (True, 0, "0.1.0")


def test_what_is_unknown_stays_unknown_and_what_still_runs_is_no_event(database: Database) -> None:
    refused, cut, running, unread = (an_open_call(name) for name in ("refused", "cut", "running", "unread"))
    for call in (refused, cut, running):
        call.model_requested = "m"
    refused = ended(refused, "rejected_breaker")
    cut.outcome = "interrupted"
    cut.enqueued_s = 0.5
    database.store.upsert(rows(refused, cut, running, ended(unread, "rejected_invalid")), [], HERE)
    asked = "SELECT id, outcome, key_fp, t_acquire, t_done, wait_reason, prompt_tokens, priority, streamed"
    events = {event.pop("id"): list(event.values()) for event in database.ask(f"{asked} FROM request_events")}
    assert events == {
        "refused": ["rejected_unhealthy", "none", None, AT + 1.5, "loading", None, None, False],
        "cut": ["interrupted", "none", None, None, "none", None, None, False],
    }


def test_panels_made_for_overlaat_find_what_they_ask_for(database: Database) -> None:
    late = a_served_call()
    late.id, late.done_s = "c2", 4.0
    database.store.upsert(rows(a_served_call(), late), [], HERE)
    (row,) = database.ask(
        "SELECT model_requested, count(*) AS calls, sum(completion_tokens) / sum(t_done - t_acquire) AS tok_s"
        f" FROM request_events WHERE t_done >= {AT} AND outcome = 'completed' AND streamed GROUP BY model_requested"
    )
    assert row == {"model_requested": "alias", "calls": 2, "tok_s": pytest.approx(40 / 4.5)}


def test_loads_and_samples_have_overlaats_columns_and_units(database: Database, tmp_path: Path) -> None:
    lines = noted(tmp_path, a_load("ok", outcome="ready"), a_load("bad", outcome="failed"), a_load("now"), a_sample())
    database.store.upsert([], [], HERE, loads=lines.loads, samples=lines.samples)
    loads = {load["id"]: load for load in database.ask("SELECT * FROM model_loads")}
    assert [*loads["ok"]] == ["id", "model", "t_start", "t_ready", "load_s", "detail"]
    ready = ["ok", "big", 1_700_000_000.5, 1_700_000_013.0, 12.5, "starting->ready"]
    assert [*loads["ok"].values()] == ready
    assert [*loads["bad"].values()][3:] == [None, None, "starting->failed"]
    assert [*loads["now"].values()][3:] == [None, None, "starting"]
    (sample,) = database.ask("SELECT * FROM host_samples")
    assert " ".join(sample) == HOST_SAMPLES
    assert (sample["ts"], sample["ram_total_gb"], sample["gpu_pct"]) == (1_700_000_000.75, 64.0, None)
    backends = sample["backends_json"]
    backends = json.loads(backends) if isinstance(backends, str) else backends
    assert backends == [
        {"pid": 4711, "name": "big/1", "cpu_pct": 99.5, "rss_gb": 1.5, "footprint_gb": None, "gpu_pct": None}
    ]


def test_a_table_of_overlaats_own_is_left_alone(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'penstock.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE request_events (id INTEGER)")
    store = SqliteStore(tmp_path / "penstock.db")
    store.prepare()
    store.close()
    with engine.begin() as connection:
        found = connection.exec_driver_sql("SELECT name, type FROM sqlite_master WHERE type IN ('view', 'table')")
        kinds = {row.name: row.type for row in found}
    engine.dispose()
    assert (kinds["request_events"], kinds["model_loads"]) == ("table", "view")
