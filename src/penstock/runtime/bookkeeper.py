"""The child process that carries the journal over to the store, so that the gateway never waits for a database.

    python -m penstock.runtime.bookkeeper --state-dir DIR --gateway-id G --boot-id B [--store URL]

Its standard input is a pipe from the gateway that says nothing: when it closes, the gateway is gone. On standard
output it prints its StoreStatus as one line of JSON per second; a bookkeeper that is silent is taken for stuck.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import select
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from penstock.store.base import Checkpoint, Store, StoreAway
from penstock.store.rows import is_ended
from penstock.store.segments import MAX_LINE_BYTES, Segment, read_segment, segments_in
from penstock.store.sqlite import SqliteStore
from penstock.store.status import StoreStatus

POLL_S = 0.5
"""A call that opens and ends between two looks is written once: the less often, the cheaper. Whoever waits for an open
record was promised a second."""

NICENESS = 5
REPORT_EVERY_S = 1.0
LAST_PASS_S = 5.0
RETRY_FIRST_S = 0.25
RETRY_AT_MOST_S = 5.0
REASON_CHARACTERS = 500
"""A status line must fit into one write to a pipe."""


class Bookkeeper:
    """Carries whole lines from the segments to the store, in order, and deletes segments that hold nothing more."""

    def __init__(self, directory: Path, store: Store, *, gateway_id: str, boot_id: str) -> None:
        """directory: the journal's own. boot_id: the boot whose last segment is still being written."""
        self.status = StoreStatus()
        self._directory = directory
        self._store = store
        self._gateway_id = gateway_id
        self._boot_id = boot_id
        self._offsets: dict[str, int] = {}
        self._is_past_closed = False

    def prepare(self) -> None:
        """Bring the store up to date and learn from it how far it got. First of all, and again after any failure:
        whether the batch that failed was written is known to the store alone."""
        self._store.prepare()
        self._offsets = self._store.checkpoints(self._gateway_id)
        gone = self._offsets.keys() - {segment.name for segment in segments_in(self._directory)}
        if gone:
            self._store.forget(self._gateway_id, sorted(gone))
        self.status.poisoned = self._store.count_poisoned()

    def carry_over(self) -> bool:
        """Write one batch at most; True = do not wait before the next. Raises StoreAway and OSError."""
        segments = segments_in(self._directory)
        self.status.lag_bytes = sum(self._left_in(segment) for segment in segments)
        for segment in segments:
            is_finished = segment.boot_id != self._boot_id or segment is not segments[-1]
            moved_bytes = self._carry_batch(segment)
            if moved_bytes:
                return is_finished or moved_bytes > MAX_LINE_BYTES // 2
            if is_finished:
                self._delete(segment)
        if not self._is_past_closed:
            self._store.interrupt_open(self._gateway_id, but_not_boot=self._boot_id)
            self._is_past_closed = True
        self.status.store = "ok"
        return False

    def carry_rest(self, limit_s: float) -> None:
        """Write all that is there, for `limit_s` at most. For the end, when nobody adds to it any more."""
        end_s = time.monotonic() + limit_s
        before = -1
        while self.status.lag_bytes != before and time.monotonic() < end_s:  # a torn line stays, so never wait for 0
            before = self.status.lag_bytes
            self.carry_over()

    def _left_in(self, segment: Segment) -> int:
        return segment.path.stat().st_size - self._offsets.get(segment.name, 0)

    def _carry_batch(self, segment: Segment) -> int:
        """Return how many bytes of journal were carried over; 0 = no whole line is left."""
        start = self._offsets.get(segment.name, 0)
        lines, end = read_segment(segment.path, start)
        if end == start:
            return 0
        checkpoint = Checkpoint(self._gateway_id, segment.name, end)
        self.status.poisoned += self._store.upsert(lines.rows, lines.bad, checkpoint)
        self._offsets[segment.name] = end
        self.status.records += sum(map(is_ended, lines.rows))
        self.status.lag_bytes -= end - start
        self.status.store = "ok"
        return end - start

    def _delete(self, segment: Segment) -> None:
        """A torn last line goes with it: no answer was given on its strength."""
        self._store.settle()
        segment.path.unlink()
        self._store.forget(self._gateway_id, [segment.name])
        self._offsets.pop(segment.name, None)


class Parent:
    """The gateway, at the other end of two pipes."""

    def __init__(self, stdin: int, stdout: int, status: StoreStatus) -> None:
        self.is_gone = False
        self._stdin = stdin
        self._stdout = stdout
        self._status = status
        self._report_at_s = 0.0

    def wait(self, wait_s: float) -> None:
        """Let that much time pass, reporting when it is due; return early when the gateway is gone."""
        end_s = time.monotonic() + wait_s
        while not self.is_gone:
            self._report_if_due()
            left_s = min(end_s, self._report_at_s) - time.monotonic()
            if select.select([self._stdin], [], [], max(0.0, left_s))[0]:
                self.is_gone = not os.read(self._stdin, 4096)
            if time.monotonic() >= end_s:
                return

    @contextmanager
    def kept_informed(self) -> Iterator[None]:
        """Report from a thread during work that may rightly take long: a migration of millions of rows."""
        is_over = threading.Event()

        def report() -> None:
            while not is_over.wait(REPORT_EVERY_S):
                self._report_if_due()

        thread = threading.Thread(target=report, name="report", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _report_if_due(self) -> None:
        now_s = time.monotonic()
        if now_s < self._report_at_s:
            return
        self._report_at_s = now_s + REPORT_EVERY_S
        if not select.select([], [self._stdout], [], 0)[1]:
            return  # the gateway does not read: what it misses is out of date anyway
        try:
            os.write(self._stdout, msgspec.json.encode(self._status) + b"\n")
        except BrokenPipeError:
            self.is_gone = True


def serve(bookkeeper: Bookkeeper, parent: Parent) -> None:
    """Carry over until the gateway is gone; whatever happens to the store, keep trying."""
    retry_s = RETRY_FIRST_S
    is_prepared = False
    while not parent.is_gone:
        try:
            if not is_prepared:
                with parent.kept_informed():
                    bookkeeper.prepare()
                is_prepared = True
            parent.wait(0.0 if bookkeeper.carry_over() else POLL_S)
            retry_s = RETRY_FIRST_S
        except (StoreAway, OSError) as exc:
            is_prepared = False
            bookkeeper.status.store = _told(exc)
            parent.wait(retry_s)
            retry_s = min(2 * retry_s, RETRY_AT_MOST_S)
    try:
        bookkeeper.carry_rest(LAST_PASS_S)
    except (StoreAway, OSError):
        pass  # the next boot's bookkeeper finds it all in the journal


def give_way() -> None:
    """Let the gateway go first where both want the same core.

    Linux may share out the processor between sessions first, and heed niceness only within each: then the session's own
    niceness is what counts (sched(7), autogroup). Only if the session is ours alone.
    """
    os.nice(NICENESS)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # another system, or a kernel without it
            Path("/proc/self/autogroup").write_text(str(NICENESS))


def take_turn(state_dir: Path, parent: Parent, status: StoreStatus) -> bool:
    """Wait until no other bookkeeper writes for this folder; False = the gateway was gone first.

    The lock belongs to the process, and to nobody else once it is dead.
    """
    lock = os.open(state_dir / "bookkeeper.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while not parent.is_gone:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            status.store = "waits for another bookkeeper"
            parent.wait(POLL_S)
        else:
            return True
    return False


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="penstock.runtime.bookkeeper")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--gateway-id", required=True)
    parser.add_argument("--boot-id", required=True)
    parser.add_argument("--store", metavar="URL", help="default: penstock.db in the state directory")
    asked = parser.parse_args(argv)
    for ignored in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group: the gateway ends first, then we do
        signal.signal(ignored, signal.SIG_IGN)
    give_way()
    store = _store(asked.store, asked.state_dir)
    bookkeeper = Bookkeeper(asked.state_dir / "journal", store, gateway_id=asked.gateway_id, boot_id=asked.boot_id)
    parent = Parent(0, 1, bookkeeper.status)
    if take_turn(asked.state_dir, parent, bookkeeper.status):
        serve(bookkeeper, parent)
    store.close()


def _store(url: str | None, state_dir: Path) -> Store:
    if url is None:
        return SqliteStore(state_dir / "penstock.db")
    scheme, _, place = url.partition("://")
    if scheme == "sqlite" and len(place) > 1 and place.startswith("/"):
        return SqliteStore(Path(place[1:]))
    if scheme not in {"postgresql", "postgres"}:
        raise SystemExit("--store: expected sqlite:///PATH or postgresql://USER@HOST/DATABASE")
    from penstock.store.postgres import PostgresStore

    try:
        return PostgresStore(url)
    except ModuleNotFoundError as exc:
        raise SystemExit(f"--store: {exc}; PostgreSQL needs penstock[postgres]") from exc


def _told(exc: StoreAway | OSError) -> str:
    return "locked" if isinstance(exc, StoreAway) and exc.is_locked else f"failing: {exc}"[:REASON_CHARACTERS]


if __name__ == "__main__":
    main()
