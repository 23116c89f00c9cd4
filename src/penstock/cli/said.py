"""What the gateway answered to a command, in a line for people."""

from __future__ import annotations

from penstock.cli.shapes import Call, Cancelled, ModelPhase, Paused
from penstock.drawing.names import shown_name

Answer = Cancelled | Paused | ModelPhase | Call

ANSWERS: dict[str, type[Answer]] = {
    "/api/v1/calls/cancel": Cancelled,
    "/api/v1/calls/priority": Call,
    "/api/v1/models/load": ModelPhase,
    "/api/v1/models/unload": ModelPhase,
    "/api/v1/models/pin": ModelPhase,
    "/api/v1/models/unpin": ModelPhase,
    "/api/v1/models/pause": Paused,
    "/api/v1/models/resume": Paused,
}
"""What each command is answered with."""


_LOADS = ("/api/v1/models/load", "/api/v1/models/pin")


def in_words(path: str, answer: Answer) -> str:
    match answer:
        case {"queued": list(queued), "running": list(running)}:
            words = f"cancelled {_counted(len(queued))} waiting and {_counted(len(running))} running"
        case {"paused": list(paused)}:
            words = f"paused: {', '.join(map(str, paused)) or 'nothing'}"
        case {"model": model, "phase": phase, "pinned": pinned}:
            waits = ", loaded as soon as there is room" if path in _LOADS and phase in ("stopped", "stopping") else ""
            words = f"{model}: {phase}{', pinned' if pinned else ''}{waits}"
        case {"id": call_id, "priority": priority, "position": position}:
            words = f"{call_id}: {priority}, place {position}"
        case _:
            words = "done"
    return shown_name(words)


def _counted(count: int) -> str:
    return f"{count} call{'' if count == 1 else 's'}"
