from __future__ import annotations

import dataclasses
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.core.accounting.record import CallRecord
from penstock.store.fsync import Syncer
from penstock.store.journal import RETRY_AFTER_S, Journal
from penstock.store.reserve import STEP_BYTES, Reserve
from penstock.store.rows import load_of, record_of, sample_of
from penstock.store.segments import read_segment, segments_in
from tests.store.small_disk import a_small_disk, fill_up
from tests.store.some_calls import a_full_call, a_load, a_sample, an_open_call, ended

MIB = 1 << 20


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def a_journal(
    directory: Path,
    clock: Clock | None = None,
    *,
    segment_bytes: int = 8 * MIB,
    memory_records: int = 100,
    boot: str = "b1",
) -> Journal:
    return Journal(
        directory,
        boot_id=boot,
        segment_bytes=segment_bytes,
        memory_records=memory_records,
        reserve_bytes=0,
        clock=clock or Clock(),
    )


def read_all(directory: Path) -> list[CallRecord]:
    records: list[CallRecord] = []
    for segment in segments_in(directory / "journal"):
        lines, _ = read_segment(segment.path, 0)
        assert lines.bad == []
        records += map(record_of, lines.rows)
    return records


@contextmanager
def no_file_larger_than(size_bytes: int) -> Iterator[None]:
    """A real refusal by the kernel, and a real short write before it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_was_queued_is_on_disk_after_one_flush_and_not_before(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    call = an_open_call()
    journal.opened(call)
    journal.closed(ended(call))
    assert read_all(tmp_path) == []
    assert journal.flush()
    assert [record.is_open() for record in read_all(tmp_path)] == [True, False]
    assert journal.lines == 2
    assert journal.bytes == sum(segment.path.stat().st_size for segment in segments_in(journal.directory))


def test_a_closing_line_keeps_every_field_and_zero_stays_zero(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    call = a_full_call()
    journal.closed(call)
    journal.flush()
    assert [dataclasses.asdict(record) for record in read_all(tmp_path)] == [dataclasses.asdict(call)]


def test_what_is_unknown_stays_unknown_and_takes_no_room(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    journal.closed(ended(an_open_call()))
    journal.flush()
    assert b"prompt_tokens" not in segments_in(journal.directory)[0].path.read_bytes()
    assert read_all(tmp_path)[0].prompt_tokens is None


def test_an_open_line_may_be_repeated_when_more_is_known(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    call = an_open_call()
    journal.opened(call)
    call.model, call.sent_s = "m", 0.25
    journal.opened(call)
    journal.flush()
    assert [(record.model, record.sent_s) for record in read_all(tmp_path)] == [(None, None), ("m", 0.25)]


def test_a_call_is_told_again_when_its_energy_is_known(tmp_path: Path) -> None:
    journal = Journal(tmp_path, boot_id="b1", reserve_bytes=0)
    call = ended(an_open_call())
    journal.closed(call)
    call.energy_j = 7.5
    journal.amended(call)
    journal.close()
    lines, _ = read_segment(segments_in(journal.directory)[-1].path, 0)
    assert [record_of(row).energy_j for row in lines.rows] == [None, 7.5]


def test_text_and_numbers_that_json_cannot_say_are_mended_not_lost(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    call = ended(an_open_call())
    call.path, call.prompt_tokens, call.completion_tokens = "/\udc80", 1 << 80, 7
    journal.closed(call)
    journal.flush()
    (record,) = read_all(tmp_path)
    assert (record.path, record.prompt_tokens, record.completion_tokens) == ("/?", None, 7)


def test_loads_and_samples_travel_between_the_calls(tmp_path: Path) -> None:
    journal, load, sample = a_journal(tmp_path), a_load(outcome="ready"), a_sample()
    journal.opened(an_open_call())
    journal.note(load)
    journal.note(sample)
    journal.closed(ended(an_open_call()))
    journal.flush()
    lines, _ = read_segment(segments_in(journal.directory)[0].path, 0)
    assert (len(lines.rows), lines.bad) == (2, [])
    assert [dataclasses.asdict(load_of(row)) for row in lines.loads] == [dataclasses.asdict(load)]
    assert [dataclasses.asdict(sample_of(row)) for row in lines.samples] == [dataclasses.asdict(sample)]


def test_a_load_of_which_json_cannot_say_all_is_still_known_as_a_load(tmp_path: Path) -> None:
    journal, load = a_journal(tmp_path), a_load(outcome="failed")
    load.error_detail, load.read_bytes = "/\udc80", 1 << 80
    journal.note(load)
    journal.flush()
    lines, _ = read_segment(segments_in(journal.directory)[0].path, 0)
    (found,) = map(load_of, lines.loads)
    assert (found.error_detail, found.read_bytes, found.outcome) == ("/?", None, "failed")


def test_each_boot_starts_a_segment_that_sorts_after_all_others(tmp_path: Path) -> None:
    for boot in ("zz", "aa"):
        journal = a_journal(tmp_path, boot=boot)
        journal.opened(an_open_call(boot))
        journal.close()
    assert [segment.name for segment in segments_in(journal.directory)] == ["00000001-zz.jsonl", "00000002-aa.jsonl"]
    assert [record.id for record in read_all(tmp_path)] == ["zz", "aa"]


def test_a_full_segment_is_followed_by_the_next_and_no_line_is_split(tmp_path: Path) -> None:
    journal = a_journal(tmp_path, segment_bytes=500)
    for number in range(20):
        journal.opened(an_open_call(f"c{number}"))
        journal.flush()
    assert len(segments_in(journal.directory)) > 5
    assert [record.id for record in read_all(tmp_path)] == [f"c{number}" for number in range(20)]


def test_nobody_else_may_read_the_journal(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    assert journal.directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in journal.directory.iterdir()} == {0o600}


def test_a_line_cut_by_a_full_disk_is_continued_when_there_is_room_again(tmp_path: Path) -> None:
    journal = a_journal(tmp_path, clock := Clock())
    for number in range(10):
        journal.opened(an_open_call(f"c{number}"))
    with no_file_larger_than(777):
        assert not journal.flush()
        assert journal.is_failing
        assert segments_in(journal.directory)[0].path.stat().st_size == 777
        assert [record.id for record in read_all(tmp_path)] == ["c0", "c1", "c2", "c3"]
    journal.opened(an_open_call("later"))
    clock.now_s += RETRY_AFTER_S
    assert journal.flush()
    assert not journal.is_failing
    assert [record.id for record in read_all(tmp_path)] == [*(f"c{number}" for number in range(10)), "later"]
    assert journal.lines == 11


def test_a_disk_that_refuses_is_left_alone_for_a_moment(tmp_path: Path) -> None:
    journal = a_journal(tmp_path, clock := Clock())
    journal.opened(an_open_call())
    with no_file_larger_than(0):
        assert not journal.flush()
    assert not journal.flush()
    clock.now_s += RETRY_AFTER_S
    assert journal.flush()


def test_memory_takes_what_the_disk_does_not_and_only_then_are_records_lost_and_counted(tmp_path: Path) -> None:
    journal = a_journal(tmp_path, clock := Clock(), memory_records=2)
    calls = [an_open_call(f"c{number}") for number in range(5)]
    with no_file_larger_than(0):
        for call in calls:
            journal.opened(call)
            journal.closed(ended(call))
            journal.flush()
        assert journal.is_full
        assert journal.records_lost == 3
    clock.now_s += RETRY_AFTER_S
    assert journal.flush()
    assert not journal.is_full
    assert [record.id for record in read_all(tmp_path) if not record.is_open()] == ["c0", "c1"]


def test_the_journal_of_a_full_disk_writes_into_its_reserve(tmp_path: Path) -> None:
    with a_small_disk(tmp_path / "disk", size_bytes=4 * MIB) as disk:
        journal = Journal(disk, boot_id="b1", reserve_bytes=2 * MIB, memory_records=100, clock=(clock := Clock()))
        fill_up(disk / "somebody-else")
        call = a_full_call()
        while journal.flush():
            journal.closed(call)
        assert journal.bytes > 2 * MIB - 8192
        (disk / "somebody-else").unlink()
        clock.now_s += RETRY_AFTER_S
        assert journal.flush()
        journal.close()
        assert journal.records_lost == 0


def test_a_reserve_is_given_up_step_by_step_and_taken_again(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve", 2 * STEP_BYTES + 1)
    reserve.fill()
    sizes = [(tmp_path / "reserve").stat().st_size]
    while reserve.give_up_some():
        sizes.append((tmp_path / "reserve").stat().st_size)
    assert sizes == [2 * STEP_BYTES + 1, STEP_BYTES + 1, 1, 0]
    reserve.fill()
    assert reserve.held_bytes == 2 * STEP_BYTES + 1


def test_closing_syncs_what_the_last_period_has_not(tmp_path: Path) -> None:
    synced: list[Path] = []
    syncer = Syncer(3600.0, sync=synced.append)
    syncer.wrote(tmp_path / "a")
    syncer.wrote(tmp_path / "a")
    syncer.wrote(tmp_path / "b")
    syncer.close()
    assert synced == [tmp_path / "a", tmp_path, tmp_path / "b", tmp_path]


def test_a_journal_that_syncs_writes_the_same_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path, boot_id="b1", reserve_bytes=0, fsync_every_s=3600.0)
    journal.opened(an_open_call())
    journal.close()
    journal.close()
    assert [record.id for record in read_all(tmp_path)] == ["c1"]
