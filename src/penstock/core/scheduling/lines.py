"""Whose turn is it? Lines, due times, and what every key has been served.

A *line* is the tickets of one (model, class, key), first come first served. Only the first of a line
ages: when it becomes first it is given its **due time**, once and for all:

    due = now + patience of its class + handicap of its key

so a key's 5 000 queued requests age one at a time and cannot outvote anybody. The handicap is how far
the key is ahead of the least-served active key of its class, in seconds of the box, times the number
of the others; it never exceeds one patience, so fairness cannot starve. Earliest due goes first.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from penstock.core.model import Model, Priority, Replica, Ticket
from penstock.core.scheduling.accounts import Account, Accounts
from penstock.core.scheduling.demand import Demand
from penstock.core.scheduling.firsts import Firsts
from penstock.core.scheduling.plan import Policy

LEARNING = 0.1
"""Weight of the newest measurement in a moving average."""


@dataclass(slots=True, eq=False)
class Entry:
    """A ticket, from arrival until it leaves; in a line only while it waits."""

    ticket: Ticket
    seq: int
    queue: Queue
    share: float  # of its pool's budget, charged while it runs
    estimate_s: float  # how long it is expected to run
    account: Account
    due_s: float = math.inf  # set when it becomes first of its line
    bound_base_s: float = math.inf
    blocked_s: float = math.inf  # since when its pool has refused it
    is_waiting: bool = True
    is_shut: bool = False  # a first that is not to be looked at, for its key's sake (caps.py)
    started_s: float = 0.0
    replica: Replica | None = None
    reservation: object = None  # the other's reservation that it slipped past, if any

    def __lt__(self, other: Entry) -> bool:
        """In a heap only one that was moved to another class and back meets its equal: its former self."""
        return False


@dataclass(slots=True, eq=False)
class Line:
    entries: deque[Entry] = field(default_factory=deque)  # the first one waits; others may have gone
    gone: int = 0
    work_s: float = 0.0  # estimated, of those who wait
    is_away: bool = False  # they do not count as work of their model: their key is at its cap, and runs elsewhere

    def waiting(self) -> Iterator[Entry]:
        return (entry for entry in self.entries if entry.is_waiting)

    def join(self, entry: Entry) -> None:
        """Behind those who arrived before it, and behind the first, who ages already."""
        at = len(self.entries)
        while at > 1 and self.entries[at - 1].seq > entry.seq:
            at -= 1
        self.entries.insert(at, entry)


@dataclass(slots=True, eq=False)
class Queue:
    """All lines of one model, and what is known about its work."""

    model: Model
    load_s: float
    service_s: float | None = None  # None: nothing measured yet
    lately_s: deque[float] = field(default_factory=lambda: deque(maxlen=64))  # how long the last calls took
    count: int = 0
    counts: list[int] = field(default_factory=lambda: [0, 0, 0])  # by class, without those who are away
    work_s: float = 0.0  # estimated, of the same, one after the other
    lines: dict[tuple[Priority, str], Line] = field(default_factory=dict)
    firsts: Firsts[Entry] = field(default_factory=Firsts)
    demand: Demand = field(default_factory=Demand)

    def heads(self) -> list[Entry]:
        """The earliest due of every share, earliest first."""
        return self.firsts.heads()

    def is_led_by(self, entry: Entry) -> bool:
        """Is it the earliest due of its share, or the only one of the best class that waits?"""
        priority = entry.ticket.priority
        return (priority == self.best_class() and self.counts[priority] == 1) or entry in self.heads()

    def first_due_s(self) -> float:
        heads = self.heads()
        return heads[0].due_s if heads else math.inf

    def shut(self, first: Entry) -> None:
        """The first of a line is not to be looked at, until it is filed again."""
        first.is_shut = True
        self.firsts.look_again()

    def best_class(self) -> int:
        """The best class that waits; worse than any if nothing does."""
        high, normal, low = self.counts
        return 0 if high else 1 if normal else 2 if low else 3

    @property
    def at_hand(self) -> int:
        """Calls that count as work."""
        return sum(self.counts)

    def weight(self, weights: Sequence[float]) -> float:
        """What its work counts in sum. weights: of a call, by class."""
        high, normal, low = self.counts
        return high * weights[0] + normal * weights[1] + low * weights[2]

    def backlog_s(self) -> float:
        """How long all that waits would take with every slot busy."""
        return self.work_s / self.model.slots if self.model.slots else 0.0


class Room:
    """Everyone who waits."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.entries: dict[str, Entry] = {}
        self.queues: dict[str, Queue] = {}
        self.accounts = {priority: Accounts() for priority in Priority}
        self.lines = 0
        self.peak_lines = 0  # the most lines at once since the room was last empty
        self.any_service_s = policy.estimate_s  # over all models
        self.capped: dict[str, Collection[str]] = {}  # keys that may run no more now -> the models they run on
        self.urgent: set[str] = set()  # models that are brought because a call is due, or in the place of another
        self.lost_s = 0.0  # time outside the policy's promise so far: failed loads, slow stops, pauses

    def add(self, entry: Entry, now_s: float) -> None:
        ticket, queue = entry.ticket, entry.queue
        self.entries[ticket.id] = entry
        queue.count += 1
        line = queue.lines.get((ticket.priority, ticket.key))
        if line is None:
            is_away = ticket.key in self.capped and ticket.model not in self.capped[ticket.key]
            line = queue.lines[ticket.priority, ticket.key] = Line(is_away=is_away)
            self.lines += 1
            self.peak_lines = max(self.peak_lines, self.lines)
            self._become_first(entry, now_s)
        line.join(entry)
        self._tally(line, entry, 1)

    def remove(self, entry: Entry, now_s: float) -> None:
        """It waits no more, for whatever reason; if it was the first, the next of its line begins to age."""
        ticket, queue = entry.ticket, entry.queue
        del self.entries[ticket.id]
        entry.is_waiting = False
        queue.count -= 1
        line = queue.lines[ticket.priority, ticket.key]
        self._tally(line, entry, -1)
        if not queue.count:
            queue.work_s = 0.0  # no residue of rounding
        if line.entries[0] is not entry:
            self._forget_later(line)
            return
        queue.firsts.look_again()
        line.entries.popleft()
        while line.entries and not line.entries[0].is_waiting:
            line.entries.popleft()
            line.gone -= 1
        if line.entries:
            self._become_first(line.entries[0], now_s)
        else:
            del queue.lines[ticket.priority, ticket.key]
            self.lines -= 1
            self.peak_lines = self.peak_lines if self.lines else 0

    def service_s(self, queue: Queue) -> float:
        """How long a call of the model is expected to run."""
        return self.any_service_s if queue.service_s is None else queue.service_s

    def learn_service(self, queue: Queue, busy_s: float) -> None:
        queue.service_s = busy_s if queue.service_s is None else queue.service_s + LEARNING * (busy_s - queue.service_s)
        self.any_service_s += LEARNING * (busy_s - self.any_service_s)

    def reprice(self) -> None:
        """The shares of the waiting have changed: sort the firsts anew. Their due times stay."""
        for queue in self.queues.values():
            queue.firsts.clear()
            for line in queue.lines.values():
                self.file(line.entries[0])

    def _become_first(self, entry: Entry, now_s: float) -> None:
        ticket = entry.ticket
        patience_s = self.policy.patience_s[ticket.priority]
        due_s = now_s + patience_s + min(patience_s, self.accounts[ticket.priority].lead_s(entry.account))
        if due_s < entry.due_s:  # who was raised to this class may have been due sooner
            entry.due_s, entry.bound_base_s = due_s, due_s - self.lost_s
        self.file(entry)

    def file(self, entry: Entry) -> None:
        """The first of a line is to be looked at, unless its key is at its cap."""
        queue, entry.is_shut = entry.queue, entry.ticket.key in self.capped
        if not entry.is_shut:
            queue.firsts.file(entry, len(queue.lines))

    def _tally(self, line: Line, entry: Entry, calls: int) -> None:
        line.work_s += calls * entry.estimate_s
        if not line.is_away:
            entry.queue.counts[entry.ticket.priority] += calls
            entry.queue.work_s += calls * entry.estimate_s

    @staticmethod
    def _forget_later(line: Line) -> None:
        """Those that went from the middle are swept out when they are the majority: constant time each."""
        line.gone += 1
        if line.gone > len(line.entries) // 2 + 16:
            line.entries = deque(line.waiting())
            line.gone = 0
