"""The scheduler's only owner: turns facts into decisions, and decisions into deeds.

Every method is a plain function on the loop's thread that never waits; that, not a lock, is
what makes it safe. Deeds that a decision asks for may report new facts at once: these are
decided on too, but their deeds queue up behind the ones still to be done.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from penstock.core.fitting.residency import Footprint
from penstock.core.model import Phase, Ticket
from penstock.core.scheduling.actions import Action, Admit, Cancel, Refuse, Start, Stop, WakeAt
from penstock.core.scheduling.admission import PoolState
from penstock.core.scheduling.commands import Command, Load, Unload
from penstock.core.scheduling.plan import KeyTerms
from penstock.core.scheduling.scheduler import Scheduler, Wait
from penstock.errors import GatewayError, ShuttingDown
from penstock.runtime.engines.loads import Loads
from penstock.runtime.engines.waiting import WaitClock


class Waiter(Protocol):
    """Who is told what became of a ticket: one of the two, once."""

    def admitted(self, replica_id: str, now_s: float) -> None:
        """It has a slot, until `leave`."""

    def refused(self, error: GatewayError, now_s: float) -> None: ...


class Engine(Protocol):
    """A replica's process, as far as decisions reach it. Neither method waits."""

    def start(self, generation: int) -> None: ...
    def stop(self) -> None: ...


class Dispatcher:
    """The only door to a slot."""

    def __init__(self, scheduler: Scheduler, engines: dict[str, Engine], clock: Callable[[], float]) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.read_memory: Callable[[], dict[str, int]] = dict  # free bytes by device, where that is quickly known
        self.loads: Loads | None = None  # keeps account of them; None = nobody does
        self.wait_clock = WaitClock(scheduler)
        self.replicas = scheduler.replicas
        self._scheduler = scheduler
        self._engines = engines
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._waiters: dict[str, Waiter] = {}
        self._todo: deque[Action] = deque()
        self._is_acting = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0  # when it is to fire
        self._is_closed = False

    # For calls.

    def enter(self, ticket: Ticket, waiter: Waiter) -> bool:
        """Ask for a slot. The waiter may be told before this returns. True = asking set a load in motion."""
        if self._is_closed:
            waiter.refused(ShuttingDown(retry_after_s=5), self._clock())
            return False
        actions = self._scheduler.arrive(ticket, ticket.arrived_s)
        if len(actions) == 1 and not self._is_acting:
            action = actions[0]
            if type(action) is Admit and action.ticket_id == ticket.id:  # nobody waits: nothing else to see to
                waiter.admitted(action.replica_id, ticket.arrived_s)
                return False
        self._waiters[ticket.id] = waiter
        self.on_change()
        self._act(actions)
        return any(isinstance(action, Start | Stop) for action in actions)

    def leave(self, ticket_id: str, *, busy_s: float | None = None) -> None:
        """The call is over, whatever it was doing: queued, loading, running, answered. Idempotent."""
        self._waiters.pop(ticket_id, None)
        actions = self._scheduler.leave(ticket_id, self._clock(), busy_s=busy_s)
        if actions or self.wait_clock.is_running:
            self._act(actions)

    def is_waiting(self, ticket_id: str) -> bool:
        return ticket_id in self._waiters

    def model_of(self, ticket_id: str) -> str | None:
        """Which model serves the call, or will; None = it neither runs nor waits."""
        return self._scheduler.model_of(ticket_id)

    def explain(self, ticket_id: str) -> Wait:
        return self._scheduler.explain(ticket_id, self._clock())

    # For engines: facts, each idempotent, each about one generation.

    def engine_answered(self, replica_id: str, generation: int) -> None:
        """Its process answers something, if only that it is not ready yet."""
        if self.loads is not None:
            self.loads.answered(replica_id, generation)

    def engine_ready(self, replica_id: str, generation: int, load_s: float) -> None:
        if self.loads is not None:
            self.loads.ready(replica_id, generation, self._waiting_for(replica_id))
        self._decided(self._scheduler.replica_ready(replica_id, generation, self._clock(), load_s=load_s))

    def engine_failed(self, replica_id: str, generation: int, reason: str, *, is_final: bool) -> None:
        if self.loads is not None:
            self.loads.failed(replica_id, generation, reason, self._waiting_for(replica_id))
        self._decided(
            self._scheduler.replica_failed(replica_id, generation, self._clock(), reason=reason, is_final=is_final)
        )

    def engine_gone(self, replica_id: str, generation: int, reason: str | None) -> None:
        if self.loads is not None:
            self.loads.gone(replica_id, generation, reason, self._waiting_for(replica_id))
        free = self.read_memory()
        now_s = self._clock()
        self._decided(self._scheduler.replica_gone(replica_id, generation, now_s, reason=reason, free_bytes=free))

    def engine_slots(self, replica_id: str, slots: int) -> None:
        """The engine itself says how many calls it serves at once."""
        plan = self._scheduler.plan
        models = tuple(replace(model, slots=slots) if model.name == replica_id else model for model in plan.models)
        self._decided(self._scheduler.configure(replace(plan, models=models), self._clock()))

    def key_terms(self, terms: Mapping[str, KeyTerms]) -> None:
        """Keys were added, changed or revoked."""
        self._decided(self._scheduler.set_keys(terms, self._clock()))

    def keep(self, replica_id: str, for_s: float) -> None:
        """Bytes pass on a websocket to it, which protects it from swaps for a while."""
        replica = self._scheduler.replicas[replica_id]
        self._scheduler.keep(replica_id, replica.generation, self._clock() + for_s)

    # For samplers.

    def memory(self, device: str, free_bytes: int) -> None:
        self._decided(self._scheduler.memory(device, free_bytes, self._clock()))

    def measured(self, replica_id: str, generation: int, footprint: Footprint) -> None:
        """So much memory it really takes, by device."""
        self._decided(self._scheduler.measured(replica_id, generation, footprint, self._clock()))

    def sizes(self) -> Mapping[str, Footprint]:
        """What models were measured to take, by name."""
        return self._scheduler.sizes()

    # For operators.

    def begin(self) -> None:
        """Do what needs nobody's asking: pinned models are loaded."""
        self._decided(self._scheduler.tick(self._clock()))

    def command(self, command: Command) -> None:
        """Carry it out, at once."""
        if self.loads is not None and isinstance(command, Load | Unload):
            self.loads.asked(command.model, is_wanted=isinstance(command, Load) and self._is_out(command.model))
        self._decided(self._scheduler.command(command, self._clock()))
        self.on_change()

    def look(self) -> None:
        """See for which reasons calls wait now; called from time to time, in case no fact tells."""
        if self._scheduler.waiting_count() or self.wait_clock.is_running:
            self.wait_clock.look(self._clock())
        if self.loads is not None:
            self.loads.look(lambda model: self._waiting_for(model) > 0 or model in self.pinned)

    def shut_out(self, model: str) -> str:
        """Why the model cannot be loaded beside the pinned ones; empty if it can."""
        scheduler = self._scheduler
        return scheduler.plan.fault(scheduler.replicas[model].model, scheduler.pinned - {model})

    @property
    def paused(self) -> frozenset[str]:
        return self._scheduler.paused

    @property
    def pinned(self) -> frozenset[str]:
        return self._scheduler.pinned

    def pools(self) -> list[PoolState]:
        return self._scheduler.pools()

    def share(self, ticket_id: str) -> float | None:
        """What a call takes of its pool, or will take; None = it neither runs nor waits."""
        return self._scheduler.share(ticket_id)

    def waiting(self) -> Iterator[Ticket]:
        """In the order of service as it looks now. Take what you need before the next fact."""
        return self._scheduler.waiting()

    def waiting_count(self, model: str | None = None) -> int:
        return self._scheduler.waiting_count(model)

    def close(self) -> None:
        """Refuse everything that waits and everything that comes."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        now_s = self._clock()
        for ticket_id, waiter in list(self._waiters.items()):
            del self._waiters[ticket_id]
            self._scheduler.leave(ticket_id, now_s)
            waiter.refused(ShuttingDown(retry_after_s=5), now_s)

    # Deeds.

    def _decided(self, actions: list[Action]) -> None:
        """After a fact that is no call's: engines come and go seldom, and change for what everybody waits."""
        self._act(actions)
        self.on_change()  # also where nobody waits, so that there is nothing to do: the engine is ready, or gone
        self.look()

    def _act(self, actions: list[Action]) -> None:
        if self._scheduler.waiting_count() or self.wait_clock.is_running:
            self.wait_clock.advance(self._clock())
        if not actions:
            return
        self._todo.extend(actions)
        if self._is_acting:
            return
        self._is_acting = True
        try:
            while self._todo:
                self._do(self._todo.popleft())
        finally:
            self._is_acting = False
        self.on_change()

    def _do(self, action: Action) -> None:
        match action:
            case Admit(ticket_id, replica_id):
                # It may have left while this deed was waiting for its turn; leaving gave the slot back.
                if waiter := self._waiters.pop(ticket_id, None):
                    waiter.admitted(replica_id, self._clock())
            case Refuse(ticket_id, error):
                if waiter := self._waiters.pop(ticket_id, None):
                    waiter.refused(error, self._clock())
            case Start(replica_id, generation):
                if not self._is_closed:  # a pinned engine that is stopped now is wanted for ever
                    self._note_load(action)
                    self._engines[replica_id].start(generation)
            case Stop(replica_id) | Cancel(replica_id):
                self._note_load(action)
                self._engines[replica_id].stop()
            case WakeAt(at_s):
                self._wake_at(at_s)

    def _note_load(self, action: Start | Stop | Cancel) -> None:
        if self.loads is None:
            return
        match action:
            case Start(replica_id, generation, ticket_id):
                self.loads.starting(self.replicas[replica_id], generation, ticket_id)
            case Stop(victim, _, str(target), ticket_id):
                self.loads.makes_room(self.replicas[target], victim, ticket_id)

    def _waiting_for(self, model: str) -> int:
        return self._scheduler.waiting_count(model) if model in self.replicas else 0

    def _is_out(self, model: str) -> bool:
        return model in self.replicas and self.replicas[model].phase not in (Phase.READY, Phase.DRAINING)

    def _wake_at(self, at_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._is_closed:
            self._timer_s = at_s
            self._timer = self._loop.call_later(max(0.0, at_s - self._clock()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._clock() < self._timer_s:  # uvloop's timers fire up to a millisecond early
            self._wake_at(self._timer_s)  # the scheduler would find nothing to do, and not ask again
            return
        self._decided(self._scheduler.tick(self._clock()))
