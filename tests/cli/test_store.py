from __future__ import annotations

from pathlib import Path

import pytest

from penstock.cli.export import ExportOptions, export
from penstock.cli.store import import_file, print_ddl
from penstock.cli.where import Where
from penstock.config.store_address import read_address, sqlite_address
from penstock.store.base import Kind
from tests.cli.test_export import a_place


@pytest.mark.parametrize(
    ("url", "only_there"), [("sqlite:///x.db", "json_each(wait_reasons)"), ("postgresql://h/d", "jsonb_agg(")]
)
def test_the_tables_are_printed_in_the_words_of_the_database_without_asking_it(
    capsys: pytest.CaptureFixture[str], url: str, only_there: str
) -> None:
    assert print_ddl(Where(read_address(url), Path())) == 0
    said = capsys.readouterr().out
    assert only_there in said
    for name in ("TABLE calls", "TABLE loads", "TABLE samples", "VIEW request_events", "VIEW model_loads"):
        assert f"CREATE {name} " in said
    assert "CREATE VIEW host_samples" in said


def test_records_come_back_from_a_file_into_a_store_that_is_made_for_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "calls.jsonl"
    assert export(a_place(tmp_path), ExportOptions(output=file)) == 0
    file.write_bytes(file.read_bytes() + b"nonsense\n")
    there = Where(sqlite_address(tmp_path / "new" / "penstock.db"), tmp_path)
    assert import_file(there, Kind.CALLS, file) == 1
    told = capsys.readouterr()
    assert told.out == "1 calls read, 1 left out\n"
    assert f"{file}:2: " in told.err
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert import_file(a_place(tmp_path), Kind.CALLS, tmp_path / "none.csv") == 1
    assert "none.csv: No such file" in capsys.readouterr().err


def test_parquet_is_refused_as_such_and_not_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "calls.parquet"
    file.write_bytes(b"PAR1" + bytes(100))
    assert import_file(a_place(tmp_path), Kind.CALLS, file) == 1
    assert "calls.parquet: Parquet cannot be read back; export JSON Lines or CSV" in capsys.readouterr().err
