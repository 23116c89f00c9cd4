"""How long calls wait for which reason: one running clock for each model, read when a wait ends.

The first call in a model's line decides why the model's calls wait. Its reason is looked up
whenever something was decided, so the seconds are exact to the last decision, and asking costs
nothing per waiting call.
"""

from __future__ import annotations

from penstock.core.scheduler import Scheduler, WaitReason


class WaitClock:
    """Seconds waited, by model and reason."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._totals: dict[str, dict[str, float]] = {}
        self._reasons: dict[str, WaitReason] = {}
        self._advanced_s: float | None = None

    @property
    def is_running(self) -> bool:
        """Somebody waited when it was last advanced."""
        return bool(self._reasons)

    def advance(self, now_s: float) -> None:
        """Charge the time since the last call to the reasons that held, and look them up anew."""
        if self._advanced_s is not None and now_s > self._advanced_s:
            for model, reason in self._reasons.items():
                totals = self._totals.setdefault(model, {})
                totals[reason.value] = totals.get(reason.value, 0.0) + now_s - self._advanced_s
        self._advanced_s = now_s
        self._reasons = self._scheduler.reasons()

    def read(self, model: str) -> dict[str, float]:
        """The clock's state when a wait begins."""
        return dict(self._totals.get(model, ()))

    def since(self, model: str, start: dict[str, float], waited_s: float) -> dict[str, float]:
        """The seconds per reason since `start`; they never add up to more than `waited_s`."""
        totals = self._totals.get(model, {})
        reasons = {reason: total - start.get(reason, 0.0) for reason, total in totals.items()}
        reasons = {reason: seconds for reason, seconds in reasons.items() if seconds > 0}
        charged = sum(reasons.values())
        if charged > waited_s > 0:
            return {reason: seconds * waited_s / charged for reason, seconds in reasons.items()}
        return reasons
