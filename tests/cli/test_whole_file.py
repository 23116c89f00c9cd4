"""What is written into a file with a name, whatever that name leads to."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from penstock.cli.whole_file import whole_file


def write(path: Path, text: bytes = b"new") -> None:
    with whole_file(path) as file:
        file.write(text)


def fail(path: Path) -> None:
    with whole_file(path) as file:
        file.write(b"half")
        raise OSError("the disk is full")


def test_a_file_is_new_when_it_is_whole_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="full"):
        fail(path)
    assert path.read_bytes() == b"old"
    write(path)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_link_leads_to_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for target in (tmp_path / "there" / "a.csv", tmp_path / "there" / "not yet.csv"):
        link = tmp_path / target.name
        link.symlink_to(target)
        write(link)
        assert link.is_symlink()
        assert target.read_bytes() == b"new"


def test_what_is_no_file_stays_what_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reading = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reading.start()
    write(pipe, b"through")
    reading.join()
    assert read == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]
