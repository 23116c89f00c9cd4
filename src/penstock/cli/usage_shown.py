"""`penstock usage` with a running gateway: what was used, as tables or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from penstock.cli import tables
from penstock.cli.asking import asked

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
    path = f"/usage/{what.subject}?{urlencode(_query(what))}"
    found = asked(url, key, lambda client: client.get(path))
    if as_json:
        print(json.dumps(found, indent=2))
        return 0
    _SHOW[what.subject](found)
    return 0


def _query(what: Shown) -> dict[str, str | int]:
    """What is not heeded there (which key a load is of, when health is) is not asked."""
    if what.subject == "health":
        return {}
    chosen = {"last": what.last, "model": what.model}
    if what.subject != "loads":
        chosen |= {"key": what.of_key, "workload": what.workload}
    query: dict[str, str | int] = {name: value for name, value in chosen.items() if value is not None}
    return query | ({"limit": what.limit} if what.subject in ("requests", "loads") else {})


def _show_usage(name: str, rows: Sequence[dict[str, Any]]) -> None:
    head = (
        name.upper(), "REQUESTS", "RETRIES", "COMPLETED", "ABANDONED", "FAILED", "REFUSED", "NOW", "PROMPT", "CACHED",
        "GENERATED", "SERVICE", "WAIT P50", "WAIT P95", "TTFT P50",
    )  # fmt: skip
    tables.show_table(head, (usage_row(name, row) for row in rows))


def usage_row(name: str, row: dict[str, Any]) -> list[str]:
    latency = row["latency_ms"]
    return [
        row[name],
        *(str(row[count]) for count in ("requests", "retries", "completed", "abandoned", "errored", "rejected")),
        f"{row['running']}+{row['waiting']}" if row["running"] or row["waiting"] else "",
        *(_count(row[tokens]) for tokens in ("prompt_tokens", "cached_tokens", "completion_tokens")),
        f"{row['service_s']:.0f} s",
        *(_ms(latency[each]) for each in ("waited_p50", "waited_p95", "ttft_p50")),
    ]


def _show_requests(found: dict[str, Any]) -> None:
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
    )  # fmt: skip


def _show_loads(found: dict[str, Any]) -> None:
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
    )  # fmt: skip


def _show_health(found: dict[str, Any]) -> None:
    print(f"{found['verdict']}: {found['in_flight']} running, {found['waiting']} waiting")
    for line in (*found["reasons"], *found["notes"]):
        print(f"  {line}")


_SHOW = {
    "models": lambda found: _show_usage("model", found["models"]),
    "consumers": lambda found: _show_usage("key", found["consumers"]),
    "workloads": lambda found: _show_usage("workload", found["workloads"]),
    "requests": _show_requests,
    "loads": _show_loads,
    "health": _show_health,
}


def _count(value: int | None) -> str:
    return UNKNOWN if value is None else str(value)


def _ms(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"
