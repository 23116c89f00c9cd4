"""A comparison as one HTML file that needs nothing else: the curves of every policy, the swaps, the tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from penstock.drawing.frame import Frame, round_step
from penstock.drawing.page import escaped, legend
from penstock.drawing.page import page as whole_page
from penstock.drawing.page import table as drawn_table
from penstock.simulate.comparison import Comparison, Result
from penstock.simulate.curves import Curves, Stay
from penstock.simulate.report import Table, seconds, tables

_WIDTH, _LEFT, _RIGHT = 960, 96, 12
_CURVES, _LANE, _BAR, _AXIS = 150, 16, 10, 22

_STYLE = """
svg { min-width: 640px; }
.queued { fill: var(--wait); } .active { fill: var(--good); }
.offered { fill: none; stroke: var(--text); stroke-width: 1.2; }
.load { fill: var(--load); } .there { fill: var(--there); }
details { margin: 10px 0; } summary { cursor: pointer; color: var(--quiet); }
"""

_LEGEND = (("good", "active"), ("wait", "queued"), ("text", "offered (both together)"), ("load", "loading"),
           ("there", "loaded"))  # fmt: skip


def page(comparisons: Iterable[Comparison]) -> str:
    """Well-formed as XML too."""
    body = "".join(_section(comparison) for comparison in comparisons)
    about = (
        "All times in seconds. The tables show means over the seeds, the curves the first seed; every chart counts "
        "calls at a scale of its own."
    )
    title = "Penstock simulation"
    return whole_page(title, f"<h1>{title}</h1><p>{about}</p>{legend(_LEGEND)}{body}", style=_STYLE)


def _section(comparison: Comparison) -> str:
    first, *rest = tables(comparison)
    span_s = max(result.curves.span_s for result in comparison.results)
    charts = "".join(_chart(result, span_s) for result in comparison.results)
    more = "".join(f"<h3>{escaped(table.title)}</h3>{_table(table)}" for table in rest)
    return (
        f"<section><h2>{escaped(first.title)}</h2><p>{escaped(comparison.about)}</p>{_table(first)}"
        f"<details><summary>by class, key and model</summary>{more}</details>{charts}</section>"
    )


def _table(table: Table) -> str:
    names = 2 if "POLICY" in table.head[1:] else 1
    return drawn_table([cell.lower() for cell in table.head], table.rows, names=names)


def _chart(result: Result, span_s: float) -> str:
    """The curves above, a lane for each model below, over one axis of time."""
    each = result.curves
    most = max(1.0, *each.offered)
    height = _CURVES + _LANE * len(each.models) + _AXIS
    numbers = result.figures
    said = f"mean {seconds(numbers.overall.mean_s)} s, {seconds(numbers.loads.count)} loads"
    frame = Frame(_WIDTH, height, _LEFT, _RIGHT, top=12, bottom=height - _CURVES + 8, most=most)
    parts = [*_grid(frame, span_s), *_areas(each, frame, span_s), *_lanes(each, frame, span_s)]
    return (
        f'<h3>{escaped(result.policy)}</h3><div class="wide"><svg viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escaped(result.policy)}: {said}">{"".join(parts)}</svg></div>'
    )


def _grid(frame: Frame, span_s: float) -> Iterator[str]:
    yield from frame.levels((0.0, frame.most / 2, frame.most), seconds)
    step_s = round_step(span_s / 8)
    for index in range(int(span_s / step_s) + 1):
        x = frame.x(index * step_s / span_s)
        yield f'<text x="{x:.1f}" y="{frame.height - 6}" text-anchor="middle">{seconds(index * step_s)} s</text>'


def _areas(curves: Curves, frame: Frame, span_s: float) -> Iterator[str]:
    """Active below, queued on top of it; their upper edge is what was offered."""
    upper, middle = (
        frame.steps(counts, lambda index: index * curves.step_s / span_s) for counts in (curves.offered, curves.active)
    )
    floor = frame.floor(0.0, curves.span_s / span_s)
    yield f'<polygon class="queued" points="{upper} {floor}"/>'
    yield f'<polygon class="active" points="{middle} {floor}"/>'
    yield f'<polyline class="offered" points="{upper}"/>'


def _lanes(curves: Curves, frame: Frame, span_s: float) -> Iterator[str]:
    for lane, model in enumerate(curves.models):
        y = _CURVES + lane * _LANE
        yield f'<text x="{_LEFT - 8}" y="{y + _BAR - 1}" text-anchor="end">{escaped(model[:16])}</text>'
        for stay in curves.stays:
            if stay.model == model:
                yield from _stay(stay, y, frame, span_s)


def _stay(stay: Stay, y: float, frame: Frame, span_s: float) -> Iterator[str]:
    told = f"<title>{escaped(stay.model)}: loaded {seconds(stay.start_s)}-{seconds(stay.end_s)} s</title>"
    for kind, start_s, end_s in (("load", stay.start_s, stay.ready_s), ("there", stay.ready_s, stay.end_s)):
        if end_s > start_s:
            x, width = frame.x(start_s / span_s), frame.plot_width * (end_s - start_s) / span_s
            size = f'x="{x:.2f}" y="{y}" width="{width:.2f}" height="{_BAR}"'
            yield f'<rect class="{kind}" {size}>{told}</rect>'
