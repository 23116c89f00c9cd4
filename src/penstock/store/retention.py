"""What is too old or too much is deleted: in steps so small that nobody who writes or reads has to wait for one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from penstock.store.base import Kind, Store
from penstock.store.belief import first_belief, next_belief, told, tolerated

STEP_ROWS = 1000
ROW_BYTES = 2000
"""A record takes less, with its place in indexes and its part of the rollups: so many of them that take up what is too
much are never too many. What is left then is measured anew."""

ROLLUPS_WITHIN_S = 1800.0
"""So long after a deletion it is waited for rollups to follow; a full disk waits for nobody."""

MEASURE_EVERY_S = 2.0
"""A server's own statistics are a second old: looking again at once would delete twice what is too much."""

LOOK_EVERY_S = 20.0
"""At the clock."""

REST_S = 30.0
"""How long it is left alone when there is nothing to do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """None = no limit. `keep_s` is for calls and loads."""

    keep_s: float | None = None
    keep_samples_s: float | None = None
    keep_bytes: int | None = None


KEEP_ALL = Limits()


class Retention:
    """Keeps one store within its limits. `shed` counts what was deleted, `used_bytes` is the last measurement.

    `doubt` says why the clock is not believed; "" = it is.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        *,
        rollups_lag: Callable[[float], bool] = lambda _before: False,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """rollups_lag: whether they still hold what was received before a moment and has been deleted."""
        self.shed = 0
        self.used_bytes: int | None = None
        self.doubt = ""
        self._store = store
        self._limits = limits
        self._clock = clock
        self._now = now
        self._rests_until_s = self._measure_at_s = 0.0
        self._rollups_lag = rollups_lag
        self._surplus_rows = 0
        self._shed_surplus_at_s = -ROLLUPS_WITHIN_S
        self._time = 0.0  # as far as it is believed, when it was last looked
        self._looked_at_s: float | None = None

    def step(self) -> bool:
        """Do a little of what is due; True = there is more. Raises StoreAway."""
        if self._clock() < self._rests_until_s:
            return False
        self._look_at_the_clock()
        if self._shed_old() or self._shed_surplus() or self._store.give_back():
            return True
        self._rests_until_s = self._clock() + REST_S
        return False

    def _shed_old(self) -> bool:
        keep = {
            Kind.CALLS: self._limits.keep_s,
            Kind.LOADS: self._limits.keep_s,
            Kind.SAMPLES: self._limits.keep_samples_s,
        }
        return any(keep_s is not None and self._shed(kind, before=self._time - keep_s) for kind, keep_s in keep.items())

    def _look_at_the_clock(self) -> None:
        """Several gateways may go by one belief: whose clock is right undoes what another one doubts."""
        shortest_s = min(filter(None, (self._limits.keep_s, self._limits.keep_samples_s)), default=None)
        now_s = self._clock()
        if shortest_s is None or (self._looked_at_s is not None and now_s < self._looked_at_s + LOOK_EVERY_S):
            return
        wall, tolerated_s = self._now(), tolerated(shortest_s)
        passed_s = 0.0 if self._looked_at_s is None else now_s - self._looked_at_s
        before = self._store.belief() or first_belief(wall, self._newest_at())
        belief = next_belief(before, wall, passed_s, tolerated_s)
        self._store.believe(belief)
        self._looked_at_s = now_s
        self._time = min(wall, belief.at)
        self.doubt = told(belief, wall, tolerated_s)

    def _newest_at(self) -> float | None:
        return max((at for kind in Kind if (at := self._store.newest_at(kind)) is not None), default=None)

    def _shed_surplus(self) -> bool:
        """Beyond the size, the oldest go, of whatever kind they are."""
        limit = self._limits.keep_bytes
        if limit is None:
            return False
        if not self._surplus_rows:
            if self._clock() < self._measure_at_s or self._is_in_rollups():
                return False
            self._measure_at_s = self._clock() + MEASURE_EVERY_S
            self.used_bytes = self._store.used_bytes()
            self._surplus_rows = math.ceil(max(0, self.used_bytes - limit) / ROW_BYTES)
        oldest = self._kind_of_the_oldest() if self._surplus_rows else None
        before = self.shed
        if oldest is None or not self._shed(oldest, before=None, limit=min(STEP_ROWS, self._surplus_rows)):
            self._surplus_rows = 0
            return False
        self._surplus_rows -= self.shed - before
        self._shed_surplus_at_s = self._clock()
        return True

    def _is_in_rollups(self) -> bool:
        """What was deleted takes up room as long as it is: measured now, more would be deleted for it."""
        if self._clock() >= self._shed_surplus_at_s + ROLLUPS_WITHIN_S:
            return False
        oldest_at = self._store.oldest_at(Kind.CALLS)
        return self._rollups_lag(self._now() if oldest_at is None else oldest_at)

    def _kind_of_the_oldest(self) -> Kind | None:
        first = {kind: self._store.oldest_at(kind) for kind in Kind}
        known = {kind: at for kind, at in first.items() if at is not None}
        return min(known, key=known.__getitem__, default=None)

    def _shed(self, kind: Kind, *, before: float | None, limit: int = STEP_ROWS) -> bool:
        count = self._store.shed(kind, before=before, limit=limit)
        self.shed += count
        return count > 0
