from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.store.journal import Journal
from penstock.store.segments import MAX_LINE_BYTES, read_segment, segment_name, segments_in
from tests.store.some_calls import an_open_call


def a_segment(directory: Path, *pieces: bytes) -> Path:
    path = directory / segment_name(1, "b1")
    path.write_bytes(b"".join(pieces))
    return path


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    journal = Journal(tmp_path_factory.mktemp("line"), boot_id="b1", reserve_bytes=0)
    journal.opened(an_open_call())
    journal.close()
    return segments_in(journal.directory)[0].path.read_bytes()


def test_segments_come_in_the_order_written_and_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("00000010-a.jsonl", "00000002-z-y.jsonl", "123456789-b.jsonl", "reserve", "00000001.jsonl"):
        (tmp_path / name).touch()
    assert [(segment.number, segment.boot_id) for segment in segments_in(tmp_path)] == [
        (2, "z-y"),
        (10, "a"),
        (123456789, "b"),
    ]


def test_a_journal_that_was_never_written_has_no_segments(tmp_path: Path) -> None:
    assert segments_in(tmp_path / "nowhere") == []


def test_a_torn_last_line_is_handed_out_only_when_it_is_whole(tmp_path: Path, line: bytes) -> None:
    path = a_segment(tmp_path, line, line[:-7])
    lines, offset = read_segment(path, 0)
    assert (len(lines.rows), lines.bad, offset) == (1, [], len(line))
    assert read_segment(path, offset)[1] == offset
    path.write_bytes(line + line)
    lines, offset = read_segment(path, offset)
    assert (len(lines.rows), offset) == (1, 2 * len(line))


def test_garbage_between_two_lines_is_set_aside_with_its_place_and_reason(tmp_path: Path, line: bytes) -> None:
    lines, _ = read_segment(a_segment(tmp_path, line, b"\xff\x00 no json\r\n", b'{"id": 7}\n', line), 0)
    assert len(lines.rows) == 2
    first, second = lines.bad
    assert (first.offset, first.text) == (len(line), "\\xff\\0 no json\r")
    assert "malformed" in first.reason
    assert "Expected `str`" in second.reason


def test_a_line_of_a_kind_that_nobody_knows_is_set_aside(tmp_path: Path, line: bytes) -> None:
    lines, _ = read_segment(a_segment(tmp_path, b'{"kind":"dream","id":"x"}\n', b'{"kind":"load","id":7}\n', line), 0)
    assert (len(lines.rows), lines.loads, len(lines.bad)) == (1, [], 2)


def test_a_line_nested_too_deeply_is_set_aside(tmp_path: Path, line: bytes) -> None:
    lines, _ = read_segment(a_segment(tmp_path, b'{"zzz":' + b"[" * 50_000 + b"\n", line), 0)
    assert (len(lines.rows), len(lines.bad)) == (1, 1)


def test_a_file_is_read_in_bounded_pieces(tmp_path: Path, line: bytes) -> None:
    path = a_segment(tmp_path, line * 10)
    lines, offset = read_segment(path, 0, limit_bytes=3 * len(line) + 5)
    assert (len(lines.rows), offset) == (3, 3 * len(line))


def test_a_line_without_an_end_does_not_stop_the_reading(tmp_path: Path, line: bytes) -> None:
    path = a_segment(tmp_path, b"x" * (MAX_LINE_BYTES + 5), b"\n", line)
    reasons, records, offset = [], 0, 0
    while (read := read_segment(path, offset))[1] != offset:
        reasons += [bad.reason for bad in read[0].bad]
        records, offset = records + len(read[0].rows), read[1]
    assert reasons[0] == "line too long"
    assert (len(reasons), records, offset) == (2, 1, path.stat().st_size)


@given(st.lists(st.binary(max_size=50).filter(lambda piece: b"\n" not in piece), max_size=8))
def test_no_bytes_at_all_keep_a_reader_from_the_lines_after_them(
    tmp_path_factory: pytest.TempPathFactory, line: bytes, garbage: list[bytes]
) -> None:
    path = a_segment(tmp_path_factory.mktemp("garbage"), *(piece + b"\n" + line for piece in garbage))
    lines, offset = read_segment(path, 0)
    assert len(lines.rows) == len(lines.bad) == len(garbage)
    assert offset == path.stat().st_size
