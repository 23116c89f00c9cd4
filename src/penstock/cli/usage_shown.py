"""`penstock usage` with a running gateway: what was used, as tables or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

from penstock.cli import shapes, tables
from penstock.cli.asking import asked
from penstock.drawing.names import shown_name

Shape = TypeVar("Shape")

UNKNOWN = tables.UNKNOWN


@dataclass(frozen=True, slots=True)
class Shown:
    """The command line: what, of which calls; None = all."""

    subject: str = "models"
    last: str = "24h"
    model: str | None = None
    of_key: str | None = None
    workload: str | None = None
    limit: int = 50


def show(url: str, key: str | None, what: Shown, *, as_json: bool) -> int:
    """Ask a running gateway and print; gives the exit code."""
    _SUBJECTS[what.subject](Asked(f"/usage/{what.subject}?{urlencode(_query(what))}", url, key, as_json))
    return 0


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and how its answer is to be shown."""

    path: str
    url: str
    key: str | None
    as_json: bool

    def answer(self, shape: type[Shape], show: Callable[[Shape], None]) -> None:
        """Ask and print. Raises typer.Exit."""
        found = asked(self.url, self.key, lambda client: client.get(self.path, shape))
        if self.as_json:
            print(json.dumps(found, indent=2))
        else:
            show(found)


def _query(what: Shown) -> dict[str, str | int]:
    """What is not heeded there (which key a load is of, when health is) is not asked."""
    if what.subject == "health":
        return {}
    chosen = {"last": what.last, "model": what.model}
    if what.subject != "loads":
        chosen |= {"key": what.of_key, "workload": what.workload}
    query: dict[str, str | int] = {name: value for name, value in chosen.items() if value is not None}
    return query | ({"limit": what.limit} if what.subject in ("requests", "loads") else {})


def _show_usage(name: str, rows: Sequence[tuple[str, shapes.UsageRow]]) -> None:
    head = (
        name.upper(), "REQUESTS", "RETRIES", "COMPLETED", "ABANDONED", "FAILED", "REFUSED", "NOW", "PROMPT", "CACHED",
        "GENERATED", "SERVICE", "WAIT P50", "WAIT P95", "TTFT P50",
    )  # fmt: skip
    tables.show_table(head, (usage_row(whose, row) for whose, row in rows), nothing="no calls in that time")


def usage_row(whose: str, row: shapes.UsageRow) -> list[str]:
    latency = row["latency_ms"]
    return [
        whose,
        *map(
            str, (row["requests"], row["retries"], row["completed"], row["abandoned"], row["errored"], row["rejected"])
        ),
        f"{row['running']}+{row['waiting']}" if row["running"] or row["waiting"] else "",
        *map(_count, (row["prompt_tokens"], row["cached_tokens"], row["completion_tokens"])),
        f"{row['service_s']:.0f} s",
        *map(_ms, (latency["waited_p50"], latency["waited_p95"], latency["ttft_p50"])),
    ]


def _show_requests(found: shapes.Requests) -> None:
    head = ("TIME", "MODEL", "KEY", "OUTCOME", "WAIT", "TTFT", "TOTAL", "PROMPT", "GENERATED", "WAITED FOR")
    tables.show_table(
        head,
        (
            [
                row["time"], row["model"] or UNKNOWN, row["consumer"], row["outcome"] or row["phase"] or UNKNOWN,
                _ms(row["queue_wait"]), _ms(row["ttft"]), _ms(row["total"]), _count(row["prompt_tokens"]),
                _count(row["completion_tokens"]), row["wait_reason"] or UNKNOWN,
            ]
            for row in found["requests"]
        ),
        nothing="no calls in that time",
    )  # fmt: skip


def _show_loads(found: shapes.Loads) -> None:
    tables.show_table(
        ("MODEL", "WHY", "OUTCOME", "SECONDS", "CALLS WAITING", "STOPPED FOR IT"),
        (
            [
                row["model"], row["cause"] or row["source"], row["outcome"] or "loading",
                UNKNOWN if row["done_s"] is None else f"{row['done_s']:.1f}", _count(row["calls_waiting"]),
                ", ".join(row["victims"]),
            ]
            for row in found["loads"]
        ),
        nothing="no loads in that time",
    )  # fmt: skip


def _show_health(found: shapes.Health) -> None:
    print(f"{shown_name(found['verdict'])}: {found['in_flight']} running, {found['waiting']} waiting")
    for line in (*found["reasons"], *found["notes"]):
        print(f"  {shown_name(line)}")


_SUBJECTS: dict[str, Callable[[Asked], None]] = {
    "models": lambda ask: ask.answer(
        shapes.Models, lambda found: _show_usage("model", [(row["model"], row) for row in found["models"]])
    ),
    "consumers": lambda ask: ask.answer(
        shapes.Consumers, lambda found: _show_usage("key", [(row["key"], row) for row in found["consumers"]])
    ),
    "workloads": lambda ask: ask.answer(
        shapes.Workloads, lambda found: _show_usage("workload", [(row["workload"], row) for row in found["workloads"]])
    ),
    "requests": lambda ask: ask.answer(shapes.Requests, _show_requests),
    "loads": lambda ask: ask.answer(shapes.Loads, _show_loads),
    "health": lambda ask: ask.answer(shapes.Health, _show_health),
}


def _count(value: int | None) -> str:
    return UNKNOWN if value is None else str(value)


def _ms(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"
