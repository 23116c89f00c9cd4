"""The child process that carries the journal over to the store, so that the gateway never waits for a database.

    python -m penstock.runtime.records.bookkeeper --state-dir DIR --gateway-id G --boot-id B [--keep-s S] …

The store's address may hold a password, which everybody could read in the arguments of a process: it comes in the
environment. Standard input is a pipe from the gateway that says nothing: when it closes, the gateway is gone. On
standard output one StoreStatus per second is printed as a line of JSON; a bookkeeper that is silent and does not work
either is taken for stuck.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from penstock.config.store_address import FILE_NAME, STORE_VARIABLE, StoreAddress, read_address, sqlite_address
from penstock.runtime.records.parent import Parent, take_turn
from penstock.runtime.records.usage_server import SOCKET, app_named, serve_in_background
from penstock.store.base import Checkpoint, Store, StoreAway
from penstock.store.opening import DriverMissing, open_store
from penstock.store.queries.lag import rollups_lag
from penstock.store.queries.roller import Roller
from penstock.store.retention import KEEP_ALL, Limits, Retention
from penstock.store.rows import is_ended
from penstock.store.segments import Segment, read_segment, segments_in
from penstock.store.status import StoreStatus

POLL_S = 0.5
"""A call that opens and ends between two looks is written once: the less often, the cheaper. Whoever waits for an open
record was promised a second."""

BATCH_BYTES = 2 << 20
"""Of the journal in one transaction. Half of that costs PostgreSQL a quarter more for each record; more is memory."""

TIDY_AT_LEAST_EVERY_S = 1.0
"""However much there is to carry over: what comes must not outrun what goes."""

NICENESS = 5
LAST_PASS_S = 5.0
RETRY_FIRST_S = 0.25
RETRY_AT_MOST_S = 5.0
REASON_CHARACTERS = 500
"""A status line must fit into one write to a pipe."""


class Bookkeeper:
    """Carries whole lines from the segments to the store, in order, and deletes segments that hold nothing more."""

    def __init__(
        self,
        directory: Path,
        store: Store,
        *,
        gateway_id: str,
        boot_id: str | None,
        limits: Limits = KEEP_ALL,
        roller: Roller | None = None,
        rollups_lag: Callable[[float], bool] = lambda _before: False,
    ) -> None:
        """directory: the journal's own. boot_id: the boot whose last segment is still being written; None = no
        gateway writes here, which the caller knows for certain."""
        self.status = StoreStatus()
        self._retention = Retention(store, limits, rollups_lag=rollups_lag)
        self._roller = roller
        self._tidied_at_s = 0.0
        self._caught_up_at_s = time.monotonic()
        self._directory = directory
        self._store = store
        self._gateway_id = gateway_id
        self._boot_id = boot_id
        self._offsets: dict[str, int] = {}
        self._is_past_closed = False
        self._has_successor = False

    def prepare(self) -> None:
        """Bring the store up to date and learn from it how far it got. First of all, and again after any failure:
        whether the batch that failed was written is known to the store alone."""
        self._store.prepare()
        if self._roller is not None:
            self._roller.prepare()
        self._store.register(self._gateway_id, str(self._directory.parent.absolute()))
        self._offsets = self._store.checkpoints(self._gateway_id)
        gone = self._offsets.keys() - {segment.name for segment in segments_in(self._directory)}
        if gone:
            self._store.forget(self._gateway_id, sorted(gone))
        self.status.poisoned = self._store.count_poisoned()

    def look(self) -> list[Segment]:
        """Say in the status how much of the journal is not in the store yet. Raises OSError."""
        segments = self._ours()
        self._note_lag(sum(self._left_in(segment) for segment in segments))
        return segments

    def _ours(self) -> list[Segment]:
        """Without those of later boots: while this is the last pass for a gateway that was killed, the next one may
        write already, and what it writes is no business of ours. None at all = another bookkeeper has done our work."""
        segments = segments_in(self._directory)
        if self._boot_id is None:
            return segments
        last = max((at for at, segment in enumerate(segments) if segment.boot_id == self._boot_id), default=-1)
        self._has_successor = last < len(segments) - 1
        return segments[: last + 1]

    def carry_over(self) -> bool:
        """Write one batch at most; True = do not wait before the next. Raises StoreAway and OSError."""
        segments = self.look()
        for segment in segments:
            is_finished = segment.boot_id != self._boot_id or segment is not segments[-1]
            moved_bytes = self._carry_batch(segment)
            if moved_bytes:
                return is_finished or moved_bytes > BATCH_BYTES // 2
            if is_finished:
                self._delete(segment)
        if not self._is_past_closed and not self._has_successor:
            self._store.interrupt_open(self._gateway_id, but_not_boot=self._boot_id or "")
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

    def tidy(self, *, is_behind: bool) -> bool:
        """Delete a little of what is not to be kept, and roll up a little; True = there is more. Raises StoreAway."""
        now_s = time.monotonic()
        if is_behind and now_s - self._tidied_at_s < TIDY_AT_LEAST_EVERY_S:
            self._note_doubt()
            return False
        self._tidied_at_s = now_s
        has_more = self._retention.step()
        self.status.shed = self._retention.shed
        self._note_doubt()
        if self._roller is not None:
            has_more = self._roller.step() or has_more
        return has_more

    def _note_doubt(self) -> None:
        """To be called last: whatever else is well does not make it so."""
        if self._retention.doubt:
            self.status.store = self._retention.doubt

    def _note_lag(self, lag_bytes: int) -> None:
        now_s = time.monotonic()
        if not lag_bytes:
            self._caught_up_at_s = now_s
        self.status.lag_bytes, self.status.lag_s = lag_bytes, round(now_s - self._caught_up_at_s, 3)
        self.status.is_lag_known = True

    def _left_in(self, segment: Segment) -> int:
        return segment.path.stat().st_size - self._offsets.get(segment.name, 0)

    def _carry_batch(self, segment: Segment) -> int:
        """Return how many bytes of journal were carried over; 0 = no whole line is left."""
        start = self._offsets.get(segment.name, 0)
        lines, end = read_segment(segment.path, start, limit_bytes=BATCH_BYTES)
        if end == start:
            return 0
        checkpoint = Checkpoint(self._gateway_id, segment.name, end)
        self.status.poisoned += self._store.upsert(
            lines.rows, lines.bad, checkpoint, loads=lines.loads, samples=lines.samples
        )
        self._offsets[segment.name] = end
        self.status.records += sum(map(is_ended, lines.rows))
        self._note_lag(self.status.lag_bytes - (end - start))
        self.status.store = "ok"
        return end - start

    def _delete(self, segment: Segment) -> None:
        """A torn last line goes with it: no answer was given on its strength."""
        self._store.settle()
        segment.path.unlink()
        self._store.forget(self._gateway_id, [segment.name])
        self._offsets.pop(segment.name, None)


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
            is_behind = bookkeeper.carry_over()
            has_more = bookkeeper.tidy(is_behind=is_behind)
            parent.wait(0.0 if is_behind or has_more else POLL_S)
            retry_s = RETRY_FIRST_S
        except (StoreAway, OSError) as exc:
            is_prepared = False
            bookkeeper.status.store = _told(exc)
            with suppress(OSError):
                bookkeeper.look()
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


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="penstock.runtime.records.bookkeeper")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--gateway-id", required=True)
    parser.add_argument("--boot-id", required=True)
    parser.add_argument("--keep-s", type=float)
    parser.add_argument("--keep-samples-s", type=float)
    parser.add_argument("--keep-bytes", type=int)
    parser.add_argument("--usage-app", metavar="MODULE:FUNCTION")
    asked = parser.parse_args(argv)
    for ignored in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group: the gateway ends first, then we do
        signal.signal(ignored, signal.SIG_IGN)
    give_way()
    try:
        address = _address(asked.state_dir)
        store = open_store(address)
    except (ValueError, DriverMissing) as exc:
        raise SystemExit(f"the store: {exc}") from exc
    bookkeeper = Bookkeeper(
        asked.state_dir / "journal",
        store,
        gateway_id=asked.gateway_id,
        boot_id=asked.boot_id,
        limits=Limits(asked.keep_s, asked.keep_samples_s, asked.keep_bytes),
        roller=Roller(store),
        rollups_lag=partial(rollups_lag, store),
    )
    bookkeeper.status.address = str(address)
    parent = Parent(0, 1, bookkeeper.status)
    is_ours = take_turn(asked.state_dir, parent, bookkeeper.status)
    if is_ours:
        if asked.usage_app is not None:
            with suppress(OSError):  # whoever asks is told that nobody answers; records matter more
                serve_in_background(lambda: app_named(asked.usage_app)(address), asked.state_dir)
        serve(bookkeeper, parent)
    store.close()
    if is_ours and asked.usage_app is not None:
        (asked.state_dir / SOCKET).unlink(missing_ok=True)


def _address(state_dir: Path) -> StoreAddress:
    """Raises ValueError."""
    url = os.environ.pop(STORE_VARIABLE, None)
    return sqlite_address(state_dir / FILE_NAME) if url is None else read_address(url)


def _told(exc: StoreAway | OSError) -> str:
    return "locked" if isinstance(exc, StoreAway) and exc.is_locked else f"failing: {exc}"[:REASON_CHARACTERS]


if __name__ == "__main__":
    main()
