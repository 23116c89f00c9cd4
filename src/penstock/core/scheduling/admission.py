"""Which call runs now: earliest due first, among those whose replica has a slot and whose pool has room."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from penstock.core.model import Pool, Replica, Ticket
from penstock.core.scheduling.actions import Admit
from penstock.core.scheduling.budget import Budget, share_of
from penstock.core.scheduling.caps import Caps
from penstock.core.scheduling.explain import Obstacle, WaitReason
from penstock.core.scheduling.lines import Entry, Queue, Room
from penstock.core.scheduling.plan import EPSILON, KeyTerms, Plan, base_cost
from penstock.errors import QueueFull


@dataclass(frozen=True, slots=True)
class PoolState:
    """A pool as it is now. running: calls by model. reserved_for: the ticket that a share is kept for."""

    pool: Pool
    used: float
    running: Mapping[str, int]
    reserved_for: str | None


class Desk:
    """Lets calls in and out. `wake_s`: when to look again, if nothing happens before."""

    def __init__(self, plan: Plan, room: Room, replicas: dict[str, Replica], paused: set[str]) -> None:
        self.running: dict[str, Entry] = {}
        self.wake_s = math.inf
        self._plan, self._room, self._replicas = plan, room, replicas
        self._paused = paused  # models for which nobody is admitted
        self._budgets: dict[str | None, Budget] = {}  # by pool; most plans have none
        self._caps = Caps(room)
        self._arrivals = 0

    def adopt(self, plan: Plan, now_s: float) -> None:
        """Another plan: what runs is charged to the pools as they are now, what waits is priced anew."""
        self._plan = plan
        self._budgets = {pool.name: Budget(pool) for pool in plan.pools}
        for entry in self.running.values():
            self._take(entry)
        for entry in self._room.entries.values():
            entry.share = self._share(entry.queue, entry.ticket)
        self.adopt_keys(plan.keys, now_s)
        self._room.reprice()

    def adopt_keys(self, keys: Mapping[str, KeyTerms], now_s: float) -> None:
        """Other terms for keys: they hold for what starts from now on."""
        for accounts in self._room.accounts.values():
            accounts.adopt(keys)
        self._caps.adopt(keys, self.running.values(), now_s)

    def enter(self, ticket: Ticket, queue: Queue, now_s: float) -> Entry:
        """Take note of a call; it neither waits nor runs yet."""
        self._arrivals += 1
        queue.demand.saw(ticket.priority, now_s, self._plan.policy.demand_memory_s)
        account = self._room.accounts[ticket.priority].join(ticket.key)
        share = self._share(queue, ticket) if self._budgets else base_cost(queue.model)
        return Entry(ticket, self._arrivals, queue, share, self._room.service_s(queue), account)

    def obstacle(self, entry: Entry) -> Obstacle | None:
        """What keeps a waiting call of a resident model from starting; None if nothing does."""
        name = entry.queue.model.name
        if name in self._paused:
            return Obstacle(WaitReason.PAUSED)
        if entry.ticket.key in self._caps.limits and (at_cap := self._caps.obstacle(entry)) is not None:
            return at_cap
        if not self._replicas[name].has_free_slot:
            return Obstacle(WaitReason.MODEL_CAP)
        if self._budgets and (budget := self._budget(entry)) is not None:
            return budget.obstacle(entry)
        return None

    def begin(self, entry: Entry, now_s: float) -> Admit:
        ticket = entry.ticket
        replica = self._replicas[ticket.model]
        entry.is_waiting, entry.started_s, entry.replica = False, now_s, replica
        entry.account.charge(entry.estimate_s * entry.share)
        self.running[ticket.id] = entry
        replica.running.add(ticket.id)
        if self._budgets:
            self._take(entry)
        if ticket.key in self._caps.limits:
            self._caps.began(entry, now_s)
        return Admit(ticket.id, replica.id)

    def end(self, entry: Entry, now_s: float, busy_s: float | None, *, is_typical: bool) -> None:
        """The call runs no more. Only what is typical teaches how long calls take."""
        ticket, replica = entry.ticket, entry.replica
        assert replica is not None
        del self.running[ticket.id]
        took_s = now_s - entry.started_s if busy_s is None else busy_s
        if is_typical:
            self._room.learn_service(entry.queue, took_s)
            entry.queue.lately_s.append(took_s)
        entry.account.charge((took_s - entry.estimate_s) * entry.share)  # what was charged was a guess
        self._room.accounts[ticket.priority].part(ticket.key, entry.account)
        replica.running.discard(ticket.id)
        if not replica.running:
            replica.idle_since_s = now_s
        if self._budgets and (budget := self._budget(entry)) is not None:
            budget.give_back(entry)
        if ticket.key in self._caps.limits:
            self._caps.ended(entry, now_s)

    def drop(self, entry: Entry, now_s: float) -> None:
        """The call waits no more."""
        self._room.remove(entry, now_s)
        self._room.accounts[entry.ticket.priority].part(entry.ticket.key, entry.account)

    def share(self, ticket_id: str) -> float | None:
        """What it takes of its pool, or will take; None = it neither runs nor waits."""
        entry = self._find(ticket_id)
        return None if entry is None else entry.share

    def model_of(self, ticket_id: str) -> str | None:
        """The model that it runs on or waits for; None = it does neither."""
        entry = self._find(ticket_id)
        return None if entry is None else entry.ticket.model

    def cap_of(self, key: str) -> int | None:
        """How many calls of the key may run at once; None = any number."""
        return self._caps.limits.get(key)

    def free_share(self, pool: str | None) -> float:
        """What a pool has left now; any amount outside of pools."""
        budget = self._budgets.get(pool)
        return math.inf if budget is None else budget.pool.budget - budget.used

    def pools(self) -> list[PoolState]:
        kept = {
            name: budget.reservation.entry.ticket.id for name, budget in self._budgets.items() if budget.reservation
        }
        return [
            PoolState(budget.pool, budget.used, dict(budget.running), kept.get(name))
            for name, budget in self._budgets.items()
        ]

    def no_place(self, queue: Queue) -> QueueFull | None:
        """The waiting room, or the model's part of it, is full without the one who came last."""
        limit, everywhere, retry_after_s = queue.model.max_queue, self._plan.max_waiting, self._room.service_s(queue)
        if limit is not None and queue.count > limit:
            return QueueFull(room=f"`{queue.model.name}`", limit=limit, retry_after_s=retry_after_s)
        if len(self._room.entries) > everywhere:
            return QueueFull(room="the gateway", limit=everywhere, retry_after_s=retry_after_s)
        return None

    def lapse(self, now_s: float) -> None:
        """What was kept for somebody, or from somebody, holds for one round of decisions."""
        self._caps.lapse(now_s)
        for pool in self._budgets.values():
            pool.lapse()

    def admit(self, now_s: float) -> Iterator[Admit]:
        """Start whatever can start; whoever its pool has blocked too long has its share reserved."""
        self.wake_s = math.inf
        yield from self._admit(now_s)
        while self._keeps_in_vain():
            yield from self._admit(now_s)

    def _keeps_in_vain(self) -> bool:
        """A share is kept for one whose key has come to its cap since: nobody need have stood back for it."""
        shut = [pool for pool in self._budgets.values() if pool.reservation and pool.reservation.entry.is_shut]
        for pool in shut:
            pool.reservation = None
        return bool(shut)

    def _admit(self, now_s: float) -> Iterator[Admit]:
        able = [
            (entry.due_s, entry.seq, entry)
            for name, queue in self._room.queues.items()
            if queue.count and self._replicas[name].has_free_slot and name not in self._paused
            for entry in queue.heads()
        ]
        heapq.heapify(able)
        while able:
            _, _, entry = heapq.heappop(able)
            if not entry.is_waiting or not self._replicas[entry.ticket.model].has_free_slot:
                continue
            if entry.is_shut or self._caps.obstacle(entry) is not None:
                if not entry.is_shut:
                    self._caps.stand_back(entry)
                self._offer(able, entry)
                continue
            budget = self._budget(entry)
            obstacle = budget.obstacle(entry) if budget is not None else None
            if obstacle is None:
                self._room.remove(entry, now_s)
                yield self.begin(entry, now_s)
                self._offer(able, entry)
            elif budget is None or budget.reservation is not None:
                continue
            elif self._is_blocked_too_long(entry, now_s):
                budget.reserve(entry)

    @staticmethod
    def _offer(able: list[tuple[float, int, Entry]], gone: Entry) -> None:
        """Let those be looked at who stood behind it."""
        for head in gone.queue.heads():
            heapq.heappush(able, (head.due_s, head.seq, head))

    def _is_blocked_too_long(self, entry: Entry, now_s: float) -> bool:
        entry.blocked_s = min(entry.blocked_s, now_s)
        end_s = entry.blocked_s + self._plan.policy.grace_s
        if end_s > now_s + EPSILON:
            self.wake_s = min(self.wake_s, end_s)
            return False
        return True

    def _find(self, ticket_id: str) -> Entry | None:
        return self.running.get(ticket_id) or self._room.entries.get(ticket_id)

    def _budget(self, entry: Entry) -> Budget | None:
        return self._budgets.get(entry.queue.model.pool)

    def _take(self, entry: Entry) -> None:
        if (budget := self._budget(entry)) is not None:
            budget.take(entry)

    def _share(self, queue: Queue, ticket: Ticket) -> float:
        budget = self._budgets.get(queue.model.pool)
        return share_of(queue.model, budget.pool if budget else None, ticket.prompt_tokens, self._plan.policy)
