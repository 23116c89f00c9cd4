"""The one row that each start of an engine leaves behind."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Annotated

from penstock.core.accounting.fields import (
    BYTES,
    EPOCH,
    GATEWAY,
    OWN_CLOCK,
    SCHEDULER,
    SECONDS,
    SYSTEM,
    WALL_CLOCK,
    Doc,
)

_Text = str | None
_NEVER_CAME = "it never came to that, or nobody saw it"
_NOT_MEASURED = "not measured"


class LoadSource(enum.StrEnum):
    """Who knows of a load."""

    OWN = "own"  # this gateway started the engine
    OBSERVED = "observed"  # another system did, and shows what it runs


class LoadCause(enum.StrEnum):
    """Why an engine was started."""

    REQUEST = "request"
    PRELOAD = "preload"
    PIN = "pin"
    COMMAND = "command"
    RESTART = "restart"  # it had died


class LoadOutcome(enum.StrEnum):
    """How a load ended. An open one has none."""

    READY = "ready"
    FAILED = "failed"
    CANCELLED = "cancelled"  # nobody wanted it any more
    INTERRUPTED = "interrupted"  # the gateway died before it was over


def _phase(what: str) -> Doc:
    return Doc(what, OWN_CLOCK, SECONDS, _NEVER_CAME)


@dataclass(slots=True, eq=False)
class LoadRecord:
    """One load, from the decision to its end. Its phases follow each other: stop, release, start, ready.

    started_at is epoch seconds UTC, stamped once; None = unknown and never 0.
    """

    id: Annotated[str, Doc("UUIDv7 of the load.", GATEWAY)]
    gateway_id: Annotated[str, Doc("Which gateway.", GATEWAY)]
    boot_id: Annotated[str, Doc("Which start of that gateway.", GATEWAY)]
    model: Annotated[str, Doc("The model that was loaded.", GATEWAY)]
    started_at: Annotated[float, Doc("When the load was decided.", WALL_CLOCK, EPOCH)]
    engine: Annotated[_Text, Doc("The replica.", SCHEDULER, null="seen from outside")] = None
    devices: Annotated[list[str], Doc("Names of its devices, as a JSON array.", SCHEDULER)] = field(
        default_factory=list
    )
    source: Annotated[str, Doc("`own`, or `observed` where another system loads.", GATEWAY)] = LoadSource.OWN.value
    cause: Annotated[
        _Text, Doc("`request`, `preload`, `pin`, `command` or `restart`.", SCHEDULER, null="seen from outside")
    ] = None
    call_id: Annotated[
        _Text,
        Doc(
            "The call for whose sake it was begun: of those that waited, the one due first.",
            SCHEDULER,
            null="for no call",
        ),
    ] = None
    victims: Annotated[list[str], Doc("Models that were stopped to make room, as a JSON array.", SCHEDULER)] = field(
        default_factory=list
    )
    stop_s: Annotated[float | None, _phase("Until the victims had ended.")] = None
    release_s: Annotated[float | None, _phase("Then until the devices had released their memory.")] = None
    start_s: Annotated[float | None, _phase("Then until the engine's process answered at all.")] = None
    ready_s: Annotated[float | None, _phase("Then until it was ready.")] = None
    done_s: Annotated[
        float | None,
        Doc("When the load ended, after `started_at`.", OWN_CLOCK, SECONDS, "still open, or `interrupted`"),
    ] = None
    outcome: Annotated[_Text, Doc("`ready`, `failed`, `cancelled` or `interrupted`.", GATEWAY, null="still open")] = (
        None
    )
    error_detail: Annotated[_Text, Doc("Why it failed.", GATEWAY, null="it did not")] = None
    calls_waiting: Annotated[
        int | None, Doc("Calls that waited for it when it ended.", SCHEDULER, "calls", _NEVER_CAME)
    ] = None
    memory_before_bytes: Annotated[
        int | None, Doc("In use on its devices before the engine was started.", SYSTEM, BYTES, _NOT_MEASURED)
    ] = None
    memory_after_bytes: Annotated[int | None, Doc("In use there when it was ready.", SYSTEM, BYTES, _NOT_MEASURED)] = (
        None
    )
    read_bytes: Annotated[
        int | None, Doc("What the engine read from disk until it was ready.", SYSTEM, BYTES, _NOT_MEASURED)
    ] = None
