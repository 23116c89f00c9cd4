"""How long a model keeps its place: its *hold*, some swap round trips from the moment it was loaded.

Two models that both have work would otherwise spend their time on loads. Nobody waits for it: no hold.
"""

from __future__ import annotations

from penstock.core.lines import Queue
from penstock.core.plan import Policy

LEAST_HOLD_S = 0.1
"""Without it a model could be swapped out in the instant it became ready, before it served anybody."""


def hold_end_s(policy: Policy, queue: Queue, loaded_s: float, load_s: float, best_class: int) -> float:
    """Until when the queue's model, loaded at `loaded_s`, need not leave for a target.

    load_s, best_class: the target's load time, and the best class of those who wait for it.
    """
    least_s = loaded_s + queue.model.min_resident_s
    if not queue.at_hand:
        return least_s
    if best_class < queue.best_class():
        times = policy.hold_high
    else:
        times = policy.hold * (policy.hold_stretch if queue.backlog_s() > queue.load_s else 1.0)
    return max(loaded_s + max(times * (queue.load_s + load_s), LEAST_HOLD_S), least_s)
