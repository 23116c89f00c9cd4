"""What those are told who ask why a call waits, and until when: read from what was decided, deciding nothing."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.core.model import Replica
from penstock.core.scheduling.admission import Desk
from penstock.core.scheduling.expiry import missed
from penstock.core.scheduling.explain import NOT_WAITING, OUTSIDE_THE_BOUND, Obstacle, Wait, WaitReason, obstacle_of
from penstock.core.scheduling.lines import Entry, Queue, Room
from penstock.core.scheduling.order import place
from penstock.core.scheduling.outlook import Outlook
from penstock.core.scheduling.promise import Promise
from penstock.core.scheduling.swaps import Swaps
from penstock.errors import DeadlineMissed


class Answers:
    def __init__(
        self, room: Room, desk: Desk, swaps: Swaps, promise: Promise, replicas: Mapping[str, Replica]
    ) -> None:  # fmt: skip
        self._room, self._desk, self._swaps, self._promise = room, desk, swaps, promise
        self._replicas = replicas
        self._outlook = Outlook(room, desk, replicas)

    def wait(self, ticket_id: str, lost_s: float, now_s: float) -> Wait:
        """A ticket's wait. lost_s: the time until now that no promise covers."""
        entry = self._room.entries.get(ticket_id)
        if entry is None:
            return NOT_WAITING
        why = self.why(entry)
        behind, position = place(self._room, entry)
        if why.reason in OUTSIDE_THE_BOUND:
            at_cap_s = self._outlook.at_cap_s(entry, behind, now_s) if why.reason is WaitReason.KEY_CAP else None
            return Wait(why.reason, why.wait_for, why.wait_until_s, position, at_cap_s)
        expected_s = self._outlook.starts_in_s(entry, position, why, now_s)
        bound_s = max(0.0, self._promise.bound_s(_first_before(entry), behind, lost_s) - now_s)
        return Wait(why.reason, why.wait_for, why.wait_until_s, position, expected_s, bound_s)

    def reasons(self) -> dict[str, WaitReason]:
        """For each model that somebody waits for: why the one who is due first does."""
        return {name: self._reason(queue) for name, queue in self._room.queues.items() if queue.count}

    def _reason(self, queue: Queue) -> WaitReason:
        firsts = queue.heads() or [line.entries[0] for line in queue.lines.values()]
        return self.why(min(firsts, key=lambda entry: entry.due_s)).reason

    def why(self, entry: Entry) -> Obstacle:
        """What keeps the first of its line waiting."""
        name, first = entry.ticket.model, _first_before(entry)
        at_swap, at_desk = self._swaps.obstacles.get(name), self._desk.obstacle(first)
        return obstacle_of(self._replicas[name], first.queue.load_s, at_desk, at_swap)

    def too_late(self, entry: Entry) -> DeadlineMissed:
        """What is told who waits at its deadline."""
        return missed(entry.ticket, f"while it waited ({self.why(entry).reason})")


def _first_before(entry: Entry) -> Entry:
    """The first of the line that it waits in."""
    return entry.queue.lines[entry.ticket.priority, entry.ticket.key].entries[0]
