from __future__ import annotations

from pathlib import Path

import pytest
import typer

from penstock.cli.where import opened, where, where_or_exit
from penstock.config.store_address import read_address, sqlite_address


def a_config(folder: Path, text: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(text)
    return path


def test_the_file_says_where_records_and_state_are(tmp_path: Path) -> None:
    config = a_config(tmp_path, "penstock: 1\nstate_dir: /state\nstore: {url: 'sqlite:///x/calls.db'}\n")
    found = where({}, config=config)
    assert (found.address.path, found.state_dir) == (tmp_path / "x" / "calls.db", Path("/state"))
    assert where({}, config=config, store="postgresql://h/d").address.is_postgres


def test_without_anything_said_it_is_the_usual_place(tmp_path: Path) -> None:
    found = where({"XDG_STATE_HOME": str(tmp_path), "HOME": str(tmp_path)})
    assert found.address == sqlite_address(tmp_path / "penstock" / "penstock.db")


def test_a_file_of_another_system_will_do(tmp_path: Path) -> None:
    config = a_config(tmp_path, "model_list:\n- model_name: a\n  litellm_params: {model: openai/a}\n")
    assert where({"HOME": str(tmp_path)}, config=config, state_dir=tmp_path).address.path == tmp_path / "penstock.db"


@pytest.mark.parametrize(
    ("text", "store", "code", "said"),
    [
        ("penstock: 1\nstore: {keep: soon}\n", None, 3, "c.yaml:2"),
        ("penstock: 1\n", "x", 2, "--store: expected sqlite"),
    ],
)
def test_what_is_wrong_is_printed_and_ends_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, store: str | None, code: int, said: str
) -> None:
    with pytest.raises(typer.Exit) as caught:
        where_or_exit({"HOME": str(tmp_path)}, config=a_config(tmp_path, text), store=store)
    assert caught.value.exit_code == code
    assert said in capsys.readouterr().err


def test_a_store_that_is_away_ends_the_command_and_its_password_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for url in (f"sqlite:///{tmp_path}/no/penstock.db", "postgresql://me:hunter2@127.0.0.1:9/d"):
        with pytest.raises(typer.Exit) as caught, opened(read_address(url)):
            raise AssertionError("it cannot be opened")
        assert caught.value.exit_code == 1
    said = capsys.readouterr().err
    assert said.count("is away") == 2
    assert "hunter2" not in said
