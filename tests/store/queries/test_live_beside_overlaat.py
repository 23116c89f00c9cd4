"""The same calls at the same time through Overlaat 0.0.13 with LiteLLM and through Penstock with LiteLLM, both running.

docs/usage.md has the table of what differs, and why; every line of it that a running Overlaat can show is shown here.
"""

from __future__ import annotations

import asyncio
import hashlib
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.store.queries.beside_overlaat import BARE, TEXT, Ask, Both, Json, both, environment_with, said_by

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

CACHED = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {
        "prompt_tokens": 100, "completion_tokens": 3, "total_tokens": 103,
        "prompt_tokens_details": {"cached_tokens": 60},
    },
}  # fmt: skip
STREAM = {"tokens": 10, "pace_s": 0.25}
CLEAN = [f"clean{number}" for number in range(8)]
ALONE = [f"alone{number}" for number in range(6)]
WARM = [
    Ask(f"warm-{model}-{stream}", 0.0, model, stream=stream)
    for model in ("alone", "two", "one", "four")
    for stream in (True, False)
]
TRACE = [
    *(Ask(name, 0.0, "two", {"delay_s": 3.0, "tokens": 30}, key="sk-two") for name in CLEAN),
    *(Ask(name, 0.0, "alone", STREAM, stream=True) for name in ALONE),
    Ask("first", 0.0, "one", {"delay_s": 6.0}),
    Ask("left-queued", 0.3, "one", {"delay_s": 1.5}, leaves_s=1.0),
    Ask("cancelled", 0.4, "one", key="sk-gone"),
    Ask("in-body", 0.0, "four", STREAM, stream=True, label_in="metadata"),
    Ask("text", 0.2, "four", STREAM, path=TEXT, stream=True),
    Ask("died", 2.5, "four", {"tokens": 20, "pace_s": 0.1, "ending": "close", "stop_after": 5}, stream=True),
    Ask("bad", 2.7, "four", {"status": 400}),
    Ask("again", 3.5, "four", headers="x-stainless-retry-count: 1\r\n"),
    Ask("bare", 3.0, "four", {"delay_s": 0.5, "tokens": 9}, path=BARE),
    Ask("cached", 3.0, "four", {"reply": CACHED}),
    Ask("left-stream", 4.0, "four", {"tokens": 90, "pace_s": 0.1}, stream=True, leaves_s=1.5),
    Ask("left-whole", 6.0, "four", {"delay_s": 5.0, "tokens": 30}, leaves_s=1.0),
    Ask("long", 10.0, "one", {"delay_s": 9.0}),
]
LOOK_S, EDGE_S = 1.0, 14.0
SLACK_MS = 1500.0
"""What two LiteLLMs on a busy machine may differ by."""


Pair = tuple[Json, Json]
"""What they say, and what we say."""


@dataclass(slots=True)
class Heard:
    """What both said while calls waited, while one ran, and when all was over; and what the clients got."""

    waiting: Pair
    edge: dict[str, Pair]
    settled: dict[str, Pair]
    answers: dict[str, tuple[bytes, bytes]]

    def rows(self, name: str) -> Pair:
        """Of a call of the trace; {} = there is none."""
        rows: list[Json] = [
            {row["workload"]: row for row in said["requests"]}.get(name, {}) for said in self.settled["requests"]
        ]
        return rows[0], rows[1]

    def model(self, name: str) -> Pair:
        found = [next(row for row in said["models"] if row["model"] == name) for said in self.settled["models"]]
        return found[0], found[1]


async def looked(world: Both) -> tuple[Pair, dict[str, Pair]]:
    """While calls wait, and while the last one runs. In between, whoever waits with one of the keys is cancelled."""
    await asyncio.sleep(LOOK_S)  # no-sleep-needed: the trace says when
    waiting = await asyncio.to_thread(world.ask, "now")
    gone = hashlib.sha256(b"sk-gone").hexdigest()[:8]
    for url in (world.queue, world.penstock.url):
        asked = urllib.request.Request(f"{url}/__queue/cancel-all?key_fp={gone}", method="POST")
        assert (await asyncio.to_thread(said_by, asked))["count"] == 1
    await asyncio.sleep(EDGE_S - LOOK_S)  # no-sleep-needed: the trace says when
    return waiting, await asyncio.to_thread(world.ask_all)


async def played(python: str, folder: Path) -> Heard:
    async with both(python, folder) as world:
        for ask in WARM:  # the first calls of a LiteLLM take seconds more
            await world.play([ask])
        answers, (waiting, edge) = await asyncio.gather(world.play(TRACE), looked(world))
        async with asyncio.timeout(30):
            while said_by(f"{world.queue}/__queue/health")["event_queue_depth"]:
                await asyncio.sleep(0.1)  # no-sleep-needed: between two looks, not instead of one
            while any(row["outcome"] is None for row in world.ask("requests?limit=200")[1]["requests"]):
                await asyncio.sleep(0.1)  # no-sleep-needed: between two looks, not instead of one
        await asyncio.sleep(1.5)  # no-sleep-needed: what Overlaat still writes, nobody tells
        return Heard(waiting, edge, await asyncio.to_thread(world.ask_all), answers)


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    python = environment_with(tmp_path_factory.mktemp("env"), "overlaat==0.0.13", "litellm[proxy]")
    return asyncio.run(played(python, tmp_path_factory.mktemp("live")))


def integral(said: Json, model: str, curve: str) -> float:
    """Theirs divide all buckets by their width; ours, one that has only begun by the part that has passed."""
    until = said["window"].get("until", float("inf"))
    widths = [min(said["bucket_s"], until - start) for start in said["buckets"]]
    return float(sum(value * width for value, width in zip(said["models"][model][curve], widths, strict=True)))


# The same.


def test_calls_that_did_well_are_told_alike(heard: Heard) -> None:
    for name in (*CLEAN, *ALONE, "first", "in-body", "cached", "again"):
        theirs, ours = heard.rows(name)
        for member in ("model", "consumer", "outcome", "http_status", "streamed", "prompt_tokens", "completion_tokens"):
            assert theirs[member] == ours[member], (name, member)
        assert theirs["cached_tokens"] == ours["cached_tokens"] == (60 if name == "cached" else None)
        assert ours["total"] == pytest.approx(theirs["total"], abs=SLACK_MS, rel=0.3)
        assert ours["service"] == pytest.approx(theirs["service"], abs=SLACK_MS, rel=0.3)
        assert ours["queue_wait"] == pytest.approx(theirs["queue_wait"], abs=SLACK_MS, rel=0.3)


def test_who_waits_for_what_is_told_alike(heard: Heard) -> None:
    theirs, ours = heard.waiting
    assert theirs["queue_available"] is ours["queue_available"] is True
    for said in (theirs, ours):
        models = {row["model"]: row for row in said["models"]}
        assert {name: (row["cap"], row["in_flight"]) for name, row in models.items()} == {
            "alone": (1, 1), "two": (2, 2), "one": (1, 1), "four": (4, 2),
        }  # fmt: skip
        assert (models["alone"]["queue_depth"], models["two"]["queue_depth"]) == (5, 6)
        assert {waiting["wait_reason"] for waiting in said["queued"]} == {"model_cap"}
        assert said["budget"]["pools"]["for_four"]["used"] == pytest.approx(0.5)
    assert theirs["queued"][0].keys() == ours["queued"][0].keys()
    assert theirs.keys() <= ours.keys()


def test_the_members_of_every_answer_are_theirs_and_more(heard: Heard) -> None:
    for question, (theirs, ours) in heard.settled.items():
        assert theirs.keys() <= ours.keys(), question
        for member in ("models", "consumers", "workloads", "requests"):
            rows = theirs.get(member)
            if isinstance(rows, list) and rows:
                assert rows[0].keys() <= ours[member][0].keys(), (question, member)


def test_the_curves_hold_the_same_seconds_and_all_tokens(heard: Heard) -> None:
    theirs, ours = heard.settled["timeline"]
    for model in ("two", "alone"):
        assert integral(ours, model, "offered") == pytest.approx(integral(theirs, model, "offered"), rel=0.3)
        assert integral(ours, model, "active") == pytest.approx(integral(theirs, model, "active"), rel=0.3)
        assert integral(ours, model, "out_tok_s") == pytest.approx(integral(theirs, model, "out_tok_s"), abs=0.5)


def test_counts_and_the_cache_are_told_alike(heard: Heard) -> None:
    for name in ("two", "alone"):
        theirs, ours = heard.model(name)
        assert (ours["requests"], ours["outcomes"]) == (theirs["requests"], theirs["outcomes"])
        assert ours["out_tok_p50"] == pytest.approx(theirs["out_tok_p50"], rel=0.03)
    theirs, ours = heard.model("four")
    assert theirs["cache_hit_pct"] == ours["cache_hit_pct"] == 60.0
    consumers = [{row["key"]: row for row in said["consumers"]} for said in heard.settled["consumers"]]
    assert consumers[0].keys() == consumers[1].keys()


def test_a_measured_concurrency_of_two_is_two(heard: Heard) -> None:
    """What each call gets is alike; theirs is called aggregate, and is not what both get together."""
    cells = [
        next(cell for cell in row["throughput_by_concurrency"] if cell["concurrency"] == 2)
        for row in heard.model("two")
    ]
    assert [cell["sufficient"] for cell in cells] == [True, True]
    assert cells[1]["call_tok_s"] == pytest.approx(cells[0]["aggregate_tok_s"], rel=0.3)
    assert cells[1]["aggregate_tok_s"] == pytest.approx(2 * cells[1]["call_tok_s"], rel=0.2)


# Theirs is wrong.

RACE = ("completed", "client_abandoned")
"""What Overlaat says of who left before an answer that came as a whole: now this, now that."""


def test_who_hangs_up_in_the_queue_is_gone_at_once_and_has_had_no_engine(heard: Heard) -> None:
    theirs, ours = heard.rows("left-queued")
    assert theirs["outcome"] in RACE
    assert theirs["service"] is not None  # an engine worked for nobody
    assert ours["outcome"] == "client_abandoned"
    assert (ours["service"], ours["queue_wait"], ours["http_status"]) == (None, None, None)
    assert ours["total"] < 1000 + SLACK_MS < theirs["total"]


def test_who_hangs_up_on_a_whole_answer_has_not_had_it(heard: Heard) -> None:
    """Its slot is held to the answer's end, for the LiteLLM goes on counting it."""
    theirs, ours = heard.rows("left-whole")
    assert theirs["outcome"] in RACE
    assert ours["outcome"] == "client_abandoned"
    assert ours["completion_tokens"] == 30
    assert min(ours["total"], theirs["total"]) > 1000 + SLACK_MS


def test_an_engine_that_died_has_not_completed_its_answer(heard: Heard) -> None:
    theirs, ours = heard.rows("died")
    assert (theirs["outcome"], ours["outcome"]) == ("completed", "upstream_error")


def test_who_is_cancelled_is_told_by_a_status_of_http(heard: Heard) -> None:
    theirs, ours = heard.rows("cancelled")
    assert theirs["outcome"] == ours["outcome"] == "cancelled_queued"
    assert [answer.split()[1] for answer in heard.answers["cancelled"]] == [b"499", b"503"]
    assert b"x-should-retry: false" in heard.answers["cancelled"][1]


def test_a_callers_mistake_is_no_error_of_the_engine(heard: Heard) -> None:
    theirs, ours = heard.rows("bad")
    assert (theirs["outcome"], ours["outcome"]) == ("upstream_error", "upstream_refused")


def test_tokens_of_a_stream_of_text_are_counted(heard: Heard) -> None:
    theirs, ours = heard.rows("text")
    assert (theirs["completion_tokens"] or 0, ours["completion_tokens"]) == (0, 10)
    assert theirs["ttft"] is None
    assert ours["ttft"] > 0


def test_a_path_without_v1_waits_and_leaves_a_record(heard: Heard) -> None:
    theirs, ours = heard.rows("bare")
    assert theirs == {}
    assert (ours["outcome"], ours["completion_tokens"]) == ("completed", 9)


def test_what_still_runs_is_in_every_answer(heard: Heard) -> None:
    listed = [[row for row in said["requests"] if row["workload"] == "long"] for said in heard.edge["requests"]]
    assert listed[0] == []
    assert [row["phase"] for row in listed[1]] == ["running"]
    theirs, ours = heard.edge["timeline"]
    assert theirs["models"]["one"]["active"][-1] < 0.1
    until, start = ours["window"]["until"], ours["buckets"][-1]
    share = (until - max(start, listed[1][0]["t_enqueue"])) / (until - start)
    assert ours["models"]["one"]["active"][-1] == pytest.approx(share, abs=0.05)
    (of_one,) = (row for row in heard.edge["models"][1]["models"] if row["model"] == "one")
    assert of_one["running"] == 1


def test_retries_are_told_apart_from_demand(heard: Heard) -> None:
    ours = heard.model("four")[1]
    assert (ours["retries"], ours["demand"]) == (1, ours["requests"] - 1)
    assert "retries" not in heard.model("four")[0]


def test_few_values_have_no_95th_percentile_and_few_samples_no_solo_speed(heard: Heard) -> None:
    theirs, ours = heard.model("one")
    assert theirs["latency_ms"]["total_p95"] is not None
    assert ours["latency_ms"]["total_p95"] is None
    assert ours["latency_ms"]["samples"]["total"] == ours["requests"]
    assert theirs["decode_solo_tok_s"] is not None  # of a single call
    assert ours["decode_solo_tok_s"] is None


def test_the_time_to_the_first_token_is_told_from_the_callers_side(heard: Heard) -> None:
    """Theirs begins with the slot; ours with the request, whose wait its caller has felt."""
    for name in ALONE:
        theirs, ours = heard.rows(name)
        assert ours["ttft"] - ours["queue_wait"] == pytest.approx(theirs["ttft"], abs=2 * SLACK_MS)
