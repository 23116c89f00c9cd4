"""Overlaat 0.0.13's own questions, asked of the same store through our views: the same where it is right.

The very same records, so that every number can be compared. That both come to the same records of the same traffic is
shown by test_live_beside_overlaat.py. docs/usage.md has the table of what differs, and why.
"""

from __future__ import annotations

import json
import random
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from penstock.config.store_address import sqlite_address
from penstock.core.accounting.course import Course
from penstock.store.queries.asking import Asked
from penstock.store.queries.courses import Filter
from penstock.store.queries.queries import Queries
from penstock.store.sqlite import SqliteStore
from tests.core.accounting.courses import NOW
from tests.store.queries.beside_overlaat import environment_with
from tests.store.queries.histories import HERE, record_of
from tests.store.some_calls import rows

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

ASK = """
import json, sys
from overlaat import metrics_db as m
url, since, now = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
print(json.dumps({
    "models": m.build_models(url, since, now, {}),
    "consumers": m.build_consumers(url, since, now, {}),
    "workloads": m.build_workloads(url, since, now),
    "timeline": m.build_timeline(url, since, now, 60, {}),
    "requests": m.build_recent_requests(url, 500, {}),
}))
"""


@pytest.fixture(scope="module")
def overlaat(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python that has it."""
    return environment_with(tmp_path_factory.mktemp("overlaat"), "overlaat==0.0.13")


def history() -> list[Course]:
    """Calls as Overlaat sees them too: streamed, ended, asked for by a name that is the model's."""
    chance = random.Random(5)
    made = []
    for number in range(300):
        wait_s, took_s = chance.choice([0.0, 0.5, 3.0]), chance.uniform(2, 60)
        outcome = chance.choice(["completed"] * 8 + ["client_abandoned", "upstream_error"])
        made.append(
            Course(
                f"c{number:03}", "g1", NOW - 3500 + chance.uniform(0, 3300), chance.choice("ab"),
                chance.choice(["k1", "k2"]), chance.choice(["nightly", None]), outcome, enqueued_s=0.0,
                admitted_s=wait_s, first_token_s=wait_s + 1.0, last_s=wait_s + 1.0, done_s=wait_s + took_s,
                prompt_tokens=chance.randrange(1, 900), completion_tokens=chance.choice([None, int(took_s * 20)]),
                cached_tokens=chance.choice([None, 0, 1]),
            )
        )  # fmt: skip
    return [course for course in made if course.received_at + (course.done_s or 0) < NOW]


@pytest.fixture(scope="module")
def both(overlaat: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Queries, Asked]:
    path = tmp_path_factory.mktemp("store") / "penstock.db"
    store = SqliteStore(path)
    store.prepare()
    records = [record_of(course) for course in history()]
    for record in records:
        record.model_requested, record.streamed, record.key, record.key_fingerprint = (
            record.model,
            True,
            None,
            record.key,
        )
        record.http_status = 200 if record.outcome != "upstream_error" else 500
    store.upsert(rows(*records), [], HERE)
    store.close()
    argv = [overlaat, "-c", ASK, f"sqlite:///{path}", str(NOW - 3600), str(NOW)]
    said = subprocess.run(argv, capture_output=True, check=True, text=True).stdout
    return json.loads(said), Queries(sqlite_address(path), now=lambda: NOW), Asked(NOW - 3600, NOW, "1h")


Both = tuple[dict[str, Any], Queries, Asked]


def test_models_are_counted_alike(both: Both) -> None:
    theirs, queries, asked = both
    ours = {row.model: row for row in queries.models(asked).models}
    for row in theirs["models"]:
        own = ours[row["model"]]
        assert (own.requests, own.outcomes) == (row["requests"], row["outcomes"])
        assert (own.completed, own.abandoned) == (row["completed"], row["abandoned"])
        assert own.decode_solo_tok_s == pytest.approx(row["decode_solo_tok_s"], rel=0.03)
        assert own.out_tok_p50 == pytest.approx(row["out_tok_p50"], rel=0.03)
        completed = own.latency_ms_by_outcome["completed"]  # theirs leave out everybody else
        solo = [each for each in row["throughput_by_concurrency"] if each["concurrency"] == 1]
        assert own.decode_solo_samples <= sum(each["calls"] for each in solo)
        for name in ("queue_wait_p50", "queue_wait_p95", "service_p50", "service_p95", "total_p50", "total_p95"):
            assert getattr(completed, name) == pytest.approx(row["latency_ms"][name], rel=0.03, abs=1)


def test_measured_concurrency_is_alike_and_what_all_get_together_is_ours(both: Both) -> None:
    theirs, queries, asked = both
    ours = {
        row.model: {cell.concurrency: cell for cell in row.throughput_by_concurrency}
        for row in queries.models(asked).models
    }
    for row in theirs["models"]:
        for cell in row["throughput_by_concurrency"]:
            own = ours[row["model"]][cell["concurrency"]]
            assert own.calls == cell["calls"]
            if own.sufficient:
                assert own.call_tok_s == pytest.approx(cell["aggregate_tok_s"], rel=0.01)
                assert own.aggregate_tok_s is not None
                assert own.call_tok_s is not None
                assert own.aggregate_tok_s >= own.call_tok_s


def test_consumers_and_workloads_are_counted_alike(both: Both) -> None:
    theirs, queries, asked = both
    consumers = {row.key: row for row in queries.consumers(asked).consumers}
    for row in theirs["consumers"]:
        own = consumers[row["key"]]
        for name in ("requests", "completed", "abandoned", "completion_tokens", "cached_tokens", "models"):
            assert getattr(own, name) == row[name]
        assert own.service_s == pytest.approx(row["service_s"], abs=0.1)
    workloads = {row.workload: row for row in queries.workloads(asked).workloads}
    for row in theirs["workloads"]:
        own_workload = workloads[row["workload"]]
        assert (own_workload.requests, own_workload.completed) == (row["requests"], row["completed"])


def test_the_curves_hold_the_same_seconds_and_tokens(both: Both) -> None:
    """Their buckets begin anywhere, ours on the minute: the integrals are compared."""
    theirs, queries, asked = both
    ours = queries.timeline(asked)
    for model, curves in theirs["timeline"]["models"].items():
        own = ours.models[model]
        assert sum(own.offered) * ours.bucket_s == pytest.approx(60 * sum(curves["offered"]), rel=0.01)
        assert sum(own.active) * ours.bucket_s == pytest.approx(60 * sum(curves["active"]), rel=0.01)
        tokens = sum(own.out_tok_s) * ours.bucket_s
        completed = [each for each in history() if each.model == model and each.outcome == "completed"]
        assert 60 * sum(curves["out_tok_s"]) == pytest.approx(
            sum(each.completion_tokens or 0 for each in completed), rel=0.01
        )
        assert tokens == pytest.approx(
            sum(each.completion_tokens or 0 for each in history() if each.model == model), rel=0.01
        )  # also of those that were not completed: an engine has generated them
    assert set(ours.keys) == set(theirs["timeline"]["keys"])


def test_every_single_request_is_told_alike(both: Both) -> None:
    """But for its first token: theirs is from its slot on, ours from the request on, as its caller felt it."""
    theirs, queries, _ = both
    ours = {row.t_enqueue: row for row in queries.requests(None, limit=500).requests}
    assert len(ours) == len(theirs["requests"])
    for row in theirs["requests"]:
        own = ours[row["t_enqueue"]]
        same = ("model", "consumer", "workload", "outcome", "http_status", "streamed", "time")
        tokens = ("prompt_tokens", "completion_tokens", "cached_tokens")
        for name in (*same, *tokens):
            assert getattr(own, name) == row[name], name
        for name in ("queue_wait", "service", "total"):
            assert getattr(own, name) == pytest.approx(row[name], abs=1), name
        assert own.ttft is not None
        assert own.queue_wait is not None
        assert own.ttft - own.queue_wait == pytest.approx(row["ttft"], abs=1)
        assert own.t_done == pytest.approx(row["t_done"], abs=0.001)
        speed = row["decode_tok_s"]
        assert own.decode_tok_s == (speed or None if speed is None else pytest.approx(speed, abs=0.06))


def test_the_cache_is_told_alike_of_completed_calls(both: Both) -> None:
    theirs, queries, asked = both
    ours = {row.model: row for row in queries.models(replace(asked, filter=Filter(outcome="completed"))).models}
    for row in theirs["models"]:
        assert ours[row["model"]].cached_tokens == row["cached_tokens"]
        assert ours[row["model"]].cache_hit_pct == pytest.approx(row["cache_hit_pct"], abs=0.1)
