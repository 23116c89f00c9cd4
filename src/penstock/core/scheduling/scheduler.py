"""Who runs, who waits, what starts, what stops: facts in, one decision, actions out.

Pure: no clock, no I/O, no waiting. A method records one fact and then settles, which is the only
place that decides; nothing is ever queued up behind a victim, the plan is made anew at every fact.

    settle = swaps.goals()   which model is to be loaded, who must leave for it     (swaps.py)
           + victims drain, stop when nothing runs on them; then the target starts
           + admit           earliest due first, whatever is ready and fits its pool (lines.py, budget.py)
           + idle models past their ttl stop

What keeps somebody waiting is written down when it is decided; `explain` reads it (answers.py).
Times are monotonic seconds and never go back. Every fact may come late or twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from penstock.core.fitting.residency import Footprint
from penstock.core.model import Phase, Replica, Ticket
from penstock.core.scheduling.actions import Action, Refuse, WakeAt
from penstock.core.scheduling.admission import Desk, PoolState
from penstock.core.scheduling.answers import Answers
from penstock.core.scheduling.commands import Command, Operator
from penstock.core.scheduling.entrance import Entrance, unknown
from penstock.core.scheduling.expiry import Deadlines
from penstock.core.scheduling.explain import Wait, WaitReason
from penstock.core.scheduling.fleet import IN_USE, Fleet
from penstock.core.scheduling.lines import Entry, Room
from penstock.core.scheduling.order import in_order
from penstock.core.scheduling.plan import KeyTerms, Plan, Policy
from penstock.core.scheduling.promise import Promise
from penstock.core.scheduling.swaps import COMING, Swaps, Wishes
from penstock.errors import GatewayError

__all__ = ["KeyTerms", "Plan", "Policy", "Scheduler", "Wait", "WaitReason"]


class Scheduler:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.replicas: dict[str, Replica] = {}
        self._wishes = Wishes()
        self._room = Room(plan.policy)
        self._desk = Desk(plan, self._room, self.replicas, self._wishes.paused)
        self._swaps = Swaps(plan, self._room, self.replicas, self._desk.running, self._wishes)
        self._fleet = Fleet(plan, self._room, self._swaps, self.replicas, self._wishes)
        self._promise = Promise(self._room)
        self._answers = Answers(self._room, self._desk, self._swaps, self._promise, self.replicas)
        self._faults: dict[str, str] = {}  # why a model could never be served; empty if it can
        self._entrance = Entrance(self._room, self._fleet, self.replicas, self._faults, self._swaps.fits_beside)
        self._deadlines = Deadlines(self._room)
        self._operator = Operator(self._room, self._desk, self._fleet, self.replicas, self._wishes, self._faults)
        self._wake_s = math.inf  # the WakeAt that is pending
        self._adopt(plan, 0.0)

    # Facts about calls.

    def arrive(self, ticket: Ticket, now_s: float) -> list[Action]:
        """A call wants a slot: it is admitted, refused, or waits."""
        if ticket.id in self._desk.running or ticket.id in self._room.entries:
            return []
        if ticket.choice is not None:
            ticket = self._entrance.resolved(ticket, ticket.choice, now_s)
        if (refusal := self._entrance.refusal(ticket, now_s)) is not None:
            return [Refuse(ticket.id, refusal)]
        queue = self._room.queues[ticket.model]
        entry = self._desk.enter(ticket, queue, now_s)
        if not queue.count and self._desk.obstacle(entry) is None:
            begin = self._desk.begin(entry, now_s)
            return [begin, *self._settle(now_s)] if ticket.key in self._room.capped and self._room.entries else [begin]
        self._entrance.revive(ticket.model, now_s)
        self._room.add(entry, now_s)
        if (full := self._desk.no_place(queue)) is not None:
            return [self._turn_away(entry, full, now_s)]
        self._deadlines.watch(ticket)
        if not queue.is_led_by(entry) and self._deadlines.wake_s >= self._wake_s:
            return []  # whatever its weight changes, the next fact will show
        return self._settle(now_s)

    def leave(self, ticket_id: str, now_s: float, *, busy_s: float | None = None) -> list[Action]:
        """The call is over, however it ended, queued or not. `busy_s`: how long the engine worked on it."""
        entry = self._desk.running.get(ticket_id)
        if entry is not None:
            self._desk.end(entry, now_s, busy_s, is_typical=True)
            if not self._room.entries and self._fleet.has_no_more_to_do(entry.replica, self._wake_s, now_s):
                return []
        elif (entry := self._room.entries.get(ticket_id)) is not None:
            self._desk.drop(entry, now_s)
        else:
            return []
        return self._settle(now_s)

    # Facts about replicas.

    def replica_ready(
        self, replica_id: str, generation: int, now_s: float, *, load_s: float | None = None
    ) -> list[Action]:
        """It answers. `load_s`: how long the load took, if that is known better than by our clock."""
        replica = self._fleet.find(replica_id, generation)
        if replica is not None and replica.phase in COMING:
            self._fleet.became_ready(replica, load_s, now_s)
            self._judge()
        return self._settle(now_s)

    def replica_failed(
        self, replica_id: str, generation: int, now_s: float, *, reason: str, is_final: bool = False
    ) -> list[Action]:
        """It could not be started. `is_final`: trying again is useless. A replica that was ready has died."""
        replica = self._fleet.find(replica_id, generation)
        if replica is None or replica.phase not in COMING:
            return self.replica_gone(replica_id, generation, now_s, reason=reason)
        self._fleet.failed(replica, reason, now_s, is_final=is_final)
        waiting = in_order(self._room) if replica.phase is Phase.FAILED else ()
        those = [entry for entry in waiting if entry.ticket.model == replica_id]
        refused = [self._turn_away(entry, self._fleet.start_failed(replica, now_s), now_s) for entry in those]
        return [*refused, *self._settle(now_s)]

    def replica_gone(
        self,
        replica_id: str,
        generation: int,
        now_s: float,
        *,
        reason: str | None = None,
        free_bytes: Mapping[str, int] | None = None,
    ) -> list[Action]:
        """Its process is no more: stopped as asked, or died. `free_bytes`: by device, read after that."""
        replica = self._fleet.find(replica_id, generation)
        if replica is not None and replica.phase in COMING:
            return self.replica_failed(replica_id, generation, now_s, reason=reason or "it ended before it was ready")
        if replica is not None and replica.phase in (*IN_USE, Phase.STOPPING):
            if replica.phase is not Phase.STOPPING:
                self._promise.lose(self._promise.turn_s)
            for ticket_id in sorted(replica.running):
                self._desk.end(self._desk.running[ticket_id], now_s, None, is_typical=False)
            self._fleet.went(replica, reason, now_s)
        for device, count in (free_bytes or {}).items():
            self._swaps.read_memory(device, count)
        return self._settle(now_s)

    def memory(self, device: str, free_bytes: int, now_s: float) -> list[Action]:
        """A reading of a device's free memory: what is neither free nor ours is not there for us."""
        self._swaps.read_memory(device, free_bytes)
        return self._settle(now_s)

    def measured(self, replica_id: str, generation: int, footprint: Footprint, now_s: float) -> list[Action]:
        """So much memory it really took, by device. Counts from now on; what was said last about a model holds."""
        if self._fleet.find(replica_id, generation) is not None:
            self._swaps.space.measured(replica_id, footprint)
        return self._settle(now_s)

    def keep(self, replica_id: str, generation: int, until_s: float) -> None:
        """Bytes pass on a websocket to it: no swap stops it before `until_s`. Nothing else comes of that now."""
        if (replica := self._fleet.find(replica_id, generation)) is not None:
            replica.kept_until_s = max(replica.kept_until_s, until_s)

    def tick(self, now_s: float) -> list[Action]:
        """Time has passed, and nothing else."""
        return self._settle(now_s)

    # What the operator wants.

    def command(self, command: Command, now_s: float) -> list[Action]:
        """A wish; what each does is said in commands.py. What it costs others is outside the bound."""
        refused = self._operator.obey(command, now_s)
        return [*refused, *self._obey(now_s)]

    def configure(self, plan: Plan, now_s: float) -> list[Action]:
        """Another plan. Replicas of models that stay are kept; those of others drain and stop."""
        known = {model.name for model in plan.models}
        strangers = [entry for entry in in_order(self._room) if entry.ticket.model not in known]
        refused = [self._turn_away(entry, unknown(entry.ticket.model), now_s) for entry in strangers]
        self._adopt(plan, now_s)
        return [*refused, *self._obey(now_s)]

    def set_keys(self, keys: Mapping[str, KeyTerms], now_s: float) -> list[Action]:
        """Other terms for keys, and nothing else; cheap. What runs goes on."""
        self.plan = replace(self.plan, keys=keys)
        self._desk.adopt_keys(keys, now_s)
        return self._settle(now_s)

    # Questions.

    @property
    def bound_exceeded(self) -> int:
        """Starts that came later than promised; stays 0."""
        return self._promise.exceeded

    def explain(self, ticket_id: str, now_s: float) -> Wait:
        """Why the ticket waits, who is in its way, and when it will start."""
        lost_s = self._promise.lost_s(now_s, self._wake_s, is_held_up=self._fleet.is_held_up(now_s))
        return self._answers.wait(ticket_id, lost_s, now_s)

    def reasons(self) -> dict[str, WaitReason]:
        """For each model that somebody waits for: why the one who is due first does."""
        return self._answers.reasons()

    def waiting(self) -> Iterator[Ticket]:
        """Everyone who waits, in the order of service as it looks now. Take what you need before the next fact."""
        return (entry.ticket for entry in in_order(self._room))

    @property
    def paused(self) -> frozenset[str]:
        return frozenset(self._wishes.paused)

    @property
    def pinned(self) -> frozenset[str]:
        return frozenset(self._wishes.pinned)

    def pools(self) -> list[PoolState]:
        return self._desk.pools()

    def sizes(self) -> Mapping[str, Footprint]:
        """What models were measured to take, by name."""
        return self._swaps.space.sizes

    def share(self, ticket_id: str) -> float | None:
        """What a ticket takes of its pool, or will take; None = it neither runs nor waits."""
        return self._desk.share(ticket_id)

    def model_of(self, ticket_id: str) -> str | None:
        """The model that a ticket waits for or runs on, chosen or asked for; None = it does neither."""
        return self._desk.model_of(ticket_id)

    def waiting_count(self, model: str | None = None) -> int:
        return len(self._room.entries) if model is None else self._room.queues[model].count

    # The decision.

    def _settle(self, now_s: float) -> list[Action]:
        """Do everything that can be done now. Called after every fact."""
        self._promise.look(now_s, self._wake_s, is_held_up=self._fleet.is_held_up(now_s))
        if now_s >= self._wake_s:
            self._wake_s = math.inf
        actions: list[Action] = [
            self._turn_away(entry, self._answers.too_late(entry), now_s) for entry in self._deadlines.missed(now_s)
        ]
        self._desk.lapse(now_s)
        actions += self._fleet.settle(now_s)
        for admit in self._desk.admit(now_s):
            actions.append(admit)
            self._promise.keep(self._desk.running[admit.ticket_id], now_s)
        wake_s = min(self._fleet.wake_s, self._swaps.wake_s, self._desk.wake_s, self._deadlines.wake_s)
        if wake_s < self._wake_s:  # one that is pending and earlier settles again anyway
            self._wake_s = wake_s
            actions.append(WakeAt(wake_s))
        return actions

    def _obey(self, now_s: float) -> list[Action]:
        """The operator has changed what is wanted."""
        self._promise.lose(self._promise.turn_s)
        self._judge()
        return self._settle(now_s)

    # The small deeds.

    def _turn_away(self, entry: Entry, error: GatewayError, now_s: float) -> Refuse:
        self._desk.drop(entry, now_s)
        return Refuse(entry.ticket.id, error)

    def _adopt(self, plan: Plan, now_s: float) -> None:
        """Make the world as the plan says, as far as that can be done at once."""
        self.plan, self._room.policy = plan, plan.policy
        self._swaps.adopt(plan)
        self._operator.adopt(plan)
        self._fleet.adopt(plan)
        self._desk.adopt(plan, now_s)
        self._judge()

    def _judge(self) -> None:
        """Which models could never be served as things are, and what can be promised to the others."""
        pinned = frozenset(self._wishes.pinned)
        self._faults.clear()
        self._faults |= {model.name: self.plan.fault(model, pinned) for model in self.plan.models}
        self._promise.judge(self.plan)
