"""The order of service as it looks now, for those who ask: nothing is decided by it.

Only the first of a line has a due time yet; those behind it are taken to be due one patience apart.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from penstock.core.scheduling.lines import Entry, Room


def in_order(room: Room) -> Iterator[Entry]:
    """Everyone in the order of service as it looks now: by due time, the followers one patience apart."""
    patience_s = room.policy.patience_s
    heap = [
        (entry.due_s, entry.seq, entry, rest)
        for queue in room.queues.values()
        for line in queue.lines.values()
        for rest in [line.waiting()]
        for entry in [next(rest)]
    ]
    heapq.heapify(heap)
    while heap:
        due_s, _, entry, rest = heap[0]
        yield entry
        if (follower := next(rest, None)) is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (due_s + patience_s[entry.ticket.priority], follower.seq, follower, rest))


def place(room: Room, entry: Entry) -> tuple[int, int]:
    """How many go before it in its line, and of its model, in the same order."""
    patience_s, own_name, queue = room.policy.patience_s, (entry.ticket.priority, entry.ticket.key), entry.queue
    own = queue.lines[own_name]
    behind = next(i for i, other in enumerate(own.waiting()) if other is entry)
    due_s = own.entries[0].due_s + behind * patience_s[entry.ticket.priority]
    position = behind
    for name, line in queue.lines.items():
        lead_s = due_s - line.entries[0].due_s
        if name != own_name and lead_s >= 0:
            due_before = int(lead_s / patience_s[name[0]]) + 1 if patience_s[name[0]] else len(line.entries)
            position += min(len(line.entries) - line.gone, due_before)
    return behind, position
