"""How long calls wait for which reason: one running clock for each model, read when a wait ends.

The first call in a model's line decides why the model's calls wait. Its reason is looked up
every few milliseconds while somebody waits, so that a crowded queue costs no more than a short one.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.core.scheduling.scheduler import Scheduler, WaitReason

LOOK_EVERY_S = 0.005


class WaitClock:
    """Seconds waited, by model and reason."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._totals: dict[str, dict[WaitReason, float]] = {}
        self._reasons: dict[str, WaitReason] = {}
        self._looked_s = 0.0

    @property
    def is_running(self) -> bool:
        """Somebody waited when it was last looked."""
        return bool(self._reasons)

    def advance(self, now_s: float, model: str | None = None) -> None:
        """Charge the time that has passed to the reasons that held; look them up anew if it is time to.

        `model`: somebody has begun to wait for it, so that its reason must be known from now on.
        """
        is_new = model is not None and model not in self._reasons
        if is_new or now_s - self._looked_s >= LOOK_EVERY_S or not self._scheduler.waiting_count():
            self.look(now_s)

    def look(self, now_s: float) -> None:
        """The same, however short the time since the last look."""
        for name, reason in self._reasons.items():
            totals = self._totals.setdefault(name, {})
            totals[reason] = totals.get(reason, 0.0) + now_s - self._looked_s
        self._looked_s = now_s
        self._reasons = self._scheduler.reasons()

    def read(self, model: str, now_s: float) -> dict[WaitReason, float]:
        """The clock's state at a moment; two of them say what lies between."""
        state = dict(self._totals.get(model, ()))
        if (reason := self._reasons.get(model)) is not None:
            state[reason] = state.get(reason, 0.0) + now_s - self._looked_s
        return state


def waited(began: dict[WaitReason, float], ended: dict[WaitReason, float], waited_s: float) -> dict[str, float]:
    """The seconds per reason between two states; they never add up to more than `waited_s`."""
    spans = {str(reason): total - began.get(reason, 0.0) for reason, total in ended.items()}
    spans = {reason: seconds for reason, seconds in spans.items() if seconds > 0}
    charged_s = sum(spans.values())
    if charged_s > waited_s:
        return {reason: seconds * waited_s / charged_s for reason, seconds in spans.items()}
    return spans


class Wait:
    """What one call has waited for: for its model, or for one after the other."""

    __slots__ = ("_before", "_began", "_since_s", "_so_far")

    def __init__(self, began: dict[WaitReason, float], now_s: float) -> None:
        """began: the clock of its model."""
        self._before: dict[str, float] = {}
        self._so_far: dict[str, float] = {}
        self._began, self._since_s = began, now_s

    def goes_on(self, began: dict[WaitReason, float], now_s: float) -> None:
        """It waits again, perhaps for another model; all of its waiting counts."""
        self._before, self._began, self._since_s = self._so_far, began, now_s

    def until(self, ended: dict[WaitReason, float], now_s: float) -> dict[str, float]:
        """The seconds per reason, up to this state of the clock that it went by last."""
        self._so_far = dict(self._before)
        for reason, spent_s in waited(self._began, ended, now_s - self._since_s).items():
            self._so_far[reason] = self._so_far.get(reason, 0.0) + spent_s
        return self._so_far


@dataclass(slots=True)
class EstimateError:
    """How far the estimates that calls were given on entry were from how long they waited."""

    count: int = 0
    _total_s: float = 0.0

    def note(self, estimated_s: float, waited_s: float) -> None:
        self.count += 1
        self._total_s += abs(estimated_s - waited_s)

    @property
    def mean_absolute_s(self) -> float | None:
        """None = nobody has waited yet."""
        return self._total_s / self.count if self.count else None
