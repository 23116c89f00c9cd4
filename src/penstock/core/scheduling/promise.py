"""The longest that anybody waits: the bound of each first in line, and the time that it does not cover.

A first in line is due after at most two patiences. From then on only those lines can go before it that
stand there already, and each keeps it waiting for one turn at most: a load, a hold, and the longest call.
"""

from __future__ import annotations

from penstock.core.scheduling.lines import Entry, Room
from penstock.core.scheduling.plan import Plan, Policy


class Promise:
    def __init__(self, room: Room) -> None:
        self.exceeded = 0  # starts later than promised; stays 0
        self.turn_s = 0.0
        self._room = room
        self._longest_load_s = 0.0
        self._seen_s = 0.0

    def judge(self, plan: Plan) -> None:
        """How long a turn takes at most, by the loads as they are known now."""
        loads_s = [self._room.queues[model.name].load_s for model in plan.models if model.is_launched]
        self._longest_load_s = max([self._longest_load_s, *loads_s])
        resident_s = max((model.min_resident_s for model in plan.models), default=0.0)
        self.turn_s = turn_s(plan.policy, self._longest_load_s, resident_s)

    def lose(self, span_s: float) -> None:
        """So much time is outside every promise: an operator's command, an engine that died."""
        self._room.lost_s += span_s

    def lost_s(self, now_s: float, wake_s: float, *, is_held_up: bool) -> float:
        """Time lost until now: all since the last look, if something holds us up; a tick's delay, if it came late."""
        return self._room.lost_s + (now_s - self._seen_s if is_held_up else max(0.0, now_s - wake_s))

    def look(self, now_s: float, wake_s: float, *, is_held_up: bool) -> None:
        self._room.lost_s = self.lost_s(now_s, wake_s, is_held_up=is_held_up)
        self._seen_s = now_s

    def bound_s(self, first: Entry, behind: int, lost_s: float) -> float:
        """The moment by which the first of a line has started, or the one so many places behind it."""
        turns_s = (self._room.peak_lines + 2) * self.turn_s
        patience_s = self._room.policy.patience_s[first.ticket.priority]
        return first.bound_base_s + lost_s + turns_s + behind * (2 * patience_s + turns_s)

    def keep(self, started: Entry, now_s: float) -> None:
        """Count a start that came too late."""
        self.exceeded += now_s > self.bound_s(started, 0, self._room.lost_s)


def turn_s(policy: Policy, longest_load_s: float, longest_resident_s: float) -> float:
    """The longest that one line can keep the next waiting: a load, a hold of a round trip, a call."""
    hold_s = 2 * longest_load_s * max(policy.hold, policy.hold_high) * max(1.0, policy.hold_stretch)
    return longest_load_s + max(hold_s, longest_resident_s) + policy.call_limit_s + policy.grace_s
