from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from penstock.cli.export import ExportOptions, export, moment, window_of
from penstock.cli.where import Where
from penstock.config.store_address import sqlite_address
from penstock.store.base import Checkpoint, Window
from penstock.store.sqlite import SqliteStore
from tests.store.some_calls import an_open_call, ended, rows

NOW = 1_700_000_000.0


def a_place(folder: Path) -> Where:
    """With one call in it."""
    store = SqliteStore(folder / "penstock.db")
    store.prepare()
    store.upsert(rows(ended(an_open_call())), [], Checkpoint("g", "s", 1))
    store.close()
    return Where(sqlite_address(folder / "penstock.db"), folder)


@pytest.mark.parametrize(
    ("asked", "window"),
    [
        (("24h", None, None), Window(NOW - 86_400, NOW)),
        ((None, None, None), Window(None, None)),
        ((None, "1000", None), Window(1000.0, NOW)),
        ((None, "1000", "2000.5"), Window(1000.0, 2000.5)),
        ((None, "2023-11-14T00:00:00Z", None), Window(1_699_920_000.0, NOW)),
    ],
)
def test_a_window_is_a_span_back_from_now_or_from_and_to(
    asked: tuple[str | None, str | None, str | None], window: Window
) -> None:
    assert window_of(*asked, now=NOW) == window


@pytest.mark.parametrize(
    "asked",
    [
        ("soon", None, None),
        ("0", None, None),
        ("0s", None, None),
        ("1h", "1000", None),
        (None, "2000", "1000"),
        (None, "next year", None),
        (None, "nan", None),
        (None, None, "nan"),
        (None, None, "inf"),
        (None, "-1e400", None),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(asked: tuple[str | None, str | None, str | None]) -> None:
    with pytest.raises(ValueError, match=r"no length|not both|before|no moment"):
        window_of(*asked, now=NOW)


def test_a_moment_is_utc_wherever_the_machine_stands_unless_it_names_its_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        assert moment("1970-01-02") == moment("1970-01-02T00:00:00Z") == 86_400.0
        assert moment("1970-01-01T00:00:00+01:00") == -3600.0
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_ending_of_the_file_says_the_form(tmp_path: Path) -> None:
    place = a_place(tmp_path)
    for name, begins in (("a.csv", b"id,"), ("a.jsonl", b'{"id"'), ("a.txt", b'{"id"'), ("a.parquet", b"PAR1")):
        if name == "a.parquet":
            pytest.importorskip("pyarrow", reason="pyarrow is not installed")
        assert export(place, ExportOptions(output=tmp_path / name)) == 0
        assert (tmp_path / name).read_bytes().startswith(begins)


def test_a_file_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(a_place(tmp_path), ExportOptions(output=tmp_path / "no" / "a.csv")) == 1
    assert "No such file" in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["penstock.db"]


def test_parquet_is_no_text_for_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(a_place(tmp_path), ExportOptions(format="parquet")) == 2
    assert "name one with -o" in capsys.readouterr().err


def test_without_pyarrow_it_is_said_how_to_get_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place, hidden = a_place(tmp_path), {name: sys.modules.pop(name) for name in list(sys.modules) if "pyarrow" in name}
    sys.modules["pyarrow"] = None  # type: ignore[assignment]  # as if it were not there
    try:
        assert export(place, ExportOptions(output=tmp_path / "a.parquet")) == 1
    finally:
        del sys.modules["pyarrow"]
        sys.modules.update(hidden)
    assert "pip install 'penstock[parquet]'" in capsys.readouterr().err
    assert not (tmp_path / "a.parquet").exists()
