"""What the journals of a store still hold is brought into it, for somebody who wants to read all of it now.

While a gateway runs, its own bookkeeper does that, and is waited for; when it does not, it is done here.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from penstock.config.store_address import StoreAddress
from penstock.runtime.records.bookkeeper import Bookkeeper
from penstock.runtime.records.bookkeeping import whose
from penstock.store.base import Store
from penstock.store.patience import patiently
from penstock.store.segments import segments_in

LOOK_EVERY_S = 0.1
STUCK_AFTER_S = 15.0
"""Without progress for so long, a bookkeeper is not waited for any more."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A journal that could not be brought in as a whole, and why."""

    state_dir: Path
    reason: str


def catch_up(
    store: Store, address: StoreAddress, state_dirs: list[Path], *, stuck_after_s: float = STUCK_AFTER_S
) -> list[Missing]:
    """Bring in every journal that feeds this store: of `state_dirs`, and those that the store knows on this machine.

    Returns those that are not in the store now. Raises StoreAway.
    """
    folders = {folder.resolve(): None for folder in [*state_dirs, *map(Path, store.gateways().values())]}
    missing = []
    for folder in folders:
        try:
            reason = _bring_in(store, address, folder, stuck_after_s)
        except OSError as exc:
            reason = f"cannot be read: {exc.strerror}"
        if reason:
            missing.append(Missing(folder, reason))
    return missing


def _bring_in(store: Store, address: StoreAddress, state_dir: Path, stuck_after_s: float) -> str | None:
    """Why it could not be, or None. A folder without a journal has nothing to bring."""
    if not segments_in(state_dir / "journal"):
        return None
    belongs_to = whose(state_dir)
    if belongs_to is None:
        return "does not say to which store it belongs"
    if belongs_to != str(address):
        return f"belongs to {belongs_to}"
    gateway_id = (state_dir / "gateway_id").read_text().strip()
    with _held(state_dir / "lock") as is_ours:
        if is_ours:
            return _carry(store, state_dir, gateway_id, stuck_after_s)
    return _wait(store, state_dir, gateway_id, stuck_after_s)


def _carry(store: Store, state_dir: Path, gateway_id: str, patience_s: float) -> str | None:
    """No gateway runs; the bookkeeper of one that was killed may still be at its last pass."""
    end_s = time.monotonic() + patience_s
    while time.monotonic() < end_s:
        with _held(state_dir / "bookkeeper.lock") as is_ours:
            if is_ours:
                bookkeeper = Bookkeeper(state_dir / "journal", store, gateway_id=gateway_id, boot_id=None)
                patiently(bookkeeper.prepare)
                while patiently(bookkeeper.carry_over):
                    pass
                return None
        time.sleep(LOOK_EVERY_S)
    return "another bookkeeper holds it"


def _wait(store: Store, state_dir: Path, gateway_id: str, stuck_after_s: float) -> str | None:
    """A gateway runs: return when its bookkeeper has carried over what is there now."""
    wanted = {segment.name: _whole_bytes(segment.path) for segment in segments_in(state_dir / "journal")}
    left, moved_at_s = -1, time.monotonic()
    while time.monotonic() < moved_at_s + stuck_after_s:
        there = {segment.name for segment in segments_in(state_dir / "journal")}
        done = store.checkpoints(gateway_id)
        behind = sum(max(0, size - done.get(name, 0)) for name, size in wanted.items() if name in there)
        if not behind:
            return None
        if behind != left:
            left, moved_at_s = behind, time.monotonic()
        time.sleep(LOOK_EVERY_S)
    return f"{left} bytes of it are not in the store, and its bookkeeper makes no progress"


def _whole_bytes(path: Path) -> int:
    """The length of a segment without a torn last line."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - (1 << 20))
            file.seek(start)
            return start + file.read().rfind(b"\n") + 1
    except FileNotFoundError:
        return 0


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Whether a lock could be had; it is held for the block."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(lock)
