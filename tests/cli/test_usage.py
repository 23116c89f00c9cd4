"""`penstock usage`: tables from a gateway; alone beside a store; rollups made anew."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from penstock.cli import usage_shown as shown
from penstock.cli.main import app
from penstock.store.sqlite import SqliteStore
from tests.core.accounting.courses import NOW
from tests.store.queries.histories import fill, sharing
from tests.store.queries.test_rollups import some_history

PENSTOCK = str(Path(sys.executable).with_name("penstock"))


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    store = SqliteStore(tmp_path / "penstock.db")
    store.prepare()
    fill(store, some_history(), sharing())
    store.close()
    return f"sqlite:///{tmp_path / 'penstock.db'}"


@contextmanager
def alone(tmp_path: Path, store_url: str, *flags: str) -> Iterator[str]:
    """The address of a `penstock usage --listen`."""
    argv = [PENSTOCK, "usage", "--store", store_url, "--state-dir", str(tmp_path), "--listen", "127.0.0.1:0", *flags]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://[\d.]+:\d+", process.stdout.readline())
        assert found is not None
        try:
            yield found[0]
        finally:
            process.send_signal(signal.SIGINT)
            process.stdout.read()
    assert process.returncode in (0, -signal.SIGINT)


def get(url: str, **headers: str) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return json.load(answer)


def test_alone_it_answers_about_a_store_and_prints_tables(tmp_path: Path, store_url: str) -> None:
    window = f"from={NOW - 8000}&to={NOW}"
    with alone(tmp_path, store_url) as url:
        found = get(f"{url}/usage/models?{window}")
        assert sorted(row["model"] for row in found["models"]) == ["a", "b"]
        assert get(f"{url}/models?{window}")["models"] == found["models"]
        for subject in ("models", "consumers", "workloads", "requests", "loads", "health"):
            printed = CliRunner().invoke(app, ["usage", subject, "--url", url, "--last", "366d"])
            assert printed.exit_code == 0, printed.output
        as_json = CliRunner().invoke(
            app, ["usage", "requests", "--limit", "3", "--json", "--url", url, "--last", "366d"]
        )
        assert json.loads(as_json.output)["limit"] == 3


def test_with_a_key_it_answers_only_who_shows_it(tmp_path: Path, store_url: str) -> None:
    with alone(tmp_path, store_url, "--key", "s3cret") as url:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            get(f"{url}/usage/now")
        assert get(f"{url}/usage/now", Authorization="Bearer s3cret")["queue_available"] is False


def test_beyond_this_machine_it_wants_a_key(tmp_path: Path, store_url: str) -> None:
    argv = ["usage", "--store", store_url, "--state-dir", str(tmp_path), "--listen", "0.0.0.0:0"]
    assert CliRunner().invoke(app, argv).exit_code == 2


def test_a_window_that_makes_no_sense_is_said(tmp_path: Path, store_url: str) -> None:
    with alone(tmp_path, store_url) as url:
        said = CliRunner().invoke(app, ["usage", "--url", url, "--last", "soon"])
        assert said.exit_code == 1
        assert "write 30m, 24h or 90d" in said.output


def test_where_no_gateway_answers_the_exit_code_says_so() -> None:
    assert CliRunner().invoke(app, ["usage", "--url", "http://127.0.0.1:9"]).exit_code == 4


def test_rollups_are_made_anew(tmp_path: Path, store_url: str) -> None:
    argv = ["usage", "--rebuild", "--store", store_url, "--state-dir", str(tmp_path)]
    done = CliRunner().invoke(app, argv)
    assert (done.exit_code, "made anew" in done.output) == (0, True)
    with alone(tmp_path, store_url) as url:
        assert get(f"{url}/usage/health")["minutes_not_rolled_up"] == 0


def test_a_row_says_what_runs_and_what_is_unknown() -> None:
    row = shown.usage_row(
        "ann",
        {
            "requests": 1, "retries": 1, "completed": 1, "abandoned": 1, "errored": 1, "rejected": 1,
            "running": 1, "waiting": 1, "prompt_tokens": None, "cached_tokens": 0, "completion_tokens": 7,
            "service_s": 9.6, "latency_ms": {"waited_p50": 12.4, "waited_p95": 2500.0, "ttft_p50": None},
        },
    )  # fmt: skip
    assert row == ["ann", "1", "1", "1", "1", "1", "1", "1+1", "-", "0", "7", "10 s", "12 ms", "2.5 s", "-"]
