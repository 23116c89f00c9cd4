"""Lists for people, on a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence

from penstock.cli.shapes import Call, Model
from penstock.drawing.names import shown_name

UNKNOWN = "-"
WIDE = 1000
"""Characters of a line where nobody says how many fit: what reads a pipe wants whole lines."""
ID_END = 12
"""Characters of a call's id that are shown: its end, as it begins with the time, which calls have in common."""


def show_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, nothing: str = "nothing to show") -> None:
    """nothing: what is said instead of a table without rows."""
    if not (rows := list(rows)):
        print(nothing)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*head, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*map(shown_name, row))
    has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    Console(markup=False, width=None if has_width else WIDE).print(table)  # a name in brackets is a name


def troubles(models: Iterable[Model]) -> list[str]:
    """A line for each model that is in trouble: what it failed for, how long its breaker is open."""
    said = []
    for model in models:
        if model["failure"]:
            said.append(f"{model['name']} {model['phase']}: {model['failure']}")
        if model["breaker_until"] is not None:
            said.append(
                f"{model['name']} rests for {_span(max(0.0, model['breaker_until'] - time.time()))}: breaker open"
            )
    return [shown_name(line) for line in said]


def model_row(model: Model) -> list[str]:
    slots = UNKNOWN if model["slots"] is None else str(model["slots"])
    kept = [word for word, is_so in (("pinned", model["is_pinned"]), ("paused", model["is_paused"])) if is_so]
    return [
        model["name"],
        ", ".join([model["phase"], *kept]),
        _span(time.time() - model["since"]) if model["phase"] != "stopped" else UNKNOWN,
        f"{model['running']}/{slots}",
        str(model["waiting"]),
        _size(model["memory_bytes"]),
        ", ".join(model["aliases"]),
    ]


def call_row(call: Call) -> list[str]:
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


def waiting_row(call: Call) -> list[str]:
    why = call["wait_reason"] or ""
    return [
        call["id"][-ID_END:],
        call["model"] or UNKNOWN,
        str(call["position"]),
        call["key"] or UNKNOWN,
        call["priority"] or UNKNOWN,
        _span(time.time() - call["received_at"]),
        f"{why} {call['wait_for'] or ''}".strip(),
        UNKNOWN if call["estimate_s"] is None else _span(call["estimate_s"]),
        UNKNOWN if call["bound_s"] is None else _span(call["bound_s"]),
    ]


def _span(seconds: float) -> str:
    if 0.0 < seconds < 0.05:
        return "< 0.1 s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _size(count: int | None) -> str:
    if count is None:
        return UNKNOWN
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
