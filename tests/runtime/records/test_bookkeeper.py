"""The bookkeeper: its rules on a journal and a store in the test, its survival as a real process."""

from __future__ import annotations

import itertools
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.config.storage import StoreSettings
from penstock.config.store_address import STORE_VARIABLE, read_address
from penstock.core.accounting.record import CallRecord
from penstock.runtime.records.bookkeeper import Bookkeeper
from penstock.runtime.records.bookkeeping import DOUBTING, command, environment
from penstock.runtime.records.usage_server import SOCKET
from penstock.store.belief import DAY_S, Belief
from penstock.store.journal import Journal
from penstock.store.opening import open_store
from penstock.store.segments import segments_in
from penstock.store.sqlite import SqliteStore
from penstock.store.status import StoreStatus
from tests.store.postgres_server import Server, a_postgres_server
from tests.store.some_calls import FOR_EVER, a_load, a_sample, an_open_call, ended


def a_journal(state_dir: Path, boot: str = "b1", *, segment_bytes: int = 8 << 20) -> Journal:
    return Journal(state_dir, boot_id=boot, segment_bytes=segment_bytes, reserve_bytes=0)


def outcomes(state_dir: Path) -> dict[str, str | None]:
    with closing(sqlite3.connect(state_dir / "penstock.db")) as database:
        return dict(database.execute("SELECT id, outcome FROM calls"))


class Child:
    """A bookkeeper's process, and the two pipes of the gateway that started it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def tell(self, is_awaited: Callable[[StoreStatus], bool]) -> StoreStatus:
        """Read its status lines until the awaited one."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            status = msgspec.json.decode(line, type=StoreStatus)
            if is_awaited(status):
                return status
        raise AssertionError("it ended without saying so")

    def hang_up(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(20)


@contextmanager
def a_bookkeeper(
    state_dir: Path,
    boot: str = "b1",
    *,
    store: str | None = None,
    keep: StoreSettings = FOR_EVER,
    usage_app: str | None = None,
) -> Iterator[Child]:
    argv = command(state_dir, gateway_id="g", boot_id=boot, keep=keep, usage_app=usage_app)
    environ = {**os.environ, **environment(None if store is None else read_address(store))}
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, start_new_session=True, env=environ) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


@contextmanager
def a_desk(state_dir: Path, boot: str = "b1") -> Iterator[Bookkeeper]:
    """A bookkeeper in the test itself, prepared."""
    store = SqliteStore(state_dir / "penstock.db")
    bookkeeper = Bookkeeper(state_dir / "journal", store, gateway_id="g", boot_id=boot)
    bookkeeper.prepare()
    yield bookkeeper
    store.close()


def is_idle(status: StoreStatus) -> bool:
    return status.store == "ok" and status.lag_bytes == 0


def write(journal: Journal, *records: CallRecord) -> None:
    for record in records:
        (journal.opened if record.is_open() else journal.closed)(record)
    assert journal.flush()


def test_one_pass_brings_open_and_closed_records_to_the_store(tmp_path: Path) -> None:
    write(a_journal(tmp_path), an_open_call("a"), an_open_call("b"), ended(an_open_call("b")))
    with a_desk(tmp_path) as bookkeeper:
        assert not bookkeeper.carry_over()
        assert outcomes(tmp_path) == {"a": None, "b": "completed"}
        assert bookkeeper.status == StoreStatus(lag_bytes=0, records=1, poisoned=0, store="ok", is_lag_known=True)


def test_loads_and_samples_are_carried_over_and_a_load_left_open_is_interrupted(tmp_path: Path) -> None:
    journal = a_journal(tmp_path, "b0")
    for noted in (a_load("cut", boot_id="b0"), a_load("done", outcome="ready"), a_sample()):
        journal.note(noted)
    journal.close()
    a_journal(tmp_path, "b1").close()
    with a_desk(tmp_path, "b1") as bookkeeper:
        while bookkeeper.carry_over():
            pass
        bookkeeper.carry_over()
    with closing(sqlite3.connect(tmp_path / "penstock.db")) as database:
        assert dict(database.execute("SELECT id, outcome FROM loads")) == {"cut": "interrupted", "done": "ready"}
        assert database.execute("SELECT count(*) FROM samples").fetchone() == (1,)


def test_the_store_knows_where_its_journals_are(tmp_path: Path) -> None:
    with a_desk(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "penstock.db")) as database:
        assert database.execute("SELECT * FROM gateways").fetchall() == [("g", str(tmp_path))]


def test_a_segment_is_deleted_when_it_is_carried_over_and_another_was_begun(tmp_path: Path) -> None:
    journal = a_journal(tmp_path, segment_bytes=400)
    for number in range(6):
        write(journal, an_open_call(f"c{number}"))
    with a_desk(tmp_path) as bookkeeper:
        while bookkeeper.carry_over():
            pass
        assert [segment.number for segment in segments_in(journal.directory)] == [3]
        assert len(outcomes(tmp_path)) == 6
        write(journal, an_open_call("c6"))
        bookkeeper.carry_over()
        assert len(outcomes(tmp_path)) == 7


def test_the_bookkeeper_of_a_killed_gateway_leaves_the_journal_of_the_next_one_alone(tmp_path: Path) -> None:
    write(a_journal(tmp_path, "b1"), ended(an_open_call("first", boot_id="b1")))
    with a_desk(tmp_path, "b1") as last_pass:
        next_one = a_journal(tmp_path, "b2")
        write(next_one, an_open_call("second", boot_id="b2"))
        for _ in range(4):
            last_pass.carry_over()
        assert outcomes(tmp_path) == {"first": "completed"}
        write(next_one, ended(an_open_call("second", boot_id="b2")))
    with a_desk(tmp_path, "b2") as desk:
        while desk.carry_over():
            pass
    assert outcomes(tmp_path) == {"first": "completed", "second": "completed"}


def test_a_bookkeeper_whose_journal_is_gone_already_touches_no_other(tmp_path: Path) -> None:
    write(a_journal(tmp_path, "b2"), an_open_call("second", boot_id="b2"))
    with a_desk(tmp_path, "b2") as desk:
        desk.carry_over()
    with a_desk(tmp_path, "b1") as late:
        assert not late.carry_over()
    assert outcomes(tmp_path) == {"second": None}
    assert [segment.boot_id for segment in segments_in(tmp_path / "journal")] == ["b2"]


def test_what_earlier_boots_left_open_is_interrupted_and_nobody_knows_when(tmp_path: Path) -> None:
    earlier = a_journal(tmp_path, "b1")
    write(earlier, an_open_call("cut"), an_open_call("done"), ended(an_open_call("done")))
    write(a_journal(tmp_path, "b2"), an_open_call("now", boot_id="b2"))
    with a_desk(tmp_path, "b2") as bookkeeper:
        while bookkeeper.carry_over():
            pass
        bookkeeper.carry_over()
    assert outcomes(tmp_path) == {"cut": "interrupted", "done": "completed", "now": None}
    with closing(sqlite3.connect(tmp_path / "penstock.db")) as database:
        assert database.execute("SELECT done_s FROM calls WHERE id = 'cut'").fetchall() == [(None,)]


def test_garbage_in_the_journal_is_set_aside_and_counted_for_good(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    with segments_in(journal.directory)[0].path.open("ab") as file:
        file.write(b"no record\n")
    write(journal, an_open_call("a"))
    for _ in range(2):
        with a_desk(tmp_path) as bookkeeper:
            bookkeeper.carry_over()
            assert bookkeeper.status.poisoned == 1
    assert list(outcomes(tmp_path)) == ["a"]


def test_checkpoints_of_segments_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    write(journal, an_open_call("a"))
    with a_desk(tmp_path) as bookkeeper:
        bookkeeper.carry_over()
    segments_in(journal.directory)[0].path.unlink()
    with a_desk(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "penstock.db")) as database:
        assert database.execute("SELECT count(*) FROM journal_checkpoint").fetchone() == (0,)


_gateways = (f"g{number}" for number in itertools.count())
_calls = st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), min_size=1, max_size=40)


@settings(deadline=None, max_examples=60)
@given(_calls, st.floats(0, 1))
def test_a_journal_cut_at_any_byte_leaves_one_terminal_record_for_each_call_that_was_written(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[int, bool, bool]], cut_at: float
) -> None:
    """Each call is a number, whether it is ended now, and whether the loop's turn is over after it."""
    state_dir, gateway_id = tmp_path_factory.mktemp("cut"), next(_gateways)
    journal = a_journal(state_dir, segment_bytes=1000)
    for number, is_over, is_turn_over in calls:
        call = an_open_call(f"c{number}", gateway_id=gateway_id)
        journal.closed(ended(call)) if is_over else journal.opened(call)
        if is_turn_over:
            journal.flush()
    journal.close()
    expected = _cut(state_dir / "journal", int(cut_at * journal.bytes))

    store = SqliteStore(state_dir / "penstock.db")
    bookkeeper = Bookkeeper(journal.directory, store, gateway_id=gateway_id, boot_id=None)
    bookkeeper.prepare()
    while bookkeeper.carry_over():
        pass
    assert {record.id: record.outcome for record in store.latest(100)} == expected
    assert (store.count_poisoned(), segments_in(journal.directory)) == (0, [])
    store.close()


def _cut(directory: Path, size_bytes: int) -> dict[str, str]:
    """Leave only the first bytes that were written; say what follows from the whole lines among them."""
    expected: dict[str, str] = {}
    for segment in segments_in(directory):
        kept = segment.path.read_bytes()[:size_bytes]
        size_bytes -= len(kept)
        segment.path.write_bytes(kept)
        for line in kept.split(b"\n")[:-1]:
            record = msgspec.json.decode(line, type=CallRecord)
            if expected.get(record.id) != "completed":
                expected[record.id] = record.outcome or "interrupted"
    return expected


def test_the_process_carries_over_says_so_and_ends_with_the_gateway_after_a_last_pass(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    with a_bookkeeper(tmp_path) as child:
        child.tell(is_idle)
        write(journal, an_open_call("first"))
        child.tell(is_idle)
        child.tell(is_idle)  # a second has passed
        assert outcomes(tmp_path) == {"first": None}
        write(journal, ended(an_open_call("first")), ended(an_open_call("last")))
        assert child.hang_up() == 0
    assert outcomes(tmp_path) == {"first": "completed", "last": "completed"}


@pytest.mark.parametrize("kills", [6, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_a_bookkeeper_killed_at_random_moments_loses_nothing_and_writes_nothing_twice(
    tmp_path: Path, kills: int
) -> None:
    journal, dice, numbers = a_journal(tmp_path, segment_bytes=100_000), random.Random(7), itertools.count()
    sent = 0
    for _ in range(kills):
        with a_bookkeeper(tmp_path) as child:
            for number in itertools.islice(numbers, dice.randrange(200, 2000)):
                call = an_open_call(f"c{number}")
                write(journal, call, ended(call))
                sent += 1
            with segments_in(journal.directory)[-1].path.open("ab") as file:
                file.write(b"bad\n")
            child.tell(lambda status: status.records > 0)
            for number in itertools.islice(numbers, dice.randrange(1, 1500)):
                write(journal, ended(an_open_call(f"c{number}")))
                sent += 1
            child.process.kill()
    with a_bookkeeper(tmp_path) as child:
        assert child.tell(is_idle).poisoned == kills
        child.hang_up()
    found = outcomes(tmp_path)
    assert len(found) == sent
    assert set(found.values()) == {"completed"}


def test_a_locked_store_delays_the_records_and_the_bookkeeper_says_so(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    with a_bookkeeper(tmp_path) as child:
        child.tell(is_idle)
        with closing(sqlite3.connect(tmp_path / "penstock.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            write(journal, ended(an_open_call("a")))
            assert child.tell(lambda status: status.store == "locked").lag_bytes > 0
        assert child.tell(is_idle).records == 1
    assert outcomes(tmp_path) == {"a": "completed"}


def test_a_store_that_cannot_be_reached_is_tried_until_it_can(tmp_path: Path) -> None:
    write(a_journal(tmp_path), ended(an_open_call("a")))
    away = tmp_path / "away"
    with a_bookkeeper(tmp_path, store=f"sqlite:///{away}/penstock.db") as child:
        child.tell(lambda status: status.store.startswith("failing: "))
        away.mkdir()
        assert child.tell(is_idle).records == 1
    assert outcomes(away) == {"a": "completed"}


def test_two_bookkeepers_never_write_for_one_state_directory(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    with a_bookkeeper(tmp_path) as first, a_bookkeeper(tmp_path) as second:
        for child in (first, second):
            status = child.tell(lambda status: status.store != "starting")
            if status.store == "ok":
                writer = child
            else:
                assert status.store == "waiting for another bookkeeper"
                assert not status.is_lag_known, "what it has not looked at is unknown, and not 0"
                waiter = child
        write(journal, ended(an_open_call("a")))
        writer.tell(lambda status: status.records == 1)
        writer.process.kill()
        write(journal, ended(an_open_call("b")))
        assert waiter.tell(is_idle).records == 1
    assert outcomes(tmp_path) == {"a": "completed", "b": "completed"}


def test_one_that_waits_for_its_turn_ends_with_its_gateway(tmp_path: Path) -> None:
    a_journal(tmp_path)
    with a_bookkeeper(tmp_path) as first:
        first.tell(is_idle)
        with a_bookkeeper(tmp_path) as second:
            second.tell(lambda status: status.store == "waiting for another bookkeeper")
            assert second.hang_up() == 0


def test_a_bookkeeper_gives_way_to_its_gateway(tmp_path: Path) -> None:
    a_journal(tmp_path)
    with a_bookkeeper(tmp_path) as child:
        child.tell(is_idle)
        assert os.getpriority(os.PRIO_PROCESS, child.process.pid) == min(os.getpriority(os.PRIO_PROCESS, 0) + 5, 19)
        of_the_session = Path(f"/proc/{child.process.pid}/autogroup")
        if of_the_session.exists():
            assert of_the_session.read_text().endswith(" nice 5\n")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_bookkeeper_that_has_worked_fits_into_90_mb(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    for number in range(5000):
        write(journal, ended(an_open_call(f"c{number}")))
    with a_bookkeeper(tmp_path) as child:
        child.tell(is_idle)
        status = Path(f"/proc/{child.process.pid}/status").read_text()
    (resident,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    assert int(resident) * 1024 <= 90e6


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://me:hunter2@somewhere", "expected sqlite:///PATH or postgresql://"),
        ("postgresql://me:hunter2@h/d", "needs psycopg: pip install 'penstock[postgres]'"),
    ],
)
def test_a_store_that_cannot_be_opened_is_refused_at_once_without_showing_its_password(
    tmp_path: Path, url: str, said: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['psycopg'] = None")  # as if it were not there
    argv = [word for word in command(tmp_path, gateway_id="g", boot_id="b") if word != "-P"]
    environ = {**os.environ, STORE_VARIABLE: url, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(argv, capture_output=True, text=True, check=False, env=environ)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert "hunter2" not in ended.stderr


def test_what_is_too_old_is_deleted_beside_the_work(tmp_path: Path) -> None:
    journal, keep = a_journal(tmp_path), StoreSettings(keep=3600.0)
    new = an_open_call("new")
    new.received_at = time.time()
    write(journal, ended(an_open_call("old")), ended(new))
    with a_bookkeeper(tmp_path, keep=keep) as child:
        assert child.tell(lambda status: status.shed > 0).shed == 1
        child.hang_up()
    assert outcomes(tmp_path) == {"new": "completed"}


def test_a_clock_that_has_leapt_deletes_nothing_and_the_bookkeeper_says_so(tmp_path: Path) -> None:
    journal, old = a_journal(tmp_path), an_open_call("old")
    old.received_at = time.time() - 100 * DAY_S
    with a_desk(tmp_path):
        store = SqliteStore(tmp_path / "penstock.db")
        store.believe(Belief(time.time() - 60 * DAY_S))
        store.close()
    write(journal, ended(old))
    with a_bookkeeper(tmp_path, keep=StoreSettings(keep=90 * DAY_S)) as child:
        for _ in range(2):  # not only when it had a batch to carry over
            said = child.tell(lambda status: status.store.startswith(DOUBTING))
            assert "60.0 days ahead" in said.store
        assert (said.shed, said.lag_bytes) == (0, 0)
        child.hang_up()
    assert outcomes(tmp_path) == {"old": "completed"}


def test_the_socket_for_questions_is_gone_with_the_bookkeeper_that_had_it(tmp_path: Path) -> None:
    a_journal(tmp_path)
    with a_bookkeeper(tmp_path, usage_app="penstock.web.usage:for_bookkeeper") as child:
        child.tell(is_idle)
        assert (tmp_path / SOCKET).is_socket()
        assert child.hang_up() == 0
    assert not (tmp_path / SOCKET).exists()


def test_how_far_behind_it_is_grows_with_time_while_the_store_is_away_and_ends_with_it(tmp_path: Path) -> None:
    away = tmp_path / "away"
    write(a_journal(tmp_path), ended(an_open_call("a")))
    with a_bookkeeper(tmp_path, store=f"sqlite:///{away}/penstock.db") as child:
        first = child.tell(lambda status: status.lag_s > 0)
        assert child.tell(lambda status: status.lag_s > first.lag_s).lag_bytes > 0
        away.mkdir()
        assert child.tell(is_idle).lag_s == 0


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with a_postgres_server() as server:
        yield server


def test_a_password_is_nowhere_to_be_seen(tmp_path: Path, postgres: Server) -> None:
    url = postgres.new_database().replace("penstock@", "penstock:hunter2@")
    write(a_journal(tmp_path), ended(an_open_call("a")))
    with a_bookkeeper(tmp_path, store=url) as child:
        status = child.tell(is_idle)
        assert b"hunter2" not in Path(f"/proc/{child.process.pid}/cmdline").read_bytes()
    assert status.address.startswith("postgresql://penstock@/")
    assert "hunter2" not in repr(status)


def test_a_server_that_is_stopped_and_started_again_gets_what_came_meanwhile(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    with a_postgres_server() as postgres:
        url = postgres.new_database()
        with a_bookkeeper(tmp_path, store=url) as child:
            child.tell(is_idle)
            write(journal, an_open_call("a"), ended(an_open_call("early")))
            child.tell(lambda status: status.records == 1)
            postgres.stop()
            write(journal, ended(an_open_call("a")), ended(an_open_call("b")))
            child.tell(lambda status: status.store.startswith("failing: "))
            postgres.start()
            child.tell(lambda status: is_idle(status) and status.records >= 3)
            child.hang_up()
        store = open_store(read_address(url))
        found = {record.id: record.outcome for record in store.latest(9)}
        assert found == {"a": "completed", "b": "completed", "early": "completed"}
        store.close()
