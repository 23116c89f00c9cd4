"""The usage API: what it answers, to whom, and what it says to questions that make no sense."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from penstock.config.store_address import sqlite_address
from penstock.core.accounting.course import Course
from penstock.store.queries.asking import Asked
from penstock.store.queries.present import Live
from penstock.store.queries.queries import Queries
from penstock.store.queries.told import MAX_ROWS, OTHER
from penstock.store.sqlite import SqliteStore
from penstock.web.door import Message
from penstock.web.usage import create_app, live_in_body
from penstock.web.usage_door import UsageDoor
from tests.fakes import in_loop
from tests.store.queries.histories import fill, sharing
from tests.store.some_calls import a_sample

NOW = 1_700_000_000.0

KINDS = (
    "now", "health", "timeline", "models", "perf", "consumers", "workloads", "requests", "loads", "hosts",
)  # fmt: skip


def call(name: str, ago_s: float, outcome: str | None = "completed", **known: Any) -> Course:
    """Came `ago_s` ago, waited a second, took ten."""
    course = Course(
        name, "g1", NOW - ago_s, "m", "ann", None, outcome,
        enqueued_s=0.0, admitted_s=1.0, first_token_s=2.0, last_s=2.0, done_s=None if outcome is None else 11.0,
    )  # fmt: skip
    return course._replace(**known)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "penstock.db")
    store.prepare()
    yield store
    store.close()


@pytest.fixture
def api(store: SqliteStore, tmp_path: Path) -> Iterator[TestClient]:
    queries = Queries(sqlite_address(tmp_path / "penstock.db"), now=lambda: NOW)
    with TestClient(create_app(queries, live_in_body, also_at_root=True)) as client:
        yield client
    queries.close()


@pytest.mark.parametrize("kind", KINDS)
def test_every_question_is_answered_also_of_an_empty_store(api: TestClient, kind: str) -> None:
    answer = api.get(f"/usage/{kind}")
    assert answer.status_code == 200
    assert answer.json()["_meta"]["kind"] == kind
    assert api.get(f"/{kind}").json().keys() == answer.json().keys()


def strictly(schema: Any) -> Any:
    """The same, with what it does not name refused as well."""
    if isinstance(schema, list):
        return [strictly(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: strictly(value) for name, value in schema.items()}
    return {**closed, "additionalProperties": False} if "properties" in schema else closed


def check_against(described: Any, kind: str, answer: Any) -> None:
    """Raises ValidationError: the document tells another answer than came."""
    responses = described["paths"][f"/usage/{kind}"]["get"]["responses"]
    told = responses.get(str(answer.status_code)) or responses[f"{answer.status_code // 100}XX"]
    schema = told["content"]["application/json"]["schema"]
    Draft202012Validator({**strictly(schema), "components": strictly(described["components"])}).validate(answer.json())


QUERIES = (
    "", "last=30m", "last=90d", f"from={NOW - 600}&to={NOW}", "model=m", "key=none", "workload=w&outcome=completed",
    "outcome=rejected_quota&last=7d", "limit=2", "limit=0", "open=true", "open=maybe", "cursor=x", "last=x", "modle=m",
    "model=a&model=b", "from=nan", "key=%F0%9F%90%99", "model=a%00",
)  # fmt: skip


@pytest.mark.parametrize("kind", [*KINDS, "healthz"])
def test_what_is_answered_is_what_the_openapi_document_tells(api: TestClient, store: SqliteStore, kind: str) -> None:
    described = api.get("/usage/openapi.json").json()
    operation = described["paths"][f"/usage/{kind}"]["get"]
    assert operation["description"]
    assert set(operation["responses"]) - {"503"} == {"200", "4XX", "5XX"}
    for history in ((), (call("c1", 900), call("c2", 60, None), call("c3", 30, "rejected_quota", model=None))):
        fill(store, history, sharing())
        add_sample(store, a_sample())
        for query in QUERIES:
            check_against(described, kind, api.get(f"/usage/{kind}?{query}"))


@pytest.mark.parametrize("kind", ["models", "healthz"])
def test_a_store_that_is_away_is_answered_as_the_openapi_document_tells(tmp_path: Path, kind: str) -> None:
    with TestClient(create_app(Queries(sqlite_address(tmp_path / "nothing.db")))) as api:
        answer = api.get(f"/usage/{kind}")
        assert answer.status_code == 503
        check_against(api.get("/usage/openapi.json").json(), kind, answer)


def test_what_runs_and_waits_now_is_part_of_every_answer(api: TestClient, store: SqliteStore) -> None:
    running = call("running", 600, None)
    waiting = call("waiting", 300, None, admitted_s=None, first_token_s=None, last_s=0.0)
    fill(store, [running, waiting, call("over", 900)])
    (model,) = api.get("/usage/models?last=1h").json()["models"]
    assert (model["requests"], model["outcomes"], model["running"], model["waiting"]) == (3, {"completed": 1}, 1, 1)
    (consumer,) = api.get("/usage/consumers?last=1h").json()["consumers"]
    assert (consumer["running"], consumer["waiting"], consumer["models"]) == (1, 1, {"m": 3})
    (workload,) = api.get("/usage/workloads?last=1h").json()["workloads"]
    assert (workload["workload"], workload["running"], workload["waiting"]) == ("(untagged)", 1, 1)
    curves = api.get("/usage/timeline?last=30m").json()["models"]["m"]
    assert (curves["offered"][-1], curves["active"][-1], curves["queued"][-1]) == (2.0, 1.0, 1.0)
    phases = {row["id"]: row["phase"] for row in api.get("/usage/requests").json()["requests"]}
    assert phases == {"running": "running", "waiting": "waiting", "over": None}
    assert [row["id"] for row in api.get("/usage/requests?open=true").json()["requests"]] == ["waiting", "running"]
    assert api.get("/usage/now").json()["totals"] == {"in_flight": 1, "queue_depth": 1}


def test_the_curves_are_exact_and_tokens_flow_over_the_service(api: TestClient, store: SqliteStore) -> None:
    fill(store, [call("c", 1000, completion_tokens=100, prompt_tokens=50)])
    found = api.get("/usage/timeline?last=30m").json()
    curves, width = found["models"]["m"], found["bucket_s"]
    assert sum(curves["offered"]) * width == pytest.approx(11.0)
    assert sum(curves["active"]) * width == pytest.approx(10.0)
    assert sum(curves["queued"]) * width == pytest.approx(1.0)
    assert sum(curves["out_tok_s"]) * width == pytest.approx(100.0, abs=0.01)
    assert sum(found["totals"]["in_tok_s"]) * width == pytest.approx(50.0, abs=0.01)
    at = found["buckets"].index(int(NOW - 1000))
    assert curves["active"][at : at + 3] == [0.8, 1.0, 0.2]
    assert found["by_key_active"]["ann"] == curves["active"]


def test_the_busiest_keys_are_told_by_name_and_the_rest_together(api: TestClient, store: SqliteStore) -> None:
    fill(store, [call(f"c{number}", 900 + number, key=f"k{number:02}", done_s=11.0 + number) for number in range(12)])
    found = api.get("/usage/timeline?last=30m").json()
    assert found["keys"] == [f"k{number:02}" for number in range(11, 3, -1)] + ["<other>"]
    assert sum(map(sum, found["by_key_active"].values())) == pytest.approx(sum(found["totals"]["active"]), abs=0.01)


def test_of_names_without_end_the_busiest_are_told_and_the_rest_together(api: TestClient, store: SqliteStore) -> None:
    history = [
        call(f"c{number}", 500, key=f"k{number}", workload=f"w{number}", completion_tokens=1, done_s=2.0 + number)
        for number in range(MAX_ROWS + 50)
    ]
    twice = [call("again", 400, key="k7", workload="w7"), call("other", 400, key=OTHER, workload=OTHER)]
    fill(store, [*history, *twice, call("runs", 300, None, key="new", workload="new")])
    workloads = api.get("/usage/workloads").json()["workloads"]
    consumers = api.get("/usage/consumers").json()["consumers"]
    assert len(workloads) == len(consumers) == MAX_ROWS + 1
    assert (workloads[0]["workload"], workloads[0]["requests"]) == ("w7", 2)
    assert consumers[0]["key"] == f"k{MAX_ROWS + 49}"  # whose call took longest
    for rows, name in ((workloads, "workload"), (consumers, "key")):
        assert sum(row["requests"] for row in rows) == MAX_ROWS + 53
        assert sum(row["completion_tokens"] for row in rows) == MAX_ROWS + 50
        assert sum(row["running"] for row in rows) == 1
        assert [row[name] for row in rows].index(OTHER) == MAX_ROWS
    assert consumers[-1]["models"] == {"m": consumers[-1]["requests"]}
    fill(store, [call(f"lately {number}", 100, key=f"k{number}", done_s=12.0) for number in range(MAX_ROWS + 50)])
    lately = api.get("/usage/now").json()["recent_5m_by_key"]
    assert (len(lately), lately[-1]["key"], lately[-1]["calls"]) == (MAX_ROWS + 1, OTHER, 51)
    assert sum(row["calls"] for row in lately) == MAX_ROWS + 51


def test_unknown_is_null_and_refusals_are_told_apart(api: TestClient, store: SqliteStore) -> None:
    fill(
        store,
        [
            call("c1", 500), call("c2", 500, cached_tokens=900, prompt_tokens=2000), call("c3", 500, prompt_tokens=7),
            call("c4", 500, "rejected_too_large", enqueued_s=None, admitted_s=None, first_token_s=None, done_s=0.0),
            call("c5", 500, "client_abandoned", admitted_s=None, first_token_s=None, done_s=61.0),
        ],
    )  # fmt: skip
    (model,) = api.get("/usage/models").json()["models"]
    assert (model["cached_tokens"], model["cache_hit_pct"], model["completion_tokens"]) == (900, 45.0, None)
    assert (model["rejected"], model["abandoned"], model["completed"], model["errored"]) == (1, 1, 3, 0)
    latency = model["latency_ms"]
    assert latency["queue_wait_p50"] == pytest.approx(1000, rel=0.02)
    assert latency["samples"]["queue_wait"] == 3
    assert latency["samples"]["waited"] == 4
    assert latency["total_p95"] is None
    assert model["latency_ms_by_outcome"]["client_abandoned"]["waited_p50"] == pytest.approx(61_000, rel=0.02)


def test_retries_are_no_demand_and_lead_to_their_first_try(api: TestClient, store: SqliteStore) -> None:
    first = call("first", 500, "upstream_error", retry_count=0)
    again = call("again", 480, "upstream_error", retry_count=1)
    fill(store, [first, again, call("last", 460, retry_count=2), call("else", 460, retry_count=None)])
    (model,) = api.get("/usage/models").json()["models"]
    assert (model["requests"], model["demand"], model["retries"]) == (4, 2, 2)
    found = {row["id"]: row["retry_of"] for row in api.get("/usage/requests").json()["requests"]}
    assert found == {"first": None, "again": "first", "last": "first", "else": None}


def test_a_page_ends_where_the_next_begins_whatever_comes_meanwhile(api: TestClient, store: SqliteStore) -> None:
    fill(store, [call(f"c{number}", 1000 - number // 3) for number in range(10)])
    seen, cursor = [], ""
    for _ in range(4):
        page = api.get(f"/usage/requests?limit=3{cursor}").json()
        seen += [row["id"] for row in page["requests"]]
        fill(store, [call(f"new{len(seen)}", 1)])
        cursor = f"&cursor={page['next']}"
    assert seen == [f"c{number}" for number in range(9, -1, -1)]
    assert page["next"] is None


def test_why_a_call_waits_is_unknown_while_it_does_and_none_where_it_did_not(
    api: TestClient, store: SqliteStore
) -> None:
    waits = call("waits", 9, None, admitted_s=None, first_token_s=None)
    early = call("early", 8, "rejected_auth", enqueued_s=None, admitted_s=None)
    fill(store, [waits, early, call("served", 7), call("runs", 6, None), call("loaded", 5, load_wait_s=1.0)])
    told = {row["id"]: (row["phase"], row["wait_reason"]) for row in api.get("/usage/requests").json()["requests"]}
    assert told == {
        "waits": ("waiting", None), "early": (None, None), "served": (None, "none"), "runs": ("running", "none"),
        "loaded": (None, "loading"),
    }  # fmt: skip


def test_filters_choose_calls_also_those_without(api: TestClient, store: SqliteStore) -> None:
    fill(store, [call("c1", 9, workload="w"), call("c2", 9, key=None), call("c3", 9, None), call("c4", 9, model=None)])

    def ids(query: str) -> list[str]:
        return sorted(row["id"] for row in api.get(f"/usage/requests?{query}").json()["requests"])

    assert ids("workload=w") == ["c1"]
    assert ids("workload=(untagged)") == ["c2", "c3", "c4"]
    assert ids("key=none") == ["c2"]
    assert ids("key=ann&outcome=completed") == ["c1", "c4"]
    assert ids("model=(unknown)") == ["c4"]
    assert ids(f"from={NOW - 10}&to={NOW}") == ["c1", "c2", "c3", "c4"]
    assert ids("from=2023-11-14T22:13:00Z&to=2023-11-14T22:13:05Z") == []


@pytest.mark.parametrize(
    "query",
    [
        "last=x",
        "last=0m",
        "last=1000000d",
        "last=-5m",
        "from=tomorrow",
        "from=2&to=1",
        "to=1e99",
        "last=1h&from=1&to=2",
    ],
)
def test_a_window_that_makes_no_sense_is_refused_with_what_was_expected(api: TestClient, query: str) -> None:
    answer = api.get(f"/usage/models?{query}")
    assert answer.status_code == 400
    assert "`" in answer.json()["error"]["message"]


@pytest.mark.parametrize("query", ["cursor=x", "cursor=nan_c", "limit=many", "limit=0", "limit=-1", "limit=1001"])
def test_a_page_that_makes_no_sense_is_refused(api: TestClient, query: str) -> None:
    for kind in ("requests", "loads"):
        refused = api.get(f"/usage/{kind}?{query}")
        assert refused.status_code == 400
        assert query.partition("=")[0] in refused.json()["error"]["message"]


@pytest.mark.parametrize("kind", [*KINDS, "healthz"])
def test_what_nobody_reads_is_refused_and_the_documented_members_are_read(api: TestClient, kind: str) -> None:
    operation = api.get("/usage/openapi.json").json()["paths"][f"/usage/{kind}"]["get"]
    known = [each["name"] for each in operation.get("parameters", [])]
    for path in (f"/usage/{kind}", f"/{kind}"):
        refused = api.get(f"{path}?modle=m")
        assert refused.status_code == 400
        message = refused.json()["error"]["message"]
        assert "`modle`" in message
        assert all(f"`{name}`" in message for name in known)
    good = {"last": "1h", "from": str(NOW - 60), "to": str(NOW), "open": "true", "limit": "1", "outcome": "completed"}
    for name in known:
        if name != "cursor":
            assert api.get(f"/usage/{kind}?{name}={good.get(name, 'x')}").status_code == 200, name


@pytest.mark.parametrize("query", ["model=a&model=b", "outcome=complete", "last=1h&last=1h", "key=a%00b"])
def test_a_filter_that_could_be_meant_otherwise_is_refused(api: TestClient, query: str) -> None:
    answer = api.get(f"/usage/models?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


def test_what_a_gateway_says_of_itself_is_believed_before_its_records(api: TestClient) -> None:
    pool = {"budget": 1.0, "used": 0.5, "in_flight": {"m": 2}, "budget_pct": 50.0}
    said = {
        "budget": {**pool, "queue_depth": 1, "pools": {"p": pool}},
        "by_model": [
            {"model": "m", "cap": 2, "in_flight": 2, "queue_depth": 1, "wait_ms_p50": 7,
             "queued": [{"id": "w", "key_fp": "ann", "age_s": 3.5, "priority": 1, "wait_reason": "model_cap"}]},
        ]
    }  # fmt: skip
    body = msgspec.json.encode(said)
    assert msgspec.json.decode(body, type=Live).by_model[0].queued[0].wait_reason == "model_cap"
    found = api.request("GET", "/usage/now", content=body).json()
    assert found["queue_available"] is True
    assert found["totals"] == {"in_flight": 2, "queue_depth": 1}
    assert found["queued"][0]["wait_reason"] == "model_cap"
    assert (found["budget"]["queue_depth"], found["budget"]["pools"]["p"]["used"]) == (1, 0.5)
    nobody = api.request("GET", "/usage/now", content=b"{nonsense").json()
    assert (nobody["queue_available"], nobody["budget"]) == (False, None)


def test_a_held_slot_beside_an_idle_gpu_is_a_stall_and_a_busy_machine_is_well(
    store: SqliteStore, api: TestClient
) -> None:
    said = b'{"by_model": [{"model": "m", "in_flight": 1}]}'
    sample = a_sample()
    sample.sampled_at, sample.gpu_pct = NOW - 3, 1.0
    add_sample(store, sample)
    found = api.request("GET", "/usage/health", content=said).json()
    assert found["verdict"] == "STALLED"
    sample.id, sample.sampled_at, sample.gpu_pct = "s2", NOW - 1, 99.0
    add_sample(store, sample)
    assert api.request("GET", "/usage/health", content=said).json()["verdict"] == "OK"
    fill(store, [call(f"c{number}", 100, "upstream_error") for number in range(6)])
    found = api.request("GET", "/usage/health", content=said).json()
    assert found["verdict"] == "DEGRADED"
    assert "6 of the 6" in found["reasons"][0]


def test_loads_are_told_one_by_one_and_by_model(store: SqliteStore, api: TestClient) -> None:
    loads = sharing()
    for number, load in enumerate(loads):
        load.started_at, load.done_s, load.victims = NOW - 50 - number, 2.0 + number, ["other"]
    fill(store, [], loads)
    found = api.get("/usage/loads?limit=1").json()
    assert [row["model"] for row in found["loads"]] == ["a"]
    assert found["loads"][0]["victims"] == ["other"]
    assert {row["model"]: row["load_s_mean"] for row in found["models"]} == {"a": 2.0, "b": 3.0}
    rest = api.get(f"/usage/loads?limit=1&cursor={found['next']}").json()
    assert [row["model"] for row in rest["loads"]] == ["b"]


def test_a_store_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    queries = Queries(sqlite_address(tmp_path / "none.db"))
    with TestClient(create_app(queries)) as client:
        answer = client.get("/usage/models")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "usage_unavailable")
        assert client.get("/usage/healthz").status_code == 503


def test_a_question_that_takes_too_long_is_ended(store: SqliteStore, tmp_path: Path) -> None:
    fill(store, [call(f"c{number}", 500) for number in range(3000)])
    queries = Queries(sqlite_address(tmp_path / "penstock.db"), limit_s=0.001, now=lambda: NOW)
    with TestClient(create_app(queries)) as client:
        answer = client.get("/usage/models")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "usage_too_slow")
    queries.close()


class Endless(Queries):
    """One question has no end of its own. has_begun: it is being answered."""

    has_begun = threading.Event()

    def hosts(self, asked: Asked) -> NoReturn:
        with self._look() as snapshot:
            while True:
                snapshot.connection.exec_driver_sql("SELECT count(*) FROM calls").scalar_one()
                self.has_begun.set()


@in_loop
async def test_a_question_ends_with_its_asker(store: SqliteStore, tmp_path: Path) -> None:
    queries = Endless(sqlite_address(tmp_path / "penstock.db"), limit_s=3600.0)
    messages: Iterator[Message] = iter(
        [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]
    )
    answered: list[Message] = []

    async def receive() -> Message:
        message = next(messages)
        if message["type"] == "http.disconnect":
            await asyncio.to_thread(queries.has_begun.wait)
        return message

    async def send(message: Message) -> None:
        answered.append(message)

    scope = {"type": "http", "method": "GET", "path": "/usage/hosts", "query_string": b"", "headers": []}
    async with asyncio.timeout(60):
        await create_app(queries)(scope, receive, send)
    assert answered[0]["status"] == 503
    queries.close()


def test_nothing_can_be_changed_through_it(api: TestClient) -> None:
    for kind in KINDS:
        assert api.post(f"/usage/{kind}").status_code == 405


def test_a_path_that_there_is_not_is_answered_with_where_to_find_those_that_there_are(api: TestClient) -> None:
    error = api.get("/usage/model").json()["error"]
    assert error["code"] == "not_found"
    assert "/usage/model here" in error["message"]
    assert api.get(error["message"].split("GET ")[1].split()[0]).status_code == 200


def at_the_door(store: Path, key: str | None, client: tuple[str, int]) -> TestClient:
    app = create_app(Queries(sqlite_address(store)))
    return TestClient(UsageDoor(app, key, checks_host=key is None), base_url="http://localhost", client=client)


def test_alone_and_without_a_key_it_answers_this_machine_only(store: SqliteStore, tmp_path: Path) -> None:
    path = tmp_path / "penstock.db"
    here = at_the_door(path, None, ("127.0.0.1", 5))
    assert here.get("/usage/now").status_code == 200
    assert here.get("/usage/now", headers={"host": "evil.example"}).status_code == 403
    assert here.get("/usage/now", headers={"x-forwarded-for": "127.0.0.1"}).status_code == 403
    assert at_the_door(path, None, ("192.0.2.1", 5)).get("/usage/now").status_code == 403


def test_alone_with_a_key_it_answers_whoever_shows_it(store: SqliteStore, tmp_path: Path) -> None:
    far = at_the_door(tmp_path / "penstock.db", "s3cret", ("192.0.2.1", 5))
    assert far.get("/usage/now").status_code == 401
    assert far.get("/usage/now", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert far.get("/usage/now", headers={"authorization": "Bearer s3cret"}).status_code == 200
    assert far.get("/usage/now", headers={"x-api-key": "s3cret"}).status_code == 200


def add_sample(store: SqliteStore, sample: Any) -> None:
    import tempfile

    from penstock.store.journal import Journal
    from penstock.store.segments import read_segment, segments_in
    from tests.store.queries.histories import HERE

    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder), boot_id="b1", reserve_bytes=0)
        journal.note(sample)
        journal.close()
        store.upsert([], [], HERE, samples=read_segment(segments_in(journal.directory)[-1].path, 0)[0].samples)


def test_the_documentation_has_every_question(api: TestClient) -> None:
    page = (Path(__file__).parents[2] / "docs" / "usage.md").read_text()
    for path in api.get("/usage/openapi.json").json()["paths"]:
        assert f"`{path}`" in page
