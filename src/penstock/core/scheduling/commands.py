"""What an operator may ask of the scheduler, and what each wish changes before everything is decided anew.

A command takes effect at once and touches only what it names. What it costs others is outside the bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from penstock.core.model import Priority, Replica
from penstock.core.scheduling.actions import Refuse
from penstock.core.scheduling.admission import Desk
from penstock.core.scheduling.fleet import IN_USE, Fleet
from penstock.core.scheduling.lines import Room
from penstock.core.scheduling.plan import Plan
from penstock.core.scheduling.swaps import Wishes
from penstock.errors import Cancelled


@dataclass(frozen=True, slots=True)
class Load:
    """Load it as if somebody who is due waited for it; also out of a failure's pause."""

    model: str


@dataclass(frozen=True, slots=True)
class Unload:
    """Let it finish what it runs, then stop it; it is no longer pinned. Who waits has it loaded again."""

    model: str


@dataclass(frozen=True, slots=True)
class Pin:
    """Load it, keep it, and start it again at once if it dies."""

    model: str


@dataclass(frozen=True, slots=True)
class Unpin:
    """It may be stopped for others again."""

    model: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Admit and load nothing for these models; what runs goes on, what waits keeps its place."""

    models: frozenset[str]


@dataclass(frozen=True, slots=True)
class Resume:
    """Admit and load again; who of them comes first is decided over all of them together."""

    models: frozenset[str]


@dataclass(frozen=True, slots=True)
class Reset:
    """Forget its failed starts."""

    model: str


@dataclass(frozen=True, slots=True)
class CancelWaiting:
    """Turn these away. Whoever does not wait (any more) is left alone."""

    ticket_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetPriority:
    """Let it wait in another class from now on. Whoever does not wait (any more) is left alone.

    It goes to the line of that class, to the place among the others that its arrival gives it, yet never
    before the first, who ages already. If it becomes the first itself, it is due like one who arrives
    now; raised, no later than it was due before.
    """

    ticket_id: str
    priority: Priority


Command = Load | Unload | Pin | Unpin | Pause | Resume | Reset | CancelWaiting | SetPriority


class Operator:
    """Carries out commands, as far as they change what is wanted; the scheduler decides what follows."""

    def __init__(
        self, room: Room, desk: Desk, fleet: Fleet, replicas: dict[str, Replica], wishes: Wishes,
        faults: Mapping[str, str],
    ) -> None:  # fmt: skip
        self._room, self._desk, self._fleet, self._replicas = room, desk, fleet, replicas
        self._wishes, self._faults = wishes, faults  # faults: why a model could never be served
        self._planned = frozenset[str]()  # the models that the plan pins

    def adopt(self, plan: Plan) -> None:
        """Another plan: its changes count; what was wished since the last one and is in neither stays."""
        planned, wishes = plan.pinned(), self._wishes
        wishes.pinned = (wishes.pinned - (self._planned - planned)) | (planned - self._planned)
        known = {model.name for model in plan.models}
        wishes.pinned &= known
        wishes.paused &= known
        self._planned = planned

    def obey(self, command: Command, now_s: float) -> list[Refuse]:
        """Change what the command is about; gives who is turned away by it."""
        wishes = self._wishes
        match command:
            case Load(model):
                self._load(model, now_s)
            case Unload(model):
                self._unload(self._replicas[model])
            case Pin(model) if self._replicas[model].model.is_launched:
                wishes.pinned.add(model)
            case Unpin(model):
                wishes.pinned.discard(model)
            case Pause(models):
                wishes.paused |= models
            case Resume(models):
                wishes.paused -= models
            case Reset(model):
                replica = self._replicas[model]
                replica.failures, replica.failure = 0, ""
                self._fleet.revive(replica, now_s)
            case CancelWaiting(ticket_ids):
                return [refusal for each in ticket_ids if (refusal := self._cancel(each, now_s)) is not None]
            case SetPriority(ticket_id, priority):
                self._set_priority(ticket_id, priority, now_s)
        return []

    def _load(self, model: str, now_s: float) -> None:
        replica = self._replicas[model]
        self._fleet.revive(replica, now_s)
        self._wishes.unloads.discard(model)
        if replica.phase not in IN_USE and not self._faults.get(model):
            self._wishes.loads.setdefault(model, now_s)

    def _unload(self, replica: Replica) -> None:
        self._wishes.pinned.discard(replica.id)
        self._wishes.loads.pop(replica.id, None)
        if replica.model.is_launched and replica.phase in IN_USE:
            self._wishes.unloads.add(replica.id)

    def _cancel(self, ticket_id: str, now_s: float) -> Refuse | None:
        entry = self._room.entries.get(ticket_id)
        if entry is None:
            return None
        self._desk.drop(entry, now_s)
        return Refuse(ticket_id, Cancelled(where=" while it waited"))

    def _set_priority(self, ticket_id: str, priority: Priority, now_s: float) -> None:
        entry = self._room.entries.get(ticket_id)
        if entry is None or entry.ticket.priority is priority:
            return
        self._desk.drop(entry, now_s)
        keeps_due = priority < entry.ticket.priority and (priority, entry.ticket.key) not in entry.queue.lines
        moved = replace(
            entry,  # a new one: the old may still stand in a heap, where it counts as gone
            ticket=replace(entry.ticket, priority=priority),
            account=self._room.accounts[priority].join(entry.ticket.key),
            due_s=entry.due_s if keeps_due else math.inf,
            is_waiting=True,
        )
        self._room.add(moved, now_s)
