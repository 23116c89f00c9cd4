"""Whether a call that an engine works on takes longer than it may."""

from __future__ import annotations

from penstock.config.sections import TimeLimitsSettings
from penstock.core.calls.deadline import seconds
from penstock.errors import DeadlineMissed, EngineTimeout, GatewayError
from penstock.runtime.calls.call import Call


def overdue(call: Call, limits: TimeLimitsSettings, now_s: float, *, silent_s: float | None) -> GatewayError | None:
    """Why the call is given up now; None = it may go on.

    silent_s: since the engine's last byte; None = it has not begun to answer.
    """
    held_s = now_s - call.opened_s - (call.record.admitted_s or 0.0)
    asked_s = seconds(call.caller.request_timeout)
    if asked_s is not None and now_s - call.opened_s > asked_s:
        return DeadlineMissed(limit=f"X-Request-Timeout: {asked_s:g} s", phase="while the engine worked on it")
    if held_s > limits.call:
        if silent_s is None:
            return _timeout(call, limits.call, "limits.call")
        # It speaks, only for too long: no fault of the engine, and nothing for its breaker.
        return DeadlineMissed(limit=f"limits.call: {limits.call:g} s", phase="while the engine worked on it")
    if silent_s is None:
        is_late = limits.first_byte is not None and held_s > limits.first_byte
        return _timeout(call, limits.first_byte or 0.0, "limits.first_byte") if is_late else None
    return _timeout(call, limits.idle, "limits.idle") if silent_s > limits.idle else None


def _timeout(call: Call, span_s: float, limit: str) -> EngineTimeout:
    return EngineTimeout(model=call.model, seconds=f"{span_s:g}", limit=limit)
