from __future__ import annotations

from penstock.core.accounting.record import CallRecord, Outcome
from penstock.core.calls.message import Head
from penstock.runtime.records.recorder import Recorder
from tests.store.some_calls import an_open_call

HEAD = Head(b"POST", b"/v1/chat/completions", [], "1.1", "127.0.0.1", {})


class FakeJournal:
    """Keeps what it is told; how full it is, is said by the test."""

    def __init__(self) -> None:
        self.is_nearly_full = False
        self.lines: list[tuple[str, CallRecord]] = []

    def opened(self, record: CallRecord) -> None:
        self.lines.append(("opened", record))

    def closed(self, record: CallRecord) -> None:
        self.lines.append(("closed", record))

    def flush(self) -> bool:
        return True


def a_recorder(journal: FakeJournal, *, refuses: bool = True) -> Recorder:
    return Recorder(journal, gateway_id="g", boot_id="b", version="1", refuses_when_full=refuses)


def test_calls_that_were_refused_for_want_of_room_are_told_together_when_there_is_room_again() -> None:
    journal = FakeJournal()
    recorder = a_recorder(journal)
    assert not recorder.has_no_room()
    journal.is_nearly_full = True
    assert [recorder.has_no_room() for _ in range(3)] == [True] * 3
    recorder.flush()
    assert journal.lines == []
    journal.is_nearly_full = False
    recorder.flush()
    recorder.flush()
    ((told, record),) = journal.lines
    assert (told, record.count, record.outcome) == ("closed", 3, Outcome.REJECTED_QUEUE_FULL)
    assert (record.http_status, record.error_code) == (503, "journal_full")


def test_who_would_rather_serve_is_never_told_to_refuse() -> None:
    journal = FakeJournal()
    journal.is_nearly_full = True
    assert not a_recorder(journal, refuses=False).has_no_room()


def test_a_call_refused_within_its_turn_needs_a_single_line() -> None:
    journal = FakeJournal()
    recorder = a_recorder(journal)
    refused = recorder.open(HEAD, "openai")
    recorder.close(refused, Outcome.REJECTED_INVALID, 0.0)
    stays = recorder.open(HEAD, "openai")
    recorder.flush()
    assert journal.lines == [("opened", stays), ("closed", refused)]


def test_an_interrupted_call_has_no_end() -> None:
    recorder, record = a_recorder(FakeJournal()), an_open_call()
    recorder.close(record, Outcome.INTERRUPTED, 3.0)
    assert (record.outcome, record.done_s) == ("interrupted", None)
