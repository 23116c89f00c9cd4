"""Ending calls because the operator says so: those that wait, and those that run only where that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from penstock.core.accounting.record import CallPhase, CallRecord
from penstock.core.scheduling.commands import CancelWaiting
from penstock.runtime.calls.call import CallContext


@dataclass(frozen=True, slots=True)
class Ended:
    """The ids of the calls that were cancelled, oldest first."""

    queued: list[str]
    running: list[str]


def cancel(context: CallContext, is_chosen: Callable[[CallRecord], bool], *, running: bool) -> Ended:
    """Cancel the chosen among the calls that wait and, if `running`, among those that an engine works on.

    Those that wait go first and all at once: none of them is admitted to a slot that another one leaves.
    """
    chosen = [each for each in context.active.values() if is_chosen(each.call.record)]
    waiting = [each.call for each in chosen if each.call.phase is CallPhase.QUEUED]
    at_work = [each for each in chosen if each.call.phase is not CallPhase.QUEUED]
    if waiting:
        context.dispatcher.command(CancelWaiting(tuple(call.record.id for call in waiting)))
    return Ended(
        queued=[call.record.id for call in waiting if call.is_done],
        running=[each.call.record.id for each in at_work if running and each.cancel()],
    )
