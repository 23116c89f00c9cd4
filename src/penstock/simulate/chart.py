"""A comparison as one HTML file that needs nothing else: the curves of every policy, the swaps, the tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from html import escape

from penstock.simulate.comparison import Comparison, Result
from penstock.simulate.curves import Curves, Stay
from penstock.simulate.report import Table, seconds, tables

_WIDTH, _LEFT, _RIGHT = 960, 96, 12
_CURVES, _LANE, _BAR, _AXIS = 150, 16, 10, 22
_PLOT = _WIDTH - _LEFT - _RIGHT

_STYLE = """
:root { color-scheme: light dark; --ground: light-dark(#f3f5f6, #0c1013); --surface: light-dark(#fff, #13191d);
  --line: light-dark(#e1e6e9, #232c32); --text: light-dark(#12191d, #e7edf0); --quiet: light-dark(#566570, #94a3ad);
  --wait: light-dark(#dd9420, #d9962f); --good: light-dark(#17998a, #2aa897); --load: light-dark(#8b6be0, #8e73e6);
  --there: light-dark(#c3ccd2, #37434b); }
body { background: var(--ground); color: var(--text); font: 14px/1.45 system-ui, sans-serif; margin: 0 auto;
  max-width: 1040px; padding: 24px 16px; }
h1 { font-size: 22px; } h2 { font-size: 18px; margin: 36px 0 4px; } h3 { font-size: 14px; margin: 20px 0 4px; }
p { margin: 4px 0 12px; color: var(--quiet); }
.wide { overflow-x: auto; background: var(--surface); border: 1px solid var(--line); border-radius: 10px;
  padding: 8px 12px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: 3px 8px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { color: var(--quiet); font-weight: 500; font-size: 12px; } tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child, .two td:nth-child(2), .two th:nth-child(2) { text-align: left; }
svg { display: block; width: 100%; min-width: 640px; height: auto; }
svg text { fill: var(--quiet); font: 11px system-ui, sans-serif; }
.grid { stroke: var(--line); } .queued { fill: var(--wait); } .active { fill: var(--good); }
.offered { fill: none; stroke: var(--text); stroke-width: 1.2; }
.load { fill: var(--load); } .there { fill: var(--there); }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin: 0 5px 0 14px; }
details { margin: 10px 0; } summary { cursor: pointer; color: var(--quiet); }
"""

_LEGEND = (
    '<p><span class="key" style="background: var(--good)"></span>active'
    '<span class="key" style="background: var(--wait)"></span>queued'
    '<span class="key" style="background: var(--text); height: 2px"></span>offered (both together)'
    '<span class="key" style="background: var(--load)"></span>loading'
    '<span class="key" style="background: var(--there)"></span>loaded</p>'
)


def page(comparisons: Iterable[Comparison]) -> str:
    """Well-formed as XML too."""
    body = "".join(_section(comparison) for comparison in comparisons)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>Penstock simulation</title><style>{_STYLE}</style></head><body>"
        f"<h1>Penstock simulation</h1><p>All times in seconds. The tables show means over the seeds, the curves the "
        f"first seed; every chart counts calls at a scale of its own.</p>{_LEGEND}{body}</body></html>\n"
    )


def _section(comparison: Comparison) -> str:
    first, *rest = tables(comparison)
    span_s = max(result.curves.span_s for result in comparison.results)
    charts = "".join(_chart(result, span_s) for result in comparison.results)
    more = "".join(f"<h3>{escape(table.title)}</h3>{_table(table)}" for table in rest)
    return (
        f"<section><h2>{escape(first.title)}</h2><p>{escape(comparison.about)}</p>{_table(first)}"
        f"<details><summary>by class, key and model</summary>{more}</details>{charts}</section>"
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell.lower())}</th>" for cell in table.head)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    kind = ' class="two"' if "POLICY" in table.head[1:] else ""
    return f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _chart(result: Result, span_s: float) -> str:
    """The curves above, a lane for each model below, over one axis of time."""
    each = result.curves
    most = max(1.0, *each.offered)
    height = _CURVES + _LANE * len(each.models) + _AXIS
    numbers = result.figures
    said = f"mean {seconds(numbers.overall.mean_s)} s, {seconds(numbers.loads.count)} loads"
    parts = [*_grid(span_s, most, height), *_areas(each, span_s, most), *_lanes(each, span_s)]
    return (
        f'<h3>{escape(result.policy)}</h3><div class="wide"><svg viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(result.policy)}: {said}">{"".join(parts)}</svg></div>'
    )


def _grid(span_s: float, most: float, height: int) -> Iterator[str]:
    for part in (0.0, 0.5, 1.0):
        y = _CURVES - 8 - part * (_CURVES - 20)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{seconds(part * most)}</text>'
    step_s = _round_step(span_s / 8)
    for index in range(int(span_s / step_s) + 1):
        x = _x(index * step_s, span_s)
        yield f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle">{seconds(index * step_s)} s</text>'


def _round_step(least: float) -> float:
    """The next 1, 2 or 5 with zeros."""
    unit = 10.0 ** math.floor(math.log10(least))
    return next(unit * times for times in (1, 2, 5, 10) if unit * times >= least)


def _areas(curves: Curves, span_s: float, most: float) -> Iterator[str]:
    """Active below, queued on top of it; their upper edge is what was offered."""
    upper = _points(curves.offered, curves.step_s, span_s, most)
    middle = _points(curves.active, curves.step_s, span_s, most)
    floor = f"{_x(curves.span_s, span_s):.1f},{_y(0, most):.1f} {_LEFT},{_y(0, most):.1f}"
    yield f'<polygon class="queued" points="{upper} {floor}"/>'
    yield f'<polygon class="active" points="{middle} {floor}"/>'
    yield f'<polyline class="offered" points="{upper}"/>'


def _points(counts: Iterable[float], step_s: float, span_s: float, most: float) -> str:
    """A flat piece for each step."""
    points = []
    for index, count in enumerate(counts):
        y = _y(count, most)
        points.append(f"{_x(index * step_s, span_s):.1f},{y:.1f} {_x((index + 1) * step_s, span_s):.1f},{y:.1f}")
    return " ".join(points)


def _lanes(curves: Curves, span_s: float) -> Iterator[str]:
    for lane, model in enumerate(curves.models):
        y = _CURVES + lane * _LANE
        yield f'<text x="{_LEFT - 8}" y="{y + _BAR - 1}" text-anchor="end">{escape(model[:16])}</text>'
        for stay in curves.stays:
            if stay.model == model:
                yield from _stay(stay, y, span_s)


def _stay(stay: Stay, y: float, span_s: float) -> Iterator[str]:
    told = f"<title>{escape(stay.model)}: loaded {seconds(stay.start_s)}-{seconds(stay.end_s)} s</title>"
    for kind, start_s, end_s in (("load", stay.start_s, stay.ready_s), ("there", stay.ready_s, stay.end_s)):
        if end_s > start_s:
            x, width = _x(start_s, span_s), _PLOT * (end_s - start_s) / span_s
            size = f'x="{x:.2f}" y="{y}" width="{width:.2f}" height="{_BAR}"'
            yield f'<rect class="{kind}" {size}>{told}</rect>'


def _x(at_s: float, span_s: float) -> float:
    return _LEFT + _PLOT * at_s / span_s


def _y(count: float, most: float) -> float:
    return _CURVES - 8 - (_CURVES - 20) * count / most
