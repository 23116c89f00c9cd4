"""The append-only file on local disk that a call is in before any of its answer is out.

Only this file writes segments. It runs inside the gateway's event loop: a line is encoded when it is queued, all
lines of a loop turn leave with one os.write, and no failure of the disk ever reaches the caller as an exception.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path

import msgspec

from penstock.core.accounting.load_record import LoadRecord
from penstock.core.accounting.record import CallRecord
from penstock.store.fsync import Syncer
from penstock.store.reserve import Reserve
from penstock.store.rows import COLUMNS, LOAD_COLUMNS, LOAD_LINE, SAMPLE_COLUMNS, SAMPLE_LINE, Noted, line_struct
from penstock.store.segments import segment_name, segments_in

SEGMENT_BYTES = 8 << 20
MEMORY_RECORDS = 100_000
RESERVE_BYTES = 64 << 20
RETRY_AFTER_S = 0.25
"""How long a failing disk is left alone: the loop turns thousands of times a second."""

_KNOWN_BEFORE_THE_ANSWER = COLUMNS[: COLUMNS.index("sent_s") + 1]


def _line_of(struct: Callable[..., msgspec.Struct], names: Sequence[str]) -> Callable[[object], msgspec.Struct]:
    values = attrgetter(*names)
    return lambda record: struct(*values(record))


_open_line = _line_of(line_struct(CallRecord, _KNOWN_BEFORE_THE_ANSWER), _KNOWN_BEFORE_THE_ANSWER)
_full_line = _line_of(line_struct(CallRecord, COLUMNS), COLUMNS)
_load_line = _line_of(LOAD_LINE, LOAD_COLUMNS)
_sample_line = _line_of(SAMPLE_LINE, SAMPLE_COLUMNS)


class Journal:
    """Segments in DIRECTORY/journal, numbered in the order written; each boot starts a new one.

    `lines` and `bytes` count what is on disk, `records_lost` the closing lines of calls for which not even memory had
    room.
    """

    def __init__(
        self,
        directory: Path,
        *,
        boot_id: str,
        segment_bytes: int = SEGMENT_BYTES,
        memory_records: int = MEMORY_RECORDS,
        reserve_bytes: int = RESERVE_BYTES,
        fsync_every_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`fsync_every_s` None: a killed process loses nothing, a loss of power what the system had not written yet."""
        self.directory = directory / "journal"
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.lines = 0
        self.bytes = 0
        self.records_lost = 0
        self.failure: str | None = None
        self._boot_id = boot_id
        self._segment_bytes = segment_bytes
        self._memory_lines = 2 * memory_records
        self._clock = clock
        self._encode_into = msgspec.json.Encoder().encode_into
        self._queue = bytearray()
        self._queued_lines = 0
        self._retry_at_s = 0.0
        self._reserve = Reserve(self.directory / "reserve", reserve_bytes)
        self._reserve.fill()
        self._syncer = None if fsync_every_s is None else Syncer(fsync_every_s)
        self._number = max((segment.number for segment in segments_in(self.directory)), default=0)
        self._fd = -1
        self._start_segment()

    @property
    def is_failing(self) -> bool:
        """The disk refuses what is written; `failure` says why. Records gather in memory until it takes them again."""
        return self.failure is not None

    @property
    def is_full(self) -> bool:
        """The disk refuses, and memory is full as well: from here on records are lost, unless calls are refused."""
        return self.failure is not None and self._queued_lines >= self._memory_lines

    @property
    def is_nearly_full(self) -> bool:
        """The disk refuses, and the fifth of memory that is left is for the calls that are under way."""
        return self.failure is not None and 5 * self._queued_lines >= 4 * self._memory_lines

    def opened(self, record: CallRecord) -> None:
        """Queue the line that says that the call exists, with what is known so far. May be repeated when more is."""
        if self.failure is None or not self.is_full:  # else dropped, not counted as lost: the closing line has all
            self._queue_line(_open_line(record))

    def closed(self, record: CallRecord) -> None:
        """Queue the line with everything about a call that has ended."""
        if self.failure is None or not self.is_full:
            self._queue_line(_full_line(record))
        else:
            self.records_lost += 1

    def amended(self, record: CallRecord) -> None:
        """Queue the line of a call that has ended once more: its energy is known now."""
        if not self.is_full:  # dropped without being counted: the call itself is not lost
            self._queue_line(_full_line(record))

    def note(self, record: Noted) -> None:
        """Queue the line of a load, now and again when more is known of it, or of a sample of the host."""
        if not self.is_full:  # dropped without being counted: what is lost are records of calls
            self._queue_line(_load_line(record) if isinstance(record, LoadRecord) else _sample_line(record))

    def flush(self) -> bool:
        """Write all that was queued, with one call; True = it is on disk.

        To be called before a loop turn's answers go out, and now and then when nothing happens: that is when
        a disk that refused is tried again.
        """
        if not self._queue:
            return True
        if self.failure is not None and self._clock() < self._retry_at_s:
            return False
        try:
            self._write_queue()
        except OSError as exc:
            self.failure = os.strerror(exc.errno) if exc.errno else str(exc)
            self._retry_at_s = self._clock() + RETRY_AFTER_S
            return False
        self.failure = None
        self.lines += self._queued_lines
        self._queued_lines = 0
        if self._syncer is not None:
            self._syncer.wrote(self._path)
        if self._written_bytes >= self._segment_bytes:
            self._rotate()
        return True

    def close(self) -> None:
        """Write what is queued, as far as the disk takes it. Idempotent."""
        if self._fd < 0:
            return
        self._retry_at_s = 0.0
        self.flush()
        os.close(self._fd)
        self._fd = -1
        if self._syncer is not None:
            self._syncer.close()

    def _queue_line(self, line: msgspec.Struct) -> None:
        queue = self._queue
        start = len(queue)
        try:
            self._encode_into(line, queue, -1)
        except (UnicodeEncodeError, OverflowError):
            del queue[start:]
            self._encode_into(_mended(line), queue, -1)
        queue.append(0x0A)
        self._queued_lines += 1

    def _write_queue(self) -> None:
        """What a short write leaves over stays at the head of the queue: the line that it cut is continued."""
        while self._queue:
            try:
                written = os.write(self._fd, self._queue)
            except OSError as exc:
                if exc.errno in (errno.ENOSPC, errno.EDQUOT) and self._reserve.give_up_some():
                    continue
                raise
            del self._queue[:written]
            self.bytes += written
            self._written_bytes += written

    def _rotate(self) -> None:
        """Go on in a new segment; where none can be made, in the old one. Only between two lines."""
        full = self._fd
        try:
            self._start_segment()
        except OSError:
            return
        os.close(full)
        self._reserve.fill()

    def _start_segment(self) -> None:
        number = self._number + 1
        path = self.directory / segment_name(number, self._boot_id)
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._path, self._number, self._written_bytes = path, number, 0


def _mended(line: msgspec.Struct) -> dict[str, object]:
    """The same line without what JSON cannot say: half characters of a client's text, integers beyond 64 bits."""
    values, config = msgspec.structs.asdict(line), line.__struct_config__
    if config.tag_field is not None:  # first, as in any such line
        values = {config.tag_field: config.tag, **values}
    return {
        name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for name, value in values.items()
        if value is not None and not (isinstance(value, int) and not -(1 << 63) <= value < 1 << 63)
    }
