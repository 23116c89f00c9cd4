"""The operator's commands against a running gateway: what they do, say and exit with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from subprocess import CompletedProcess

import pytest

from tests.e2e.program import Program, engine_cmd, run
from tests.fakes import in_loop

CONFIG = f"""
penstock: 1
models:
  a: {{cmd: {engine_cmd()}, parallel: 1, memory: 1MiB, aliases: ["[bold]big[/bold]"]}}
  none: {{cmd: "/no/such/engine --port ${{PORT}}", memory: 1MiB}}
preload: [a]
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("operating"), CONFIG) as program:
        yield program


def tell(program: Program, *argv: str) -> CompletedProcess[str]:
    return run(*argv, home=program.folder, PENSTOCK_URL=program.url, COLUMNS="200")


def said(program: Program, *argv: str) -> str:
    done = tell(program, *argv)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def shown_id(table: str, word: str) -> str:
    """The first cell of the row with this word: what a person copies."""
    return next(line.split()[0] for line in table.splitlines() if word in line)


@in_loop
async def test_who_waits_is_listed_raised_and_cancelled(program: Program) -> None:
    await program.until_phase("a", "ready")
    holder = asyncio.create_task(program.chat("a", fake={"gate_at": 0}))
    await program.seen("a", busy=1)
    call = asyncio.create_task(program.chat("a"))
    await program.until_waiting(1)
    found = json.loads(said(program, "queue", "a", "--json"))
    assert (found["waiting"], len(found["calls"])) == (1, 1)
    call_id = found["calls"][0]["id"]
    assert call_id[-12:] in said(program, "queue")
    assert "model_cap" in said(program, "queue")
    assert said(program, "priority", call_id, "high") == f"{call_id}: high, place 0"
    assert said(program, "priority", shown_id(said(program, "ps"), "queued"), "normal").startswith(call_id)
    assert tell(program, "cancel", "").returncode == 1
    shown = shown_id(said(program, "queue"), "model_cap")
    assert said(program, "cancel", shown) == "cancelled 1 call waiting and 0 calls running"
    assert (await call).status == 503
    assert tell(program, "cancel", call_id).returncode == 1
    assert json.loads(said(program, "cancel", "--model", "a", "--running", "--json"))["count"] == 1
    assert (await holder).status == 503


@in_loop
async def test_models_are_paused_pinned_and_unloaded(program: Program) -> None:
    await program.until_phase("a", "ready")
    assert said(program, "pause", "a") == "paused: a"
    assert said(program, "resume", "--all") == "paused: nothing"
    assert said(program, "pin", "a") == "a: ready, pinned"
    assert "ready, pinned" in said(program, "models")
    assert said(program, "unpin", "a") == "a: ready"
    assert said(program, "unload", "a") == "a: stopping"
    await program.until_phase("a", "stopped")
    assert said(program, "load", "a") == "a: starting"


@in_loop
async def test_a_model_that_failed_is_listed_with_the_reason(program: Program) -> None:
    assert "none failed" not in said(program, "models")
    assert (await program.chat("none")).status == 503
    listed = said(program, "models")
    assert "none failed: /no/such/engine: command not found; correct the path in `cmd`" in listed
    assert "[bold]big[/bold]" in listed


def test_a_list_that_goes_into_a_pipe_is_not_cut_to_the_width_of_some_terminal(program: Program) -> None:
    shown = run("models", home=program.folder, PENSTOCK_URL=program.url).stdout.splitlines()
    assert next(line for line in shown if "[bold]" in line).split()[-1] == "[bold]big[/bold]"


def test_what_cannot_be_done_says_why_by_its_exit_code(program: Program) -> None:
    unknown = tell(program, "load", "x")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "`x` does not exist. `penstock models`" in unknown.stderr
    assert "No call `x` waits or runs: it has ended, or never was. `penstock ps`" in tell(program, "cancel", "x").stderr
    assert tell(program, "cancel").returncode == 2
    assert tell(program, "pause").returncode == 2
    assert tell(program, "priority", "x", "urgent").returncode == 2
    away = run("queue", home=program.folder, PENSTOCK_URL="http://127.0.0.1:1")
    assert away.returncode == 4
    assert "is `penstock serve` running?" in away.stderr


def test_a_proxy_of_the_environment_is_not_asked_for_a_gateway_on_this_machine(program: Program) -> None:
    done = run("models", home=program.folder, PENSTOCK_URL=program.url, http_proxy="http://127.0.0.1:1", no_proxy="")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("address", ["nonsense", "http://127.0.0.1:port", "http://[", "ftp://x"])
def test_an_address_that_is_none_is_told_in_a_line(program: Program, address: str) -> None:
    away = run("models", home=program.folder, PENSTOCK_URL=address)
    assert (away.returncode, away.stdout) == (4, "")
    assert address in away.stderr
    assert len(away.stderr.splitlines()) == 1
