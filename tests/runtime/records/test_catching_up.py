"""What journals still hold is brought into their store, by whoever may do that."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.config.store_address import StoreAddress, sqlite_address
from penstock.runtime.records.bookkeeper import Bookkeeper
from penstock.runtime.records.bookkeeping import say_whose
from penstock.runtime.records.catching_up import catch_up
from penstock.runtime.state_dir import StateDir
from penstock.store.journal import Journal
from penstock.store.segments import segments_in
from penstock.store.sqlite import SqliteStore
from tests.store.some_calls import an_open_call, ended


class Place:
    """A state folder with a journal of two calls, one of them open, and its store."""

    def __init__(self, folder: Path) -> None:
        self.state_dir = folder / "state"
        self.address: StoreAddress = sqlite_address(self.state_dir / "penstock.db")
        state = StateDir(self.state_dir)
        self.gateway_id = state.gateway_id
        state.close()
        say_whose(self.state_dir, None)
        journal = Journal(self.state_dir, boot_id="b1", reserve_bytes=0)
        journal.opened(an_open_call("cut", gateway_id=self.gateway_id))
        journal.closed(ended(an_open_call("done", gateway_id=self.gateway_id)))
        journal.close()
        self.store = SqliteStore(self.state_dir / "penstock.db")
        self.store.prepare()

    @property
    def journal(self) -> Path:
        return self.state_dir / "journal"

    def outcomes(self) -> dict[str, str | None]:
        return {record.id: record.outcome for record in self.store.latest(9)}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.store.close()


@contextmanager
def a_running_gateway(place: Place) -> Iterator[None]:
    """As far as its lock tells."""
    state = StateDir(place.state_dir)
    yield
    state.close()


def test_after_a_gateway_its_journal_is_carried_over_and_what_was_open_is_interrupted(place: Place) -> None:
    assert catch_up(place.store, place.address, [place.state_dir]) == []
    assert place.outcomes() == {"cut": "interrupted", "done": "completed"}
    assert segments_in(place.journal) == []
    assert place.store.gateways() == {place.gateway_id: str(place.state_dir)}
    assert catch_up(place.store, place.address, []) == []


def test_beside_a_gateway_its_own_bookkeeper_is_waited_for(place: Place) -> None:
    desk = SqliteStore(place.state_dir / "penstock.db")
    bookkeeper = Bookkeeper(place.journal, desk, gateway_id=place.gateway_id, boot_id="b1")

    def carry() -> None:
        bookkeeper.prepare()
        bookkeeper.carry_over()

    with a_running_gateway(place):
        other = threading.Timer(0.3, carry)
        other.start()
        assert catch_up(place.store, place.address, [place.state_dir]) == []
        other.join()
    assert place.outcomes() == {"cut": None, "done": "completed"}
    assert len(segments_in(place.journal)) == 1
    desk.close()


def test_a_bookkeeper_that_makes_no_progress_is_not_waited_for_for_ever(place: Place) -> None:
    with a_running_gateway(place):
        (missing,) = catch_up(place.store, place.address, [place.state_dir], stuck_after_s=0.2)
    assert missing.state_dir == place.state_dir
    assert "bytes of it are not in the store" in missing.reason
    assert place.outcomes() == {}


def test_a_torn_last_line_is_not_waited_for(place: Place) -> None:
    with segments_in(place.journal)[-1].path.open("ab") as file:
        file.write(b'{"id":"torn')
    bookkeeper = Bookkeeper(place.journal, place.store, gateway_id=place.gateway_id, boot_id="b1")
    bookkeeper.prepare()
    bookkeeper.carry_over()
    with a_running_gateway(place):
        assert catch_up(place.store, place.address, [place.state_dir], stuck_after_s=5.0) == []


@pytest.mark.parametrize("says", ["postgresql://me@h/d", None])
def test_a_journal_of_another_store_is_left_alone(place: Place, says: str | None) -> None:
    marker = place.state_dir / "store"
    marker.unlink() if says is None else marker.write_text(says)
    (missing,) = catch_up(place.store, place.address, [place.state_dir])
    assert missing.reason in ("belongs to postgresql://me@h/d", "does not say to which store it belongs")
    assert len(segments_in(place.journal)) == 1


def test_a_folder_without_a_journal_has_nothing_to_bring(place: Place, tmp_path: Path) -> None:
    assert catch_up(place.store, place.address, [tmp_path / "nowhere"]) == []
    assert place.outcomes() == {}
