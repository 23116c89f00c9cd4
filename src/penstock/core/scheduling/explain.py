"""Why a ticket waits, for whom, and until when at most: words and arithmetic for those who ask."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from penstock.core.model import Phase, Replica


class WaitReason(enum.StrEnum):
    """What keeps a ticket waiting. The same words appear in the record, the API and the page."""

    NONE = "none"  # it does not wait
    MODEL_CAP = "model_cap"  # every slot of its model is taken
    KEY_CAP = "key_cap"  # its key runs as much at once as it may
    BUDGET_FULL = "budget_full"  # its pool has too little compute left
    RESERVED = "reserved"  # what is left is kept for one who is due earlier
    EXCLUSIVE = "exclusive"  # another model runs in its exclusive pool
    AGED_IN = "aged_in"  # one who is due earlier has claimed the room
    LOADING = "loading"  # its model is being started, or waits for its turn to be
    DRAINING = "draining"  # its model's room is being cleared
    HOLD = "hold"  # the model in its place keeps it: it was loaded too recently, or more waits for it
    MEMORY = "memory"  # its room is taken by what cannot be moved: pinned models, other programs
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stands between a model and its load, or a request and its start."""

    reason: WaitReason
    wait_for: str | None = None  # a model
    wait_until_s: float | None = None  # monotonic


@dataclass(frozen=True, slots=True)
class Wait:
    """A ticket's wait as it looks at one moment.

    position: 0 = the first of its model. estimate_s, bound_s: seconds from that moment until it starts,
    as expected and at the latest; None where nothing can be said.
    """

    reason: WaitReason
    wait_for: str | None = None
    wait_until_s: float | None = None
    position: int = 0
    estimate_s: float | None = None
    bound_s: float | None = None


NOT_WAITING = Wait(WaitReason.NONE, estimate_s=0.0, bound_s=0.0)


OUTSIDE_THE_BOUND = frozenset({WaitReason.MEMORY, WaitReason.PAUSED, WaitReason.KEY_CAP})
"""While one of these lasts there is no bound, and no estimate either but at a key's cap."""


def obstacle_of(replica: Replica, load_s: float, at_desk: Obstacle | None, at_swap: Obstacle | None) -> Obstacle:
    """Why a call of the replica's model does not run: its phase says where to look."""
    phase = replica.phase
    if at_desk is not None and at_desk.reason in (WaitReason.PAUSED, WaitReason.KEY_CAP):
        return at_desk
    if phase is Phase.READY:
        return at_desk or Obstacle(WaitReason.MODEL_CAP)
    if phase in (Phase.STARTING, Phase.WAKING):
        return Obstacle(WaitReason.LOADING, replica.id, replica.since_s + load_s)
    if phase in (Phase.STOPPED, Phase.DRAINING) and at_swap is not None:
        return at_swap
    return Obstacle(WaitReason.LOADING, replica.id)
