"""What the gateway answered to a command, in a line for people."""

from __future__ import annotations

from typing import Any


def in_words(answer: dict[str, Any]) -> str:
    match answer:
        case {"queued": queued, "running": running}:
            return f"cancelled {_counted(len(queued))} waiting and {_counted(len(running))} running"
        case {"paused": paused}:
            return f"paused: {', '.join(paused) or 'nothing'}"
        case {"model": model, "phase": phase, "pinned": pinned}:
            return f"{model}: {phase}{', pinned' if pinned else ''}"
        case {"id": call_id, "priority": priority, "position": position}:
            return f"{call_id}: {priority}, place {position}"
        case _:
            return "done"


def _counted(count: int) -> str:
    return f"{count} call{'' if count == 1 else 's'}"
