"""A comparison as tables for people and as JSON for machines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from penstock.simulate.comparison import Comparison, Result
from penstock.simulate.figures import Loads, Times

Json = dict[str, object]

UNKNOWN = "-"


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


_TIMES_HEAD = ("CALLS", "MEAN", "P50", "P99", "WAIT P50", "WAIT P99", "LONGEST WAIT")


def tables(comparison: Comparison) -> Iterator[Table]:
    """The policies beside each other: overall, then by class, key and model. Seconds; means over the seeds."""
    results = comparison.results
    seeds = ", ".join(map(str, results[0].seeds))
    yield Table(
        f"{comparison.world} (seed{'s' if len(results[0].seeds) > 1 else ''} {seeds})",
        ("POLICY", *_TIMES_HEAD, "WEIGHTED", "LOADS", "IN LOADS", "FAIRNESS", "UNSERVED"),
        tuple(_overall(result) for result in results),
    )
    yield _grouped("CLASS", [(result.policy, result.figures.by_class) for result in results])
    yield _grouped("KEY", [(result.policy, result.figures.by_key) for result in results])
    loads = {(result.policy, name): each for result in results for name, each in result.figures.loads_by_model.items()}
    yield _grouped("MODEL", [(result.policy, result.figures.by_model) for result in results], loads)


def as_text(comparison: Comparison) -> str:
    """The tables for a terminal; names stand on the left, numbers on the right."""
    return "\n".join(_text(table) for table in tables(comparison))


def _text(table: Table) -> str:
    names = 2 if "POLICY" in table.head[1:] else 1
    widths = [max(map(len, column)) for column in zip(table.head, *table.rows, strict=True)]
    lines = [table.title]
    for row in (table.head, *table.rows):
        cells = [
            cell.ljust(width) if index < names else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def as_json(comparisons: Iterable[Comparison]) -> list[Json]:
    """All figures, without the curves. What is unknown is null."""
    return [
        {
            "scenario": comparison.world,
            "about": comparison.about,
            "policies": {
                result.policy: {"seeds": list(result.seeds), **_sound(asdict(result.figures))}
                for result in comparison.results
            },
        }
        for comparison in comparisons
    ]


def seconds(value: float | None) -> str:
    """Three digits are enough for a simulation."""
    if value is None or math.isnan(value):
        return UNKNOWN
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 99.95 else f"{value:.3g}"


def _overall(result: Result) -> tuple[str, ...]:
    numbers = result.figures
    fairness = UNKNOWN if numbers.fairness is None else f"{numbers.fairness:.3f}"
    more = (seconds(numbers.weighted_s), *_loads(numbers.loads), fairness, seconds(numbers.unserved))
    return (result.policy, *_times(numbers.overall), *more)


def _grouped(
    what: str, groups: Sequence[tuple[str, dict[str, Times]]], loads: dict[tuple[str, str], Loads] | None = None
) -> Table:
    names = dict.fromkeys(name for _, by_name in groups for name in by_name)
    rows = [
        (name, policy, *_times(by_name[name]), *(_loads(loads[policy, name]) if loads is not None else ()))
        for name in names
        for policy, by_name in groups
        if name in by_name
    ]
    more = () if loads is None else ("LOADS", "IN LOADS")
    return Table(f"by {what.lower()}", (what, "POLICY", *_TIMES_HEAD, *more), tuple(rows))


def _times(times: Times) -> tuple[str, ...]:
    spans = (times.mean_s, times.p50_s, times.p99_s, times.wait_p50_s, times.wait_p99_s, times.longest_wait_s)
    return (f"{times.calls:.0f}", *map(seconds, spans))


def _loads(loads: Loads) -> tuple[str, str]:
    return seconds(loads.count), seconds(loads.seconds)


def _sound(value: object) -> Json:
    """JSON knows no nan."""
    sound = _without_nan(value)
    assert isinstance(sound, dict)
    return sound


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
