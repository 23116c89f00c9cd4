"""Where quotas are counted: numbers in a file that is mapped into memory.

A write to it is a write to memory, and the kernel's from that moment on: it survives SIGKILL, without a system call.
Each counter has a place of its own, found again by the key's digest and the quota's kind and window, so a limit may be
changed, and a key be away for a while, without anything being forgotten.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
import struct
from array import array
from collections.abc import Iterable
from pathlib import Path

from penstock.core.calls.key import Key
from penstock.core.calls.quota import Cells, Quota, Tally

log = logging.getLogger("penstock.keys")

NAME = "quotas"
CAPACITY = 16_384
_MAGIC = int.from_bytes(b"PENQUOT1", "little")
_MAGIC_AT, _CAPACITY_AT, _COUNT_AT, _FIRST = 0, 1, 2, 8
_WIDTH = 4  # two numbers of identity, the window, what was used
_WORD_BYTES = 8
_MOST_USED = 2**62  # a larger number is damage, and one more would not fit
_SIZE_BYTES = _WORD_BYTES * (_FIRST + _WIDTH * CAPACITY)

Identity = tuple[int, int]


class QuotaFile:
    """The counters of one state folder. Only one process may have it open."""

    def __init__(self, state_dir: Path, keys: Iterable[Key]) -> None:
        """`keys`: whose counters matter; others are dropped when room gets short. Never raises for a bad file."""
        self._path = state_dir / NAME
        self._is_full_told = False
        self._map: mmap.mmap | None = None
        self._cells: Cells
        self._places: dict[Identity, int] = {}
        kept = _read(self._path)
        wanted = {_identity(key, quota) for key in keys for quota in key.quotas}
        if kept is not None and len(kept) > CAPACITY // 2:
            kept = {identity: cells for identity, cells in kept.items() if identity in wanted}
        try:
            self._open(kept)
        except OSError as exc:
            log.warning("quotas_not_kept path=%s: they start anew with each start of the gateway (%s)", self._path, exc)
            self._cells = array("q", bytes(_SIZE_BYTES))

    def tallies(self, key: Key) -> tuple[Tally, ...]:
        """What the key has used of each of its quotas."""
        return tuple(self._tally(_identity(key, quota), quota) for quota in key.quotas)

    def close(self) -> None:
        if isinstance(self._cells, memoryview):
            self._cells.release()
        if self._map is not None:
            self._map.close()
            self._map = None

    def _open(self, kept: dict[Identity, tuple[int, int]] | None) -> None:
        """Written out in full: a page of a mapped file for which the disk has no room would be a SIGBUS later."""
        if kept is None or len(kept) != _count(self._path):
            _write(self._path, kept or {})
        descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(descriptor, _SIZE_BYTES, mmap.MAP_SHARED)
        finally:
            os.close(descriptor)
        self._cells = cells = memoryview(self._map).cast("q")
        for number in range(cells[_COUNT_AT]):
            at = _FIRST + _WIDTH * number
            self._places[cells[at], cells[at + 1]] = at

    def _tally(self, identity: Identity, quota: Quota) -> Tally:
        at = self._places.get(identity)
        if at is None:
            number = self._cells[_COUNT_AT]
            if number >= CAPACITY:
                self._tell_full()
                return Tally(quota, [0, 0], 0)
            at = self._places[identity] = _FIRST + _WIDTH * number
            self._cells[at], self._cells[at + 1] = identity
            self._cells[at + 2] = self._cells[at + 3] = 0
            self._cells[_COUNT_AT] = number + 1
        return Tally(quota, self._cells, at + 2)

    def _tell_full(self) -> None:
        if not self._is_full_told:
            self._is_full_told = True
            log.warning("quotas_not_kept path=%s: more than %d counters; restart the gateway to drop old ones",
                        self._path, CAPACITY)  # fmt: skip


def used(state_dir: Path, key: Key, now: float) -> tuple[int, ...] | None:
    """What a key has used of each of its quotas, for whoever is not the gateway; None = nothing is known."""
    kept = _read(state_dir / NAME)
    if kept is None:
        return None
    return tuple(Tally(quota, list(kept.get(_identity(key, quota), (0, 0))), 0).used(now) for quota in key.quotas)


def _identity(key: Key, quota: Quota) -> Identity:
    named = b"%b %b %d" % (key.digest, quota.counted.value.encode("ascii"), quota.per_s)
    high, low = struct.unpack_from("<qq", hashlib.sha256(named).digest())
    return high, low


def _read(path: Path) -> dict[Identity, tuple[int, int]] | None:
    """Window and use of each counter; None = there is no file, or none that can be believed."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        log.warning("quotas_lost path=%s: cannot be read (%s), counted anew", path, exc)
        return None
    kept = _understood(content)
    if kept is None:
        log.warning("quotas_lost path=%s: it is damaged, counted anew", path)
    return kept


def _understood(content: bytes) -> dict[Identity, tuple[int, int]] | None:
    if len(content) != _SIZE_BYTES:
        return None
    words = memoryview(content).cast("q")
    count = words[_COUNT_AT]
    if words[_MAGIC_AT] != _MAGIC or words[_CAPACITY_AT] != CAPACITY or not 0 <= count <= CAPACITY:
        return None
    places = range(_FIRST, _FIRST + _WIDTH * count, _WIDTH)
    kept = {(words[at], words[at + 1]): (words[at + 2], words[at + 3]) for at in places}
    if len(kept) != count or any(not 0 <= use <= _MOST_USED for _, use in kept.values()):
        return None
    return kept


def _count(path: Path) -> int:
    with path.open("rb") as file:
        return int(struct.unpack("<q", file.read(_WORD_BYTES * (_COUNT_AT + 1))[-_WORD_BYTES:])[0])


def _write(path: Path, kept: dict[Identity, tuple[int, int]]) -> None:
    words = array("q", bytes(_SIZE_BYTES))
    words[_MAGIC_AT], words[_CAPACITY_AT], words[_COUNT_AT] = _MAGIC, CAPACITY, len(kept)
    for number, (identity, cells) in enumerate(kept.items()):
        at = _FIRST + _WIDTH * number
        words[at : at + _WIDTH] = array("q", (*identity, *cells))
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(words.tobytes())
    new.replace(path)
