"""Lists for people, on a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

UNKNOWN = "-"
ID_END = 12
"""Characters of a call's id that are shown: its end, as it begins with the time, which calls have in common."""


def show_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*head, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def model_row(model: dict[str, Any]) -> list[str]:
    slots = UNKNOWN if model["slots"] is None else str(model["slots"])
    return [
        model["name"],
        model["phase"],
        _span(time.time() - model["since"]) if model["phase"] != "stopped" else UNKNOWN,
        f"{model['running']}/{slots}",
        str(model["waiting"]),
        _size(model["memory_bytes"]),
        ", ".join(model["aliases"]),
    ]


def call_row(call: dict[str, Any]) -> list[str]:
    why = call["wait_reason"] or ""
    return [
        call["id"][-ID_END:],
        call["model"] or UNKNOWN,
        call["key"] or UNKNOWN,
        call["priority"] or UNKNOWN,
        call["phase"],
        _span(time.time() - call["received_at"]),
        f"{why} {call['wait_for'] or ''}".strip() or UNKNOWN,
    ]


def waiting_row(call: dict[str, Any]) -> list[str]:
    why = call["wait_reason"] or ""
    return [
        call["id"][-ID_END:],
        call["model"] or UNKNOWN,
        str(call["position"]),
        call["key"] or UNKNOWN,
        call["priority"],
        _span(time.time() - call["received_at"]),
        f"{why} {call['wait_for'] or ''}".strip(),
        UNKNOWN if call["estimate_s"] is None else _span(call["estimate_s"]),
        UNKNOWN if call["bound_s"] is None else _span(call["bound_s"]),
    ]


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _size(count: int | None) -> str:
    if count is None:
        return UNKNOWN
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
