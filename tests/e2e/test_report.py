"""`penstock report` beside a gateway that runs, and after it has ended, on both databases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import Program, chat_body, engine_cmd, id_of, run
from tests.fakes import in_loop
from tests.store.both import KINDS, environ_for

CONFIG = f"""penstock: 1
devices: {{gpu0: {{memory: 1GiB}}}}
models:
  a: {{cmd: {engine_cmd()}, memory: 1MiB, parallel: 1}}
  b: {{cmd: {engine_cmd()}, memory: 1MiB}}
  remote: {{upstream: "http://127.0.0.1:9"}}
"""


def reported(folder: Path, *argv: str, **environ: str) -> Any:
    ended = run("report", "--json", *argv, home=folder, **environ)
    assert (ended.returncode, ended.stderr) == (0, "")
    return json.loads(ended.stdout)


async def some_calls(program: Program) -> set[str]:
    """Of two models and two workloads; one was left, one refused, one failed. Their ids."""
    nightly = "x-penstock-workload: nightly\r\n"
    answers = [
        await program.chat("a", headers=nightly, fake={"tokens": 5}),
        await program.chat("b", headers=nightly, fake={"tokens": 7}),
        await program.chat("a", headers="x-stainless-retry-count: 1\r\n"),
        await program.chat("nobody"),
        await program.chat("remote"),
    ]
    holding = program.request("/v1/chat/completions", chat_body("a", fake={"gate_at": 0}))
    async with program.talk(holding):
        await program.seen("a", requests=3)
    await program.until_no_record_is_open()
    return set(map(id_of, answers))


@pytest.mark.parametrize("kind", KINDS)
@in_loop
async def test_it_says_the_same_whether_the_gateway_runs_or_not(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    environ = environ_for(kind, request)
    with Program(tmp_path, CONFIG, **environ) as program:
        await program.closed_records(await some_calls(program))
        beside = reported(tmp_path, "--last", "1h", **environ)
        assert program.stop() == 0
    total = beside["total"]
    assert (total["requests"], total["retries"], total["completed"], total["abandoned"]) == (6, 1, 3, 1)
    assert (total["rejected"], total["errored"]) == (1, 1)
    by_model = {row["name"]: row for row in beside["models"]}
    assert by_model.keys() == {"a", "b", "remote", "(unknown)"}
    assert (by_model["a"]["loads"], by_model["b"]["loads"], by_model["remote"]["loads"]) == (1, 1, 0)
    assert by_model["a"]["gpu_s"] > 0
    assert by_model["remote"]["gpu_s"] is None
    assert {row["name"] for row in beside["workloads"]} == {"nightly", "(untagged)"}
    assert {row["name"]: row["loads"] for row in beside["workloads"]} == {"nightly": 2, "(untagged)": 0}

    after = reported(tmp_path, "--last", "1h", **environ)
    for dimension in ("models", "keys", "workloads", "total", "first_at"):
        assert after[dimension] == beside[dimension]


@in_loop
async def test_what_runs_is_in_it_and_a_page_is_written_beside_it(tmp_path: Path) -> None:
    with Program(tmp_path, CONFIG) as program:
        assert (await program.chat("a")).status == 200
        holding = program.request("/v1/chat/completions", chat_body("a", fake={"gate_at": 0}))
        async with program.talk(holding):
            await program.seen("a", requests=2)
            assert (await program.chat("b")).status == 200  # a later one is in the store: so is that
            await program.closed_records({id_of(await program.chat("b"))})
            total = reported(tmp_path)["total"]
            assert (total["requests"], total["running"]) == (4, 1)
        told = run("report", home=tmp_path)
        assert "MODEL" in told.stdout
        page = run("report", "--html", "week.html", "--last", "1h", home=tmp_path)
        assert (page.returncode, page.stdout) == (0, "week.html is written\n")
        assert (tmp_path / "week.html").read_text().count("<svg") == 4


def test_before_any_gateway_there_is_nothing_to_report(tmp_path: Path) -> None:
    said = run("report", home=tmp_path)
    assert said.returncode == 1
    assert "no gateway has kept records there yet" in said.stderr
