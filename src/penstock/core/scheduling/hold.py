"""How long a model keeps its place: its *hold*, some swap round trips from the moment it was loaded.

Two models that both have work would otherwise spend their time on loads. Nobody waits for it: no hold. It is
shorter against a better class than waits for the model itself, and longer while its waiting work exceeds its
load time, unless the other class is two better.
"""

from __future__ import annotations

from penstock.core.model import Priority
from penstock.core.scheduling.lines import Queue
from penstock.core.scheduling.plan import Policy

LEAST_HOLD_S = 0.1
"""Without it a model could be swapped out in the instant it became ready, before it served anybody."""


def hold_end_s(policy: Policy, queue: Queue, loaded_s: float, load_s: float, best_class: int) -> float:
    """Until when the queue's model, loaded at `loaded_s`, need not leave for a target.

    load_s, best_class: the target's load time, and the best class of those who wait for it.
    """
    least_s = loaded_s + queue.model.min_resident_s
    own_class = queue.best_class()
    if own_class > Priority.LOW:
        return least_s
    better_by = own_class - best_class
    times = policy.hold_high if better_by > 0 else policy.hold
    if better_by <= 1 and queue.backlog_s() > queue.load_s:
        times *= policy.hold_stretch  # every load for others would put it further behind
    return max(loaded_s + max(times * (queue.load_s + load_s), LEAST_HOLD_S), least_s)
