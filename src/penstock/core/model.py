"""The nouns that decisions are about. Plain values; nothing here acts.

Times ending in `_s` are monotonic seconds unless they are spans; `_bytes` are bytes.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass, field, replace


class Priority(enum.IntEnum):
    """A class of requests; a smaller number is served sooner."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


class Phase(enum.Enum):
    """Where a replica is in its life. The same words appear in the API, the page and the metrics."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"  # finishes what it has, takes nothing new
    SLEEPING = "sleeping"
    WAKING = "waking"
    STOPPING = "stopping"
    BACKOFF = "backoff"  # failed to start; will be tried again by itself
    FAILED = "failed"  # failed too often; waits for its pause to end or for a reset


NEXT_PHASES: dict[Phase, frozenset[Phase]] = {
    Phase.STOPPED: frozenset({Phase.STARTING}),
    Phase.STARTING: frozenset({Phase.READY, Phase.STOPPING, Phase.STOPPED, Phase.BACKOFF, Phase.FAILED}),
    Phase.READY: frozenset({Phase.DRAINING, Phase.STOPPING, Phase.STOPPED, Phase.SLEEPING}),
    Phase.DRAINING: frozenset({Phase.READY, Phase.STOPPING, Phase.STOPPED, Phase.SLEEPING}),
    Phase.SLEEPING: frozenset({Phase.WAKING, Phase.STOPPING, Phase.STOPPED}),
    Phase.WAKING: frozenset({Phase.READY, Phase.STOPPING, Phase.STOPPED, Phase.BACKOFF, Phase.FAILED}),
    Phase.STOPPING: frozenset({Phase.STOPPED}),
    Phase.BACKOFF: frozenset({Phase.STOPPED, Phase.STARTING}),
    Phase.FAILED: frozenset({Phase.STOPPED, Phase.STARTING}),
}

READY, FAILED = Phase.READY, Phase.FAILED
"""By themselves, for what every call asks: before Python 3.12, to have one of its class takes as long as a call."""

HOLDS_MEMORY = frozenset({Phase.STARTING, Phase.READY, Phase.DRAINING, Phase.WAKING, Phase.STOPPING})


@dataclass(frozen=True, slots=True)
class Device:
    """One pool of memory that a replica can occupy: a GPU, or unified or host RAM."""

    name: str
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Pool:
    """A shared compute budget: the costs of what runs at once never add up to more than `budget`."""

    name: str
    budget: float = 1.0
    is_exclusive: bool = False  # one distinct model of the pool runs at a time


@dataclass(frozen=True, slots=True)
class Model:
    """A name clients ask for, and what running it takes.

    slots: calls one replica serves at once; None = no cap (nothing waits).
    footprint: (device name, bytes) pairs; None = unknown, treated as filling its devices.
    is_size_declared: the footprint is the operator's word; else it is an estimate, which what is measured replaces.
    is_launched: False for an `upstream:` that is simply there: always ready, holds no memory.
    cost: share of the pool's budget that one call takes; None = 1/slots.
    evict_cost: how much stopping it for another model counts, beside the others.
    ttl_s: idle seconds after the last call ended until the replica is stopped; None = never.
    """

    name: str
    slots: int | None = 1
    footprint: tuple[tuple[str, int], ...] | None = ()
    load_s: float = 10.0
    is_launched: bool = True
    is_pinned: bool = False
    ttl_s: float | None = None
    pool: str | None = None  # None: takes no part in any budget
    cost: float | None = None
    max_queue: int | None = None
    max_prompt_tokens: int | None = None
    min_resident_s: float = 0.0
    evict_cost: int = 1
    is_size_declared: bool = False


class Strategy(enum.StrEnum):
    """How one of several models is chosen for a call; what each does is said in choose.py."""

    PIN = "pin"
    WARM = "warm"
    SPILLOVER = "spillover"
    FAILOVER = "failover"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these models is to serve the call. models: in order of preference.

    spillover: calls that a model may have before another one is brought in; the others ignore it.
    """

    strategy: Strategy
    models: tuple[str, ...]
    spillover: int = 1

    def without(self, names: Collection[str]) -> Choice:
        """The same choice, some left out: those that have been tried, or whose breaker is open."""
        return replace(self, models=tuple(name for name in self.models if name not in names))


@dataclass(slots=True)  # not frozen: there is one for every call, and that would make it four times as dear
class Ticket:
    """The part of a call that the scheduler may see. Never changed.

    choice: `model` is only what was asked for; one of the choice's models takes its place on arrival.
    """

    id: str
    model: str
    key: str
    arrived_s: float
    priority: Priority = Priority.NORMAL
    prompt_tokens: int = 0
    deadline_s: float | None = None  # the call must have begun before; None = it waits as long as it takes
    limit: str | None = None  # who set the deadline, in words for a refusal; None = only the span is known
    choice: Choice | None = None


@dataclass(slots=True, eq=False)
class Replica:
    """One running copy of a model's server, as the scheduler sees it.

    `generation` counts its starts: a fact about an earlier one is about a process that is gone.
    """

    id: str
    model: Model
    phase: Phase = Phase.STOPPED
    generation: int = 0
    running: set[str] = field(default_factory=set)  # ticket ids
    since_s: float = 0.0  # when it entered its phase
    idle_since_s: float = 0.0  # when its last call ended, or when it became ready
    kept_until_s: float = 0.0  # bytes pass on a websocket to it: until then it is not stopped
    failures: int = 0  # failed starts in a row
    failure: str = ""  # why the last start failed, in words

    @property
    def has_free_slot(self) -> bool:
        slots = self.model.slots
        return self.phase is READY and (slots is None or len(self.running) < slots)

    def move(self, phase: Phase, now_s: float) -> None:
        """Enter another phase; a move that the table does not know is our bug."""
        if phase not in NEXT_PHASES[self.phase]:
            raise AssertionError(f"{self.id}: {self.phase.value} -> {phase.value}")
        self.phase = phase
        self.since_s = now_s
