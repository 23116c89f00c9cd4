"""Who runs, who waits, what starts, what stops: facts in, one decision, actions out.

Pure: no clock, no I/O, no waiting. A method records one fact and then settles, which is the only
place that decides; nothing is ever queued up behind a victim, the plan is made anew at every fact.

    settle = swaps.goals()   which model is to be loaded, who must leave for it     (swaps.py)
           + victims drain, stop when nothing runs on them; then the target starts
           + admit           earliest due first, whatever is ready and fits its pool (lines.py, budget.py)
           + idle models past their ttl stop

What keeps somebody waiting is written down when it is decided; `explain` reads it (explain.py).
Times are monotonic seconds and never go back. Every fact may come late or twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from penstock.core.actions import Action, Cancel, Refuse, Start, Stop, WakeAt
from penstock.core.admission import Desk
from penstock.core.explain import (
    NOT_WAITING,
    OUTSIDE_THE_BOUND,
    Obstacle,
    Wait,
    WaitReason,
    estimate_s,
    obstacle_of,
    turn_s,
)
from penstock.core.lines import Entry, Queue, Room
from penstock.core.model import Model, Phase, Replica, Ticket
from penstock.core.plan import EPSILON, Plan, Policy
from penstock.core.swaps import Swaps, Wishes
from penstock.errors import GatewayError, PromptTooLong, QueueFull, StartFailed, Unadmittable, UnknownModel

__all__ = ["Plan", "Policy", "Scheduler", "Wait", "WaitReason"]

_IN_USE = (Phase.READY, Phase.DRAINING)
_COMING = (Phase.STARTING, Phase.WAKING)
_AWAY = (Phase.STOPPED, Phase.BACKOFF, Phase.FAILED)


class Scheduler:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.replicas: dict[str, Replica] = {}
        self.bound_exceeded = 0  # starts later than promised; stays 0
        self._wishes = Wishes()
        self._room = Room(plan.policy)
        self._desk = Desk(plan, self._room, self.replicas, self._wishes.paused)
        self._swaps = Swaps(plan, self._room, self.replicas, self._desk.running, self._wishes)
        self._faults: dict[str, str] = {}
        self._wake_s = math.inf  # the WakeAt that is pending
        self._next_s = math.inf  # the earliest end of a pause, a ttl or the like
        self._settled_s = -math.inf
        self._longest_load_s = self._turn_s = 0.0
        self._first_generation = 0  # of a replica made now, so that late facts about a namesake are known as such
        self._adopt(plan)

    # Facts about calls.

    def arrive(self, ticket: Ticket, now_s: float) -> list[Action]:
        """A call wants a slot: it is admitted, refused, or waits."""
        if ticket.id in self._desk.running or ticket.id in self._room.entries:
            return []
        queue = self._room.queues.get(ticket.model)
        if queue is None or ticket.model not in self._faults:
            return [Refuse(ticket.id, UnknownModel(model=ticket.model, hint=""))]
        if (refusal := self._refusal(ticket, queue.model, now_s)) is not None:
            return [Refuse(ticket.id, refusal)]
        entry = self._desk.enter(ticket, queue, now_s)
        if not queue.count and self._desk.obstacle(entry) is None:
            return [self._desk.begin(entry, now_s)]
        self._room.add(entry, now_s)
        if (full := self._full(queue)) is not None:
            return [self._turn_away(entry, full, now_s)]
        return self._settle(now_s)

    def leave(self, ticket_id: str, now_s: float, *, busy_s: float | None = None) -> list[Action]:
        """The call is over, however it ended, queued or not. `busy_s`: how long the engine worked on it."""
        entry = self._desk.running.get(ticket_id)
        if entry is not None:
            self._desk.end(entry, now_s, busy_s, is_typical=True)
            if not self._room.entries and self._is_undisturbed(entry):
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
        replica = self._of_generation(replica_id, generation)
        if replica is not None and replica.phase in _COMING:
            took_s = now_s - replica.since_s
            queue = self._room.queues[replica_id]
            self._room.lost_s += max(0.0, took_s - queue.load_s)
            queue.load_s = took_s if load_s is None else load_s
            self._longest_load_s = max(self._longest_load_s, queue.load_s)
            replica.move(Phase.READY, now_s)
            replica.idle_since_s = self._swaps.loaded_s[replica_id] = now_s
            replica.failures, replica.failure = 0, ""
            self._wishes.loads.pop(replica_id, None)
        return self._settle(now_s)

    def replica_failed(
        self, replica_id: str, generation: int, now_s: float, *, reason: str, is_final: bool = False
    ) -> list[Action]:
        """It could not be started. `is_final`: trying again is useless. A replica that was ready has died."""
        replica = self._of_generation(replica_id, generation)
        if replica is None or replica.phase not in _COMING:
            return self.replica_gone(replica_id, generation, now_s, reason=reason)
        self._room.lost_s += now_s - replica.since_s
        attempts = self.plan.policy.start_attempts
        replica.failures = max(replica.failures + 1, attempts if is_final else 0)
        replica.failure = reason
        if replica.failures < attempts:
            replica.move(Phase.BACKOFF, now_s)
            return self._settle(now_s)
        replica.move(Phase.FAILED, now_s)
        self._wishes.loads.pop(replica_id, None)
        waiting = [entry for entry in self._room.order() if entry.ticket.model == replica_id]
        return [self._turn_away(entry, self._start_failed(replica, now_s), now_s) for entry in waiting] + self._settle(
            now_s
        )

    def replica_gone(
        self, replica_id: str, generation: int, now_s: float, *, reason: str | None = None
    ) -> list[Action]:
        """Its process is no more and its memory is back: stopped as asked, or died."""
        replica = self._of_generation(replica_id, generation)
        if replica is None or replica.phase in _AWAY:
            return self._settle(now_s)
        if replica.phase in _COMING:
            return self.replica_failed(replica_id, generation, now_s, reason=reason or "it ended before it was ready")
        was_asked = replica.phase is Phase.STOPPING
        self._room.lost_s += now_s - replica.since_s if was_asked else self._turn_s
        for ticket_id in sorted(replica.running):
            self._desk.end(self._desk.running[ticket_id], now_s, None, is_typical=False)
        replica.move(Phase.STOPPED, now_s)
        replica.failure = "" if was_asked else reason or "it ended by itself"
        self._wishes.unloads.discard(replica_id)
        self._reconcile()  # a model that the plan has dropped was waiting for this
        return self._settle(now_s)

    def memory(self, device: str, free_bytes: int, now_s: float) -> list[Action]:
        """A reading of a device's free memory: what is neither free nor ours is not there for us."""
        self._swaps.residency = self._swaps.residency.seeing(device, free_bytes, self._swaps.resident())
        return self._settle(now_s)

    def tick(self, now_s: float) -> list[Action]:
        """Time has passed, and nothing else."""
        return self._settle(now_s)

    # The operator's commands. What they cost others is outside the bound.

    def load(self, model: str, now_s: float) -> list[Action]:
        """Load it as if somebody who is due waited for it; also out of a failure's pause."""
        replica, wishes = self.replicas[model], self._wishes
        wishes.unloads.discard(model)
        if replica.phase in (Phase.BACKOFF, Phase.FAILED):
            replica.move(Phase.STOPPED, now_s)
        if replica.phase not in _IN_USE:
            wishes.loads.setdefault(model, now_s)
        return self._obey(now_s)

    def unload(self, model: str, now_s: float) -> list[Action]:
        """Let it finish what it runs, then stop it; it is no longer pinned. Who waits has it loaded again."""
        replica, wishes = self.replicas[model], self._wishes
        wishes.pinned.discard(model)
        wishes.loads.pop(model, None)
        if replica.model.is_launched and replica.phase in _IN_USE:
            wishes.unloads.add(model)
        return self._obey(now_s)

    def pin(self, model: str, now_s: float) -> list[Action]:
        """Load it, keep it, and start it again at once if it dies."""
        if self.replicas[model].model.is_launched:
            self._wishes.pinned.add(model)
        return self._obey(now_s)

    def unpin(self, model: str, now_s: float) -> list[Action]:
        self._wishes.pinned.discard(model)
        return self._obey(now_s)

    def pause(self, model: str, now_s: float) -> list[Action]:
        """Admit and load nothing for it; what runs goes on, what waits keeps its place."""
        self._wishes.paused.add(model)
        return self._obey(now_s)

    def resume(self, model: str, now_s: float) -> list[Action]:
        self._wishes.paused.discard(model)
        return self._obey(now_s)

    def reset(self, model: str, now_s: float) -> list[Action]:
        """Forget its failed starts."""
        replica = self.replicas[model]
        replica.failures, replica.failure = 0, ""
        if replica.phase in (Phase.BACKOFF, Phase.FAILED):
            replica.move(Phase.STOPPED, now_s)
        return self._obey(now_s)

    def configure(self, plan: Plan, now_s: float) -> list[Action]:
        """Another plan. Replicas of models that stay are kept; those of others drain and stop."""
        known = {model.name for model in plan.models}
        strangers = [entry for entry in self._room.order() if entry.ticket.model not in known]
        refused: list[Action] = [self._turn_away(entry, _unknown(entry.ticket), now_s) for entry in strangers]
        self._adopt(plan)
        return refused + self._obey(now_s)

    # Questions.

    def explain(self, ticket_id: str, now_s: float) -> Wait:
        """Why the ticket waits, who is in its way, and when it will start."""
        entry = self._room.entries.get(ticket_id)
        if entry is None:
            return NOT_WAITING
        ticket, queue, replica = entry.ticket, entry.queue, self.replicas[entry.ticket.model]
        first = queue.lines[ticket.priority, ticket.key].entries[0]
        why = obstacle_of(replica, queue.load_s, self._desk.obstacle(first), self._swaps.obstacles.get(ticket.model))
        behind, position = self._room.place(entry)
        if why.reason in OUTSIDE_THE_BOUND:
            return Wait(why.reason, why.wait_for, why.wait_until_s, position)
        expected_s = estimate_s(replica, queue.load_s, self._room.service_s(queue), position, why.wait_until_s, now_s)
        bound_s = max(0.0, self._bound_s(first, behind) - now_s)
        return Wait(why.reason, why.wait_for, why.wait_until_s, position, expected_s, bound_s)

    def reasons(self) -> dict[str, WaitReason]:
        """For each model that somebody waits for: why the one who is first does."""
        return {name: self._why(queue).reason for name, queue in self._room.queues.items() if queue.count}

    def _why(self, queue: Queue) -> Obstacle:
        first = min(queue.heads(), key=lambda entry: entry.due_s)
        name = queue.model.name
        return obstacle_of(
            self.replicas[name], queue.load_s, self._desk.obstacle(first), self._swaps.obstacles.get(name)
        )

    def waiting(self) -> Iterator[Ticket]:
        """Everyone who waits, in the order of service as it looks now. Take what you need before the next fact."""
        return (entry.ticket for entry in self._room.order())

    def waiting_count(self, model: str | None = None) -> int:
        return len(self._room.entries) if model is None else self._room.queues[model].count

    # The decision.

    def _settle(self, now_s: float) -> list[Action]:
        """Do everything that can be done now. Called after every fact."""
        self._note_lost_time(now_s)
        self._next_s = math.inf
        actions: list[Action] = [*self._end_phases(now_s), *self._swap(now_s)]
        for admit in self._desk.admit(now_s):
            actions.append(admit)
            self.bound_exceeded += now_s > self._bound_s(self._desk.running[admit.ticket_id])
        wake_s = min(self._next_s, self._swaps.wake_s, self._desk.wake_s)
        if wake_s < self._wake_s:  # one that is pending and earlier settles again anyway
            self._wake_s = wake_s
            actions.append(WakeAt(wake_s))
        return actions

    def _is_undisturbed(self, entry: Entry) -> bool:
        """A call has ended and nobody waits: is that all there is to it?"""
        return entry.replica is not None and entry.replica.phase is Phase.READY and entry.queue.model.ttl_s is None

    def _note_lost_time(self, now_s: float) -> None:
        """Time that no promise covers: a tick that came late, a pause, memory that others hold."""
        self._room.lost_s += max(0.0, now_s - self._wake_s)
        if now_s >= self._wake_s:
            self._wake_s = math.inf
        if (
            any(obstacle.reason in OUTSIDE_THE_BOUND for obstacle in self._swaps.obstacles.values())
            or self._wishes.paused
        ):
            self._room.lost_s += max(0.0, now_s - self._settled_s)
        self._settled_s = now_s

    def _bound_s(self, first: Entry, behind: int = 0) -> float:
        """The moment by which the first of a line has started, or one so many places behind it."""
        turns_s = (self._room.peak_lines + 2) * self._turn_s
        patience_s = self.plan.policy.patience_s[first.ticket.priority]
        return first.bound_base_s + self._room.lost_s + turns_s + behind * (2 * patience_s + turns_s)

    def _obey(self, now_s: float) -> list[Action]:
        """The operator has changed what is wanted."""
        self._room.lost_s += self._turn_s
        self._judge()
        return self._settle(now_s)

    def _end_phases(self, now_s: float) -> Iterator[Action]:
        """What time, or nobody's wanting it, brings to an end: pauses, idle models, loads."""
        policy, is_wanted = self.plan.policy, self._swaps.is_wanted
        for replica in self.replicas.values():
            if replica.phase is Phase.BACKOFF:
                if self._is_over(replica.since_s + policy.backoff_after(replica.failures), now_s):
                    self._room.lost_s += now_s - replica.since_s
                    replica.move(Phase.STOPPED, now_s)
            elif replica.phase in _COMING and policy.cancel_loads and not is_wanted(replica.id):
                self._room.lost_s += now_s - replica.since_s
                replica.move(Phase.STOPPING, now_s)
                yield Cancel(replica.id, replica.generation)
            elif replica.phase is Phase.READY and not replica.running and not is_wanted(replica.id):
                ttl_s = replica.model.ttl_s
                if (
                    ttl_s is not None
                    and replica.model.is_launched
                    and self._is_over(replica.idle_since_s + ttl_s, now_s)
                ):
                    yield self._stop(replica, now_s)

    def _swap(self, now_s: float) -> Iterator[Action]:
        """Close the gates of those who must leave and open all others; stop who is drained, start who has room."""
        goals = self._swaps.goals(now_s)
        leaving = [goal.victims for goal in goals] + [frozenset({name}) for name in self._wishes.unloads]
        closed = frozenset().union(*leaving)
        for name, replica in self.replicas.items():
            if replica.phase is Phase.READY and name in closed:
                replica.move(Phase.DRAINING, now_s)
            elif replica.phase is Phase.DRAINING and name not in closed:
                replica.move(Phase.READY, now_s)
        for names in leaving:  # all of a set or none: whoever drains in vain need not be loaded again
            victims = [self.replicas[name] for name in sorted(names)]
            if all(victim.phase is Phase.DRAINING and not victim.running for victim in victims):
                yield from (self._stop(victim, now_s) for victim in victims)
        for goal in goals:
            if self._swaps.has_room_now(goal.target):
                replica = self.replicas[goal.target]
                replica.move(Phase.STARTING, now_s)
                replica.generation += 1
                yield Start(replica.id, replica.generation)

    # The small deeds.

    def _stop(self, replica: Replica, now_s: float) -> Stop:
        assert not replica.running, f"{replica.id} would be stopped while it works"
        replica.move(Phase.STOPPING, now_s)
        return Stop(replica.id, replica.generation)

    def _turn_away(self, entry: Entry, error: GatewayError, now_s: float) -> Refuse:
        self._desk.drop(entry, now_s)
        return Refuse(entry.ticket.id, error)

    def _refusal(self, ticket: Ticket, model: Model, now_s: float) -> GatewayError | None:
        """Why the call is not even let in."""
        if (fault := self._faults[model.name]) != "":
            return Unadmittable(model=model.name, reason=fault)
        if model.max_prompt_tokens is not None and ticket.prompt_tokens > model.max_prompt_tokens:
            return PromptTooLong(
                model=model.name, prompt_tokens=ticket.prompt_tokens, limit_tokens=model.max_prompt_tokens
            )
        replica = self.replicas[model.name]
        if replica.phase is Phase.FAILED:
            rest_s = replica.since_s + self.plan.policy.pause_after(replica.failures) - now_s
            if rest_s > 0:
                return self._start_failed(replica, now_s)
            replica.move(Phase.STOPPED, now_s)  # whoever comes after the pause is worth one more attempt
        return None

    def _full(self, queue: Queue) -> QueueFull | None:
        """The waiting room, or the model's part of it, has no place left."""
        limit, everywhere = queue.model.max_queue, self.plan.max_waiting
        if limit is not None and queue.count >= limit:
            return QueueFull(room=f"`{queue.model.name}`", limit=limit, retry_after_s=self._room.service_s(queue))
        if len(self._room.entries) >= everywhere:
            return QueueFull(room="the gateway", limit=everywhere, retry_after_s=self._room.service_s(queue))
        return None

    def _start_failed(self, replica: Replica, now_s: float) -> StartFailed:
        rest_s = replica.since_s + self.plan.policy.pause_after(replica.failures) - now_s
        return StartFailed(model=replica.id, reason=replica.failure, retry_after_s=rest_s)

    def _of_generation(self, replica_id: str, generation: int) -> Replica | None:
        replica = self.replicas.get(replica_id)
        return replica if replica is not None and replica.generation == generation else None

    def _is_over(self, end_s: float, now_s: float) -> bool:
        """Has the moment come? If not, settle again then."""
        if end_s <= now_s + EPSILON:
            return True
        self._next_s = min(self._next_s, end_s)
        return False

    def _adopt(self, plan: Plan) -> None:
        """Make the world as the plan says, as far as that can be done at once."""
        self.plan = self._swaps.plan = plan
        self._room.policy, self._swaps.residency = plan.policy, plan.residency
        self._wishes.pinned.clear()
        self._wishes.pinned.update(plan.pinned())
        self._reconcile()
        self._desk.adopt(plan)
        self._judge()

    def _reconcile(self) -> None:
        """A replica for every model of the plan, kept if there is one; those it does not know leave first."""
        models = {model.name: model for model in self.plan.models}
        for name, replica in list(self.replicas.items()):
            kept = name in models and models[name].is_launched == replica.model.is_launched
            if not kept and (replica.phase in _AWAY or not replica.model.is_launched):
                del self.replicas[name], self._room.queues[name]
                self._first_generation = max(self._first_generation, replica.generation)
            elif kept:
                replica.model = models[name]
            else:
                self._wishes.unloads.add(name)
        for name, model in models.items():
            queue = self._room.queues.setdefault(name, Queue(model, model.load_s))
            queue.model = model
            if name not in self.replicas:
                phase = Phase.STOPPED if model.is_launched else Phase.READY
                self.replicas[name] = Replica(name, model, phase, self._first_generation)

    def _judge(self) -> None:
        """Which models could never be served as things are, and how long a turn takes at most."""
        pinned = frozenset(self._wishes.pinned)
        self._faults = {model.name: self.plan.fault(model, pinned) for model in self.plan.models}
        loads_s = [self._room.queues[model.name].load_s for model in self.plan.models if model.is_launched]
        self._longest_load_s = max([self._longest_load_s, *loads_s])
        resident_s = max((model.min_resident_s for model in self.plan.models), default=0.0)
        self._turn_s = turn_s(self.plan.policy, self._longest_load_s, resident_s)


def _unknown(ticket: Ticket) -> UnknownModel:
    return UnknownModel(model=ticket.model, hint="")
