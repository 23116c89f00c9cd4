"""`penstock report` as it is called: what it prints, writes and refuses, and with which exit code."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner, Result

from penstock.cli.main import app
from tests.cli.reports import HOSTILE, a_store, a_week
from tests.core.accounting.courses import NOW
from tests.store.postgres_server import Server, a_postgres_server

WINDOW = ("--from", str(NOW - 7 * 86_400), "--to", str(NOW))


@pytest.fixture(scope="module")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return a_store(tmp_path_factory.mktemp("week"), a_week())


def called(folder: Path, store: str, *argv: str) -> Result:
    return CliRunner().invoke(app, ["report", "--store", store, "--state-dir", str(folder), *argv])


def test_it_prints_tables(tmp_path: Path, store_url: str) -> None:
    said = called(tmp_path, store_url, *WINDOW)
    assert (said.exit_code, said.stderr) == (0, "")
    assert "Penstock, 2023-11-07 22:20 UTC to 2023-11-14 22:20 UTC\n" in said.stdout
    assert all(f"\n{head} " in said.stdout for head in ("MODEL", "KEY", "WORKLOAD"))
    assert "qwen3:14b" in said.stdout
    assert "\x1b" not in said.stdout


def test_for_machines_it_has_everything_that_was_asked_for(tmp_path: Path, store_url: str) -> None:
    said = called(tmp_path, store_url, "--json", "--by", "key", "--by", "model", *WINDOW)
    found = json.loads(said.stdout)
    assert {row["name"] for row in found["models"]} == {HOSTILE, "qwen3:14b", "größe-大"}
    assert found["total"]["requests"] == 1008
    assert found["total"]["gpu_s"] > 0
    assert "workloads" not in found
    assert sum(part["requests"] for part in found["parts"]) == 1008


def test_a_page_is_written_as_a_whole_and_named_by_its_last_day(tmp_path: Path, store_url: str) -> None:
    with chdir(tmp_path):
        said = called(tmp_path, store_url, "--html", *WINDOW)
    assert said.stdout == "penstock-report-2023-11-14.html is written\n"
    page = (tmp_path / "penstock-report-2023-11-14.html").read_text()
    ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    assert called(tmp_path, store_url, "--html", "-", *WINDOW).stdout == page
    assert called(tmp_path, store_url, "--html", str(tmp_path / "week.html"), *WINDOW).exit_code == 0
    assert (tmp_path / "week.html").read_text() == page
    assert sorted(os.listdir(tmp_path)) == ["penstock-report-2023-11-14.html", "week.html"]


def test_a_page_that_cannot_be_written_is_told_with_its_name(tmp_path: Path, store_url: str) -> None:
    said = called(tmp_path, store_url, "--html", str(tmp_path / "no" / "week.html"))
    assert said.exit_code == 1
    assert said.stderr == f"penstock: {tmp_path / 'no' / 'week.html'}: No such file or directory\n"


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("--last", "soon"), "write 30m, 24h or 90d"),
        (("--from", "yesterday"), "is no moment"),
        (("--from", "2026-02-01", "--to", "2026-01-01"), "must be before"),
        (("--by", "colour"), "colour"),
        (("--json", "--html"), "not both"),
        (("week.html",), "--html week.html"),
    ],
)
def test_what_is_asked_wrongly_is_said(tmp_path: Path, store_url: str, argv: tuple[str, ...], why: str) -> None:
    said = called(tmp_path, store_url, *argv)
    assert (said.exit_code, said.stdout) == (2, "")
    assert why in re.sub(r"\s*│?\n│?\s*", " ", said.stderr)


def test_an_empty_store_is_no_failure(tmp_path: Path) -> None:
    store = a_store(tmp_path, [])
    said = called(tmp_path, store)
    assert said.exit_code == 0
    assert "There are no calls in the store yet" in said.stdout
    assert json.loads(called(tmp_path, store, "--json").stdout)["models"] == []
    page = called(tmp_path, store, "--html", "-")
    assert page.exit_code == 0
    assert "There are no calls in the store yet" in page.stdout


def test_where_there_is_no_store_that_is_said(tmp_path: Path) -> None:
    said = called(tmp_path, f"sqlite:///{tmp_path / 'nowhere.db'}")
    assert (said.exit_code, said.stdout) == (1, "")
    assert "no gateway has kept records there yet" in said.stderr
    assert not (tmp_path / "nowhere.db").exists()


def test_a_store_that_is_away_or_no_store_is_told_without_its_password(tmp_path: Path) -> None:
    away = called(tmp_path, "postgresql://me:hunter2@127.0.0.1:9/d")
    assert away.exit_code == 1
    assert "the store postgresql://me@127.0.0.1:9/d is away" in away.stderr
    (tmp_path / "penstock.db").write_text("notes\n" * 500)
    broken = called(tmp_path, f"sqlite:///{tmp_path / 'penstock.db'}")
    assert broken.exit_code == 1
    assert "hunter2" not in away.stderr + broken.stderr


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with a_postgres_server() as running:
        yield running


def test_a_database_of_others_is_told_from_a_store(tmp_path: Path, server: Server) -> None:
    said = called(tmp_path, server.new_database())
    assert said.exit_code == 1
    assert "no gateway has ever used that store" in said.stderr
