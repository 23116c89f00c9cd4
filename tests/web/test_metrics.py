"""What Prometheus gets: every line in its format, and the figures of the health's details."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.access import hashed
from penstock.web.metrics import Metric, exposition
from tests.e2e.program import Program, engine_cmd, until
from tests.fakes import in_loop

CONFIG = f"penstock: 1\nmodels: {{a: {{cmd: {engine_cmd()}}}}}\n"
SAMPLE = re.compile(r'([a-z_]+(?:\{version="[^"\\\n]*"\})?) (-?[0-9.e+-]+|inf|nan)')


def read(text: str) -> dict[str, float]:
    """The samples by name, each with its HELP and TYPE before it. Raises AssertionError."""
    assert text == "" or text.endswith("\n")
    lines = text.splitlines()
    found = {}
    for about, kind, sample in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        match = SAMPLE.fullmatch(sample)
        assert match, sample
        bare = match[1].partition("{")[0]
        assert about.startswith(f"# HELP {bare} ")
        assert kind in (f"# TYPE {bare} gauge", f"# TYPE {bare} counter")
        found[match[1]] = float(match[2])
    return found


values = st.one_of(st.none(), st.integers(0, 10**15), st.floats(0, 1e15))


@given(st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), values))
def test_what_is_known_comes_back_as_it_was_and_what_is_unknown_is_left_out(values: dict[str, float | None]) -> None:
    told = exposition(Metric(name, "gauge", "Something.", value) for name, value in values.items())
    assert read(told) == {name: value for name, value in values.items() if value is not None}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("metrics"), CONFIG) as program:
        yield program


@in_loop
async def test_records_are_counted_when_the_store_has_them_and_the_lag_is_none_then(program: Program) -> None:
    for _ in range(3):
        assert (await program.chat("a")).status == 200

    async def are_stored() -> bool:
        return read((await program.get("/metrics")).body.decode()).get("penstock_records_stored_total") == 3

    await until(are_stored)
    answer = await program.get("/metrics")
    assert b"content-type: text/plain; version=0.0.4; charset=utf-8" in answer.head.lower()
    found = read(answer.body.decode())
    health = (await program.get("/health/detail")).json()
    assert (health["store"], found["penstock_store_up"]) == ("ok", 1)
    assert (found["penstock_journal_lag_bytes"], found["penstock_journal_lag_seconds"]) == (0, 0)
    assert found["penstock_records_lost_total"] == health["records_lost"] == 0
    assert found["penstock_bookkeeper_restarts_total"] == health["bookkeeper_restarts"] == 0


@in_loop
async def test_what_is_no_http_is_counted(program: Program) -> None:
    async def malformed() -> float:
        return read((await program.get("/metrics")).body.decode())["penstock_malformed_requests_total"]

    before = await malformed()
    await program.send(b"\x00\xff no request\r\n\r\n")
    assert await malformed() == before + 1


@in_loop
async def test_with_keys_only_who_may_look_is_told(tmp_path: Path) -> None:
    keys = f'keys:\n  ann: {{hash: "{hashed("sk-ann")}"}}\n  eve: {{hash: "{hashed("sk-eve")}", role: viewer}}\n'
    with Program(tmp_path, CONFIG + keys) as program:
        statuses = {}
        for key in ("none", "ann", "eve"):
            headers = f"authorization: Bearer sk-{key}\r\nconnection: close\r\n"
            answer = await program.send(program.request("/metrics", method="GET", headers=headers))
            statuses[key] = answer.status
    assert statuses == {"none": 401, "ann": 403, "eve": 200}
