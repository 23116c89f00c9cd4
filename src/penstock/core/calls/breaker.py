"""When to stop sending calls to a model whose engine keeps failing: one breaker for each model.

    closed     calls pass; so many faults of the engine in a row open it
    open       calls are refused until its pause is over
    half_open  one call is let through, the probe; what becomes of it decides: closed, or open for twice as long

Only what the engine did counts. A crash takes many calls with it and is one fault: a call that fell with
its engine counts only if it had begun after the fault before. Calls that were let in before it opened
change nothing any more: the probe alone decides.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from penstock.errors import BreakerOpen


class BreakerState(enum.StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """failures: faults in a row that open it. The pause doubles with each probe that fails, up to `max_pause_s`."""

    failures: int = 5
    pause_s: float = 10.0
    max_pause_s: float = 300.0


class Breaker:
    """One model's. Of each call that was let in, one of the three ends is told; those of strangers do no harm."""

    __slots__ = ("_fault_s", "_pauses", "_policy", "_probe", "failures", "model", "state", "until_s")

    def __init__(self, model: str, policy: BreakerPolicy) -> None:
        self.model = model
        self.state = BreakerState.CLOSED
        self.failures = 0  # in a row; while there are none, who comes or succeeds need not ask or tell
        self.until_s = -math.inf  # while it is open: when a probe may come
        self._policy = policy
        self._pauses = 0  # in a row
        self._probe = ""  # the call that is let through while half open
        self._fault_s = -math.inf  # the moment of the last fault

    def refusal(self, call_id: str, now_s: float) -> BreakerOpen | None:
        """None = the call may come in."""
        if self.state is BreakerState.CLOSED or self._probe == call_id:
            return None
        if self.state is BreakerState.OPEN and now_s >= self.until_s:
            self.state = BreakerState.HALF_OPEN
        if self.state is BreakerState.HALF_OPEN and not self._probe:
            self._probe = call_id
            return None
        rest_s = self.until_s - now_s if self.state is BreakerState.OPEN else self._policy.pause_s
        return BreakerOpen(model=self.model, failures=self.failures, retry_after_s=math.ceil(rest_s))

    def succeeded(self, call_id: str) -> None:
        """The engine did its work."""
        if self.state is BreakerState.CLOSED or self._probe == call_id:
            self.reset()

    def failed(self, call_id: str, now_s: float, *, fell_since_s: float | None = None) -> None:
        """The engine did not. `fell_since_s`: it is gone, and had worked on the call since then."""
        if self._probe == call_id:
            self.failures += 1
            self._open(now_s)
        elif self.state is BreakerState.CLOSED:
            if fell_since_s is None or fell_since_s > self._fault_s:
                self.failures += 1
            self._fault_s = now_s
            if self.failures >= self._policy.failures:
                self._open(now_s)

    def left(self, call_id: str) -> None:
        """It ended in a way that says nothing about the engine: if it was the probe, another call may be."""
        if self._probe == call_id:
            self._probe = ""

    def reset(self) -> None:
        """Let everybody in again."""
        self.state, self.failures, self._pauses, self._probe = BreakerState.CLOSED, 0, 0, ""
        self._fault_s = -math.inf

    def _open(self, now_s: float) -> None:
        pause_s = min(self._policy.pause_s * 2.0 ** min(self._pauses, 60), self._policy.max_pause_s)
        self.state, self.until_s, self._probe = BreakerState.OPEN, now_s + pause_s, ""
        self._pauses += 1
