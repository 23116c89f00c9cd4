"""`penstock simulate`, from the command line to the report."""

from __future__ import annotations

import io
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from penstock.cli.main import app
from penstock.cli.simulate import SimulateOptions, simulate
from penstock.store.sqlite import SqliteStore
from tests.simulate.worlds import SMALL


def simulated(options: SimulateOptions) -> tuple[int, str]:
    out = io.StringIO()
    return simulate(options, environ={"PATH": ""}, out=out), out.getvalue()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.json"
    path.write_text(json.dumps(SMALL))
    return path


def test_a_scenario_file_is_compared_under_all_policies(small: Path, tmp_path: Path) -> None:
    html = tmp_path / "small.html"
    result = CliRunner().invoke(app, ["simulate", str(small), "--seeds", "1-2", "--html", str(html)])
    assert result.exit_code == 0, result.output
    assert "small (seeds 1, 2)" in result.output
    for policy in ("penstock", "fifo", "collating", "cost-pool", "lru"):
        assert f"\n  {policy} " in result.output
    ElementTree.fromstring(html.read_text().removeprefix("<!DOCTYPE html>\n"))


def test_json_is_for_machines(small: Path) -> None:
    code, text = simulated(SimulateOptions((str(small),), policies="fifo", seeds="3", as_json=True))
    (told,) = json.loads(text)
    assert (code, told["scenario"], told["policies"]["fifo"]["seeds"]) == (0, "small", [3])
    assert told["policies"]["fifo"]["overall"]["calls"] == 2


def test_a_shipped_scenario_goes_by_its_name() -> None:
    code, text = simulated(SimulateOptions(("abc",), policies="collating", seeds="1", as_json=True))
    assert (code, json.loads(text)[0]["policies"]["collating"]["overall"]["calls"]) == (0, 300)


def test_a_bad_scenario_is_told_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({**SMALL, "budget": "much"}, indent=1))
    assert simulated(SimulateOptions((str(path),))) == (3, "")
    assert 'budget: found "much", expected a valid number' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (SimulateOptions(policies="magic"), "`magic` is unknown; expected `all`, or some of `penstock`, `fifo`"),
        (SimulateOptions(seeds="one"), "--seeds one: expected numbers"),
        (SimulateOptions(seeds="5-1"), "--seeds 5-1: expected at least one seed"),
        (SimulateOptions(seeds="1-99999"), "--seeds 1-99999: expected at most 1000 seeds"),
        (SimulateOptions(config=Path("c.yaml")), "it needs --from-store"),
        (SimulateOptions(from_store=True), "--from-store needs --config"),
        (SimulateOptions(("abc",), from_store=True), "exclude each other"),
    ],
)
def test_a_bad_option_is_told(options: SimulateOptions, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulated(options) == (2, "")
    assert told in capsys.readouterr().err


def past(number: int, model: str, ago_s: float, admitted_s: float | None = 3.1) -> dict[str, object]:
    """A row of the store: a call that waited for the load that it caused, if it is the first."""
    return {
        "id": f"r{number}", "gateway_id": "g", "boot_id": "b", "gateway_version": "1", "method": "POST", "path": "/",
        "dialect": "openai", "received_at": time.time() - ago_s, "model": model, "key": "ann", "priority": "normal",
        "enqueued_s": 0.1, "admitted_s": admitted_s, "done_s": 8.1, "outcome": "completed",
        "prompt_tokens_estimated": 100, "count": 1, "caused_load": number == 1, "wait_reasons": '{"loading": 3.0}',
    }  # fmt: skip


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A state folder with a store, and a configuration to try."""
    store = SqliteStore(tmp_path / "penstock.db")
    store.prepare()
    store.close()
    rows = [past(1, "a", 60), past(2, "a", 58), past(3, "gone", 50), past(4, "a", 40, None), past(5, "a", 9 * 86400)]
    with closing(sqlite3.connect(tmp_path / "penstock.db")) as connection, connection:
        for row in rows:
            places = ", ".join(f":{name}" for name in row)
            connection.execute(f"INSERT INTO calls ({', '.join(row)}) VALUES ({places})", row)
    (tmp_path / "other.yaml").write_text(
        "penstock: 1\ndevices: {gpu: {memory: 8GiB}}\nmodels: {a: {cmd: 'sh ${PORT}', parallel: 2, memory: 1GiB}}\n"
    )
    return tmp_path


def from_store(folder: Path, **fields: object) -> SimulateOptions:
    options = {"from_store": True, "config": folder / "other.yaml", "state_dir": folder, "as_json": True, **fields}
    return SimulateOptions(**options)  # type: ignore[arg-type]


def test_recorded_calls_run_under_another_configuration(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = simulated(from_store(recorded, last="24h"))
    assert "1 calls left out" in capsys.readouterr().err
    assert code == 0
    numbers = json.loads(text)[0]["policies"]["penstock"]
    # The load took 3 s once; the second call, which came 2 s later, now finds a slot beside the first.
    assert numbers["loads"] == {"count": 1.0, "seconds": 3.0}
    assert (numbers["overall"]["calls"], numbers["overall"]["mean_s"]) == (2.0, pytest.approx(7.0, abs=0.1))


def test_a_window_without_calls_is_told(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulated(from_store(recorded, last="1s")) == (1, "")
    assert "no served call of the last 1s" in capsys.readouterr().err
    assert simulated(from_store(recorded, last="soon")) == (2, "")


def test_a_store_that_is_not_there_is_not_made(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = recorded / "elsewhere"
    elsewhere.mkdir()
    assert simulated(from_store(recorded, state_dir=elsewhere)) == (1, "")
    assert "cannot be read as a store of records" in capsys.readouterr().err
    assert not list(elsewhere.iterdir())


def test_a_bad_configuration_is_told_with_its_place(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (recorded / "other.yaml").write_text("penstock: 1\nttl: soon\n")
    assert simulated(from_store(recorded)) == (3, "")
    assert "other.yaml:2:6: ttl" in capsys.readouterr().err
