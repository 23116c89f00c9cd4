"""What every store promises, asked of each of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.core.accounting.record import CallRecord
from penstock.store.base import Checkpoint, Kind, Place, Store, Window
from penstock.store.belief import Belief
from penstock.store.journal import Journal
from penstock.store.rows import Noted, load_of, record_of, sample_of
from penstock.store.segments import BadLine, Lines, read_segment, segments_in
from tests.store.both import KINDS, new_url, prepared
from tests.store.some_calls import a_full_call, a_load, a_sample, an_open_call, ended, rows

HERE = Checkpoint("g", "00000001-b1.jsonl", 100)
AT = 1_700_000_000.0


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with prepared(new_url(request.param, tmp_path, request)) as store:
        yield store


def fields_of(record: CallRecord | None) -> dict[str, object]:
    assert record is not None
    return dataclasses.asdict(record)


def noted(folder: Path, *records: Noted) -> Lines:
    """As they come from the journal."""
    journal = Journal(folder, boot_id="b1", reserve_bytes=0)
    for record in records:
        journal.note(record)
    journal.close()
    return read_segment(segments_in(journal.directory)[-1].path, 0)[0]


def ids(store: Store, window: Window, after: Place | None = None, limit: int = 100) -> list[str]:
    return [record_of(row).id for row in store.page(Kind.CALLS, window, after, limit)]


def test_a_record_comes_back_as_it_went_in(store: Store) -> None:
    for call in (a_full_call("full"), ended(an_open_call("bare")), an_open_call("open")):
        assert store.upsert(rows(call), [], HERE) == 0
        assert fields_of(store.get(call.id)) == fields_of(call)
    assert store.count() == 3
    assert store.get("nobody") is None


def test_unknown_stays_unknown_and_zero_stays_zero(store: Store) -> None:
    call = ended(an_open_call())
    call.prompt_tokens, call.completion_tokens, call.streamed = None, 0, False
    store.upsert(rows(call), [], HERE)
    found = store.get("c1")
    assert found is not None
    assert (found.prompt_tokens, found.completion_tokens, found.streamed, found.caused_load) == (None, 0, False, None)


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in several"])
def test_the_last_line_of_an_open_call_wins_and_its_end_is_final(store: Store, *, together: bool) -> None:
    first, second, last = an_open_call(), an_open_call(), ended(an_open_call())
    second.model = last.model = "m"
    late = ended(an_open_call(), "upstream_error")
    lines = [first, second, last, late, first]
    for batch in [lines] if together else [[line] for line in lines]:
        store.upsert(rows(*batch), [], HERE)
    assert fields_of(store.get("c1")) == fields_of(last)
    assert store.count() == 1


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in several"])
def test_the_energy_of_a_call_is_added_after_its_end_once(store: Store, *, together: bool) -> None:
    lines = [ended(an_open_call())]
    lines += [dataclasses.replace(lines[0], energy_j=energy_j) for energy_j in (12.5, 99.0, None)]
    for batch in [lines] if together else [[line] for line in lines]:
        store.upsert(rows(*batch), [], HERE)
    found = store.get("c1")
    assert found is not None
    assert (found.energy_j, found.outcome, found.done_s) == (12.5, "completed", 1.5)


def test_the_same_batch_twice_changes_nothing(store: Store) -> None:
    batch = [an_open_call("open"), ended(an_open_call("ended"))]
    for _ in range(2):
        store.upsert(rows(*batch), [], HERE)
    assert store.count() == 2
    assert [fields_of(store.get(call.id)) for call in batch] == [fields_of(call) for call in batch]


def test_a_restart_ends_what_earlier_boots_of_this_gateway_left_open_and_nothing_else(store: Store) -> None:
    mine, before, others = (
        an_open_call("mine", boot_id="b2"),
        an_open_call("before"),
        an_open_call("others", gateway_id="h"),
    )
    done = ended(an_open_call("done"))
    store.upsert(rows(mine, before, others, done), [], HERE)
    assert store.interrupt_open("g", but_not_boot="b2") == 1
    assert fields_of(store.get("before")) == fields_of(dataclasses.replace(before, outcome="interrupted"))
    for untouched in (mine, others, done):
        assert fields_of(store.get(untouched.id)) == fields_of(untouched)


def test_an_end_that_turns_up_later_beats_the_guess_that_there_was_none(store: Store) -> None:
    store.upsert(rows(an_open_call()), [], HERE)
    store.interrupt_open("g", but_not_boot="b2")
    store.upsert(rows(an_open_call()), [], HERE)
    assert fields_of(store.get("c1"))["outcome"] == "interrupted"
    store.upsert(rows(ended(an_open_call())), [], HERE)
    assert fields_of(store.get("c1")) == fields_of(ended(an_open_call()))


def test_rows_that_the_tables_refuse_are_set_aside_and_the_others_are_kept(store: Store) -> None:
    ended_when, too_many = ended(an_open_call("ended_when")), ended(an_open_call("too_many"))
    ended_when.done_s, too_many.prompt_tokens = None, 1 << 63
    still_open = an_open_call("still_open")
    still_open.done_s = 1.0
    batch = [an_open_call("first"), ended_when, too_many, still_open, an_open_call("last")]
    assert store.upsert(rows(*batch), [], HERE) == 3
    assert (store.count(), store.count_poisoned()) == (2, 3)
    assert store.checkpoints("g") == {HERE.segment: 100}


def test_bad_lines_are_kept_with_the_batch_they_were_in(store: Store) -> None:
    assert store.upsert([], [BadLine(HERE.segment, 7, "no json", "\\xff")], HERE) == 1
    assert store.count_poisoned() == 1


def test_a_checkpoint_moves_with_its_rows_and_is_forgotten_with_its_segment(store: Store) -> None:
    store.upsert([], [], HERE)
    store.upsert([], [], dataclasses.replace(HERE, offset=200))
    store.upsert([], [], dataclasses.replace(HERE, segment="next", offset=5))
    store.upsert([], [], dataclasses.replace(HERE, gateway_id="h"))
    assert store.checkpoints("g") == {HERE.segment: 200, "next": 5}
    store.forget("g", [HERE.segment])
    assert (store.checkpoints("g"), store.checkpoints("h")) == ({"next": 5}, {HERE.segment: 100})


def test_the_latest_come_newest_first(store: Store) -> None:
    calls = [an_open_call(f"c{number}") for number in range(3)]
    for moment, call in zip((2.0, 3.0, 1.0), calls, strict=True):
        call.received_at = moment
    store.upsert(rows(*calls), [], HERE)
    assert [record.id for record in store.latest(2)] == ["c1", "c0"]


def test_loads_and_samples_come_back_as_they_went_in(store: Store, tmp_path: Path) -> None:
    load, sample = a_load(outcome="ready"), a_sample()
    lines = noted(tmp_path, a_load(), load, sample, a_load(outcome="failed"))
    for _ in range(2):
        assert store.upsert([], [], HERE, loads=lines.loads, samples=lines.samples) == 0
    (found,) = store.page(Kind.LOADS, Window(), None, 10)
    assert dataclasses.asdict(load_of(found)) == dataclasses.asdict(load)
    (found,) = store.page(Kind.SAMPLES, Window(), None, 10)
    assert dataclasses.asdict(sample_of(found)) == dataclasses.asdict(sample)


def test_a_restart_ends_loads_that_an_earlier_boot_left_open(store: Store, tmp_path: Path) -> None:
    lines = noted(tmp_path, a_load("before"), a_load("mine", boot_id="b2"), a_load("done", outcome="ready"))
    store.upsert([], [], HERE, loads=lines.loads)
    assert store.interrupt_open("g", but_not_boot="b2") == 1
    found = {load.id: load.outcome for load in map(load_of, store.page(Kind.LOADS, Window(), None, 10))}
    assert found == {"before": "interrupted", "mine": None, "done": "ready"}


@pytest.mark.parametrize("many", [1, 60], ids=["a few", "many"])
def test_a_refused_row_among_loads_and_calls_is_found_whatever_their_number(
    store: Store, tmp_path: Path, many: int
) -> None:
    bad_call, bad_load = ended(an_open_call("bad")), a_load("bad", outcome="ready")
    bad_call.done_s = bad_load.done_s = None
    calls = [*(an_open_call(f"c{number}") for number in range(many)), bad_call]
    lines = noted(tmp_path, a_load("good"), bad_load)
    assert store.upsert(rows(*calls), [], HERE, loads=lines.loads) == 2
    assert (store.count(), store.count(Kind.LOADS), store.count_poisoned()) == (many, 1, 2)


def test_many_rows_at_once_obey_the_same_rules(store: Store) -> None:
    first = [an_open_call(f"c{number}") for number in range(100)]
    store.upsert(rows(*first), [], HERE)
    store.upsert(rows(*(ended(call) for call in first[:50])), [], HERE)
    store.upsert(rows(*(ended(call, "upstream_error") for call in first)), [], HERE)
    found = {record.id: record.outcome for record in store.latest(1000)}
    assert [found[call.id] for call in first] == ["completed"] * 50 + ["upstream_error"] * 50


def test_pages_follow_each_other_without_gap_or_overlap_also_where_times_are_equal(store: Store) -> None:
    calls = [an_open_call(f"c{number}") for number in range(7)]
    for moment, call in zip((1.0, 2.0, 2.0, 2.0, 2.0, 3.0, 4.0), calls, strict=True):
        call.received_at = moment
    store.upsert(rows(*reversed(calls)), [], HERE)
    assert ids(store, Window(), limit=3) == ["c0", "c1", "c2"]
    assert ids(store, Window(), Place(2.0, "c2"), limit=3) == ["c3", "c4", "c5"]
    assert ids(store, Window(), Place(3.0, "c5")) == ["c6"]
    assert ids(store, Window(2.0, 3.0)) == ["c1", "c2", "c3", "c4"]
    assert (store.count(Kind.CALLS, Window(2.0, 3.0)), store.count(Kind.CALLS, Window(until=2.0))) == (4, 1)


def test_what_is_shed_is_the_oldest_and_never_more_than_was_asked(store: Store) -> None:
    calls = [an_open_call(f"c{number}") for number in range(5)]
    for moment, call in enumerate(calls):
        call.received_at = AT + moment
    store.upsert(rows(*calls), [], HERE)
    assert store.shed(Kind.CALLS, before=AT + 3, limit=2) == 2
    assert ids(store, Window()) == ["c2", "c3", "c4"]
    assert store.shed(Kind.CALLS, before=AT + 3, limit=2) == 1
    assert store.shed(Kind.CALLS, before=None, limit=1) == 1
    assert ids(store, Window()) == ["c4"]
    assert store.shed(Kind.LOADS, before=None, limit=1) == 0


def test_what_was_believed_of_the_time_is_kept_beside_the_records(store: Store) -> None:
    assert store.belief() is None
    for belief in (Belief(AT, 0.0), Belief(AT + 1, 20.5), Belief(AT + 2)):
        store.believe(belief)
        assert store.belief() == belief


def test_the_oldest_and_the_newest_of_a_kind_are_known(store: Store) -> None:
    assert (store.oldest_at(Kind.CALLS), store.newest_at(Kind.CALLS)) == (None, None)
    calls = [an_open_call(f"c{number}") for number in range(3)]
    for moment, call in enumerate(calls):
        call.received_at = AT + moment
    store.upsert(rows(*calls), [], HERE)
    assert (store.oldest_at(Kind.CALLS), store.newest_at(Kind.CALLS)) == (AT, AT + 2)


def test_a_store_knows_where_the_journals_are_that_feed_it(store: Store) -> None:
    store.register("g", "/old")
    store.register("h", "/there")
    store.register("g", "/here")
    assert store.gateways() == {"g": "/here", "h": "/there"}


def test_preparing_twice_keeps_what_is_there(store: Store) -> None:
    store.upsert(rows(an_open_call()), [], HERE)
    store.prepare()
    store.settle()
    assert store.count() == 1
