"""What decides: the interface of a policy, and Penstock's own scheduler behind it.

The scheduler is told what the gateway would tell it, and nothing else: arrivals, engines that are ready or gone,
calls that left and how long they were busy, and the time when it asked to be woken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Protocol

from penstock.core.model import Ticket
from penstock.core.scheduling.actions import Action, Admit, Cancel, Refuse, Start, Stop, WakeAt
from penstock.core.scheduling.scheduler import Scheduler
from penstock.simulate.box import Box
from penstock.simulate.world import Call


class Policy(Protocol):
    """Facts come in; it uses the box at once, or in `settle`, which follows all facts of one moment."""

    wake_s: float
    """When to settle, if nothing happens before; inf = not needed."""

    def arrive(self, call: Call) -> None: ...
    def ended(self, call: Call) -> None: ...
    def ready(self, model: str) -> None: ...
    def gone(self, model: str) -> None: ...
    def settle(self) -> None: ...


MakePolicy = Callable[[Box], Policy]


class Penstock:
    """The production scheduler, and what the gateway does around it."""

    def __init__(self, box: Box) -> None:
        self.scheduler = Scheduler(box.plan)
        self.wake_s = math.inf
        self._box = box
        self._calls: dict[str, Call] = {}
        self._started_s: dict[str, float] = {}

    def arrive(self, call: Call) -> None:
        ticket = Ticket(
            id=str(call.number),
            model=call.model,
            key=call.key,
            arrived_s=call.arrived_s,
            priority=call.priority,
            prompt_tokens=call.prompt_tokens,
        )
        self._calls[ticket.id] = call
        self._do(self.scheduler.arrive(ticket, self._box.now_s))

    def ended(self, call: Call) -> None:
        del self._calls[str(call.number)]
        self._do(self.scheduler.leave(str(call.number), self._box.now_s, busy_s=call.ended_s - call.started_s))

    def ready(self, model: str) -> None:
        now_s = self._box.now_s
        load_s = now_s - self._started_s[model]
        self._do(self.scheduler.replica_ready(model, self._generation(model), now_s, load_s=load_s))

    def gone(self, model: str) -> None:
        self._do(self.scheduler.replica_gone(model, self._generation(model), self._box.now_s))

    def settle(self) -> None:
        if self._box.now_s >= self.wake_s:
            self.wake_s = math.inf
            self._do(self.scheduler.tick(self._box.now_s))

    def _generation(self, model: str) -> int:
        return self.scheduler.replicas[model].generation

    def _do(self, actions: Iterable[Action]) -> None:
        box = self._box
        for action in actions:
            match action:
                case Admit(ticket_id):
                    box.admit(self._calls[ticket_id])
                case Refuse(ticket_id):
                    self._calls.pop(ticket_id).is_refused = True
                case Start(model):
                    assert box.has_room_now(model), f"{model} is started before its room is free"
                    self._started_s[model] = box.now_s
                    box.load(model)
                case Stop(model):
                    box.stop(model)
                case Cancel(model):
                    box.cancel(model)
                case WakeAt(at_s):
                    self.wake_s = at_s
