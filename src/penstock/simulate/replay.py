"""One run: a world's calls of one seed through one policy, event by event, until all are answered."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

from penstock.simulate.baselines import Collating, CostPool, Fifo, Lru
from penstock.simulate.box import Box, Ended, Gone, Ready
from penstock.simulate.policies import MakePolicy, Penstock, Policy
from penstock.simulate.world import Call, World

POLICIES: dict[str, MakePolicy] = {
    "penstock": Penstock,
    "fifo": Fifo,
    "collating": Collating,
    "cost-pool": CostPool,
    "lru": Lru,
}
"""By the name under which a report shows them."""

KEEPS_BUDGET = frozenset({"penstock"})
_INSTANT_S = 1e-9


@dataclass(frozen=True, slots=True)
class Run:
    """What became of it: the calls with their moments, and the machine with its counts."""

    policy: Policy
    box: Box
    calls: list[Call]


def replay(world: World, policy_name: str, seed: int) -> Run:
    """Ends when everybody is answered, or when nothing will ever happen again."""
    box = Box(world, keeps_budget=policy_name in KEEPS_BUDGET)
    policy = POLICIES[policy_name](box)
    calls = list(world.traffic(seed))
    coming = [(call.arrived_s, call.number, call) for call in calls]
    heapq.heapify(coming)
    while (now_s := min(coming[0][0] if coming else math.inf, box.next_event_s(), policy.wake_s)) < math.inf:
        box.advance(max(now_s, box.now_s))
        for later in _tell(box, policy):
            calls.append(later)
            heapq.heappush(coming, (later.arrived_s, later.number, later))
        while coming and coming[0][0] <= box.now_s + _INSTANT_S:
            policy.arrive(heapq.heappop(coming)[2])
        policy.settle()
    return Run(policy, box, calls)


def _tell(box: Box, policy: Policy) -> list[Call]:
    """Tell the policy what has happened; gives the calls that follow from the answers."""
    following = []
    for fact in box.happened():
        match fact:
            case Ready(model):
                policy.ready(model)
            case Gone(model):
                policy.gone(model)
            case Ended(call):
                policy.ended(call)
                if call.then is not None and (later := call.then(box.now_s)) is not None:
                    following.append(later)
    return following
