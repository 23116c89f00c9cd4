"""The usage API beside a store, as somebody meets it: any text in a filter, restarts, records that come."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_usage import alone
from tests.core.accounting.courses import NOW
from tests.store.both import KINDS, new_url, prepared
from tests.store.queries.histories import AnyStore, fill, sharing
from tests.store.queries.test_rollups import some_history

pytestmark = pytest.mark.timeout(180)

HOSTILE = (
    "'; DROP TABLE calls; --", "%", "_", "\\", "x" * 5000, "\U0001f600", "", " ", "NULL", "a' OR '1'='1", "\ud800",
    "\x00", "(unknown)", "none", "(untagged)", "NaN", "-1", "1e400", "%00", "../..", "<script>",
)  # fmt: skip
WINDOW = f"from={NOW - 8000}&to={NOW}"


@dataclass(frozen=True, slots=True)
class World:
    store: AnyStore
    url: str


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    url = new_url(request.param, tmp_path, request)
    with prepared(url) as store:
        fill(store, some_history(), sharing())
        yield World(store, url)


def get(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def quoted(text: str) -> str:
    return urllib.parse.quote(text.encode("utf-8", "surrogatepass"))


def test_whatever_stands_in_a_filter_is_an_answer_or_a_plain_refusal(world: World, tmp_path: Path) -> None:
    with alone(tmp_path, world.url) as url:
        for text in HOSTILE:
            for member in ("model", "key", "workload"):
                for kind in ("models", "timeline", "requests"):
                    status, found = get(f"{url}/usage/{kind}?{WINDOW}&{member}={quoted(text)}")
                    assert status == (400 if text == "\x00" else 200), (kind, member, text, found)
            for asked in (
                f"requests?cursor={quoted(text)}",
                f"requests?cursor=1_{quoted(text)}",
                f"now?{quoted(text)}=1",
            ):
                assert get(f"{url}/usage/{asked}")[0] in (200, 400), (asked, text)
            for member in ("last", "from", "to", "outcome", "limit", "open"):
                status, found = get(f"{url}/usage/requests?{member}={quoted(text)}")
                assert (status, found["error"]["code"]) == (400, "invalid_request"), (member, text, found)
        assert len(get(f"{url}/usage/requests?limit=1000")[1]["requests"]) == len(some_history())


def test_it_may_end_and_begin_again_and_knows_what_came_meanwhile(world: World, tmp_path: Path) -> None:
    with alone(tmp_path, world.url) as url:
        before = get(f"{url}/usage/models?{WINDOW}")[1]["models"]
    fill(world.store, [some_history()[0]._replace(id="new")])
    with alone(tmp_path, world.url) as url:
        after = get(f"{url}/usage/models?{WINDOW}")[1]["models"]
    assert [row["requests"] for row in after] == [row["requests"] + (row["model"] == "a") for row in before]


def test_pages_hold_every_call_once_while_more_of_them_arrive(world: World, tmp_path: Path) -> None:
    seen: list[str] = []
    cursor = ""
    with alone(tmp_path, world.url) as url:
        while True:
            status, page = get(f"{url}/usage/requests?limit=7{cursor}")
            assert status == 200
            seen += [row["id"] for row in page["requests"]]
            new = some_history()[len(seen) % 60]
            fill(world.store, [new._replace(id=f"new{len(seen)}", received_at=NOW + len(seen))])
            if page["next"] is None:
                break
            cursor = f"&cursor={quoted(page['next'])}"
    assert [each for each in seen if not each.startswith("new")] == [call.id for call in some_history()[::-1]]
    assert len(seen) == len(set(seen))
