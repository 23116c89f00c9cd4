"""Waiting for a store that somebody else is writing, for those who have nothing else to do meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from penstock.store.base import StoreAway

T = TypeVar("T")

PATIENCE_S = 20.0
PAUSE_S = 0.1


def patiently(do: Callable[[], T]) -> T:
    """What `do` gives, tried again while the store is locked. Raises StoreAway when it stays so, or is away."""
    end_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return do()
        except StoreAway as exc:
            if not exc.is_locked or time.monotonic() > end_s:
                raise
        time.sleep(PAUSE_S)
