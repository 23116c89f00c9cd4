"""What the scheduler asks the runtime to do. Data, so that tests can compare it."""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock.errors import GatewayError


@dataclass(slots=True)  # not frozen: there is one for every call
class Admit:
    """The call has a slot in the replica from now on; give it back with `leave`."""

    ticket_id: str
    replica_id: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """The call will not be served; it no longer waits and holds nothing."""

    ticket_id: str
    error: GatewayError


@dataclass(frozen=True, slots=True)
class Start:
    """Launch the replica; answer with `replica_ready` or `replica_failed` for this generation.

    ticket_id: who of those that wait for it is due first; None = nobody waits.
    """

    replica_id: str
    generation: int
    ticket_id: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the replica, on which nothing runs; answer with `replica_gone` when it is gone and its memory is back.

    target: the model that gets its room; None = it is not stopped for another. ticket_id: as with Start, of the target.
    """

    replica_id: str
    generation: int
    target: str | None = field(default=None, compare=False)
    ticket_id: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Give up a load that nobody wants any more; answer with `replica_gone`."""

    replica_id: str
    generation: int


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Call `tick` at this moment (monotonic seconds). A later WakeAt replaces an earlier one."""

    at_s: float


Action = Admit | Refuse | Start | Stop | Cancel | WakeAt
