"""A report as one page: the whole of it in figures, the charts, and a table for each dimension."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from penstock.cli.report_charts import STYLE, charts
from penstock.cli.report_figures import (
    GROUPS,
    cancelled,
    count,
    energy,
    moment,
    ms,
    notes,
    nothing,
    rows_of,
    span,
    still_open,
    tokens,
    told,
)
from penstock.drawing.page import escaped, page, table
from penstock.store.queries.reporting import Report

MAX_ROWS = 200

_STYLE = """
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); gap: 8px; margin: 16px 0; }
.tiles div { background: var(--surface); border: 1px solid var(--line); border-radius: 10px; padding: 8px 12px; }
.tiles dt { color: var(--quiet); font-size: 12px; } .tiles dd { margin: 0; font-size: 20px; font-weight: 600;
  font-variant-numeric: tabular-nums; }
body { max-width: 1240px; } td, th { font-size: 13px; padding: 3px 6px; }
.name { position: sticky; left: -12px; padding-left: 12px; background: var(--surface); max-width: min(260px, 40vw); }
ul { color: var(--quiet); padding-left: 20px; }
@media print { body { max-width: none; } figure, .tiles div { break-inside: avoid; } }
"""

_ABOUT = (
    "<h2>What the words mean</h2><ul>"
    "<li>Requests are counted in the time in which they were received; failed ones by their engine, a time limit or a "
    "crash. - is unknown, which is never 0.</li>"
    "<li>GPU time: each second in which devices worked, divided evenly among the calls that held slots on them. Where "
    "no GPU is configured, the machine counts as one.</li>"
    "<li>Waits are times in the queue, also of those that gave up in it; for loads: the part in which a model was "
    "being loaded.</li>"
    "<li>Loads are their models' own, whoever caused them; those of a key or a workload were begun for its calls.</li>"
    "</ul>"
)


def page_of(report: Report, by: Sequence[str]) -> str:
    window = report.window
    title = f"Penstock, {moment(window.since)} to {moment(window.until)}"
    return page(title, "".join(_body(report, by)), style=STYLE + _STYLE)


def _body(report: Report, by: Sequence[str]) -> Iterator[str]:
    window = report.window
    yield "<h1>Penstock report</h1>"
    yield f"<p>{moment(window.since)} to {moment(window.until)}. Days and hours are UTC.</p>"
    if (said := nothing(report)) is not None:
        yield f"<p>{escaped(said)}</p>"
        return
    yield from (f"<p>{escaped(note)}</p>" for note in notes(report))
    yield _tiles(report)
    yield charts(report)
    for dimension in by:
        yield from _section(report, dimension)
    yield _ABOUT


def _tiles(report: Report) -> str:
    total = report.total
    tiles = [
        ("Requests", count(total.requests)),
        ("Retries of them", count(total.retries)),
        ("Completed", count(total.completed)),
        ("Abandoned", count(total.abandoned)),
        ("Failed", count(total.errored)),
        ("Refused", count(total.rejected)),
        ("Prompt tokens", tokens(total.prompt_tokens)),
        ("Generated tokens", tokens(total.completion_tokens)),
        ("GPU time", span(total.gpu_s)),
        ("95 % waited up to", ms(total.latency_ms.waited_p95)),
        (f"Loads ({span(total.load_s)})", count(total.loads)),
        ("Energy", energy(total.energy_j)),
    ]
    tiles += [
        (name, count(number))
        for name, number in (("Cancelled", cancelled(total)), ("Not over yet", still_open(total)))
        if number
    ]
    shown = "".join(f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>" for name, value in tiles)
    return f'<dl class="tiles">{shown}</dl>'


def _section(report: Report, dimension: str) -> Iterator[str]:
    rows = rows_of(report, dimension)
    shown = told(dimension, rows[:MAX_ROWS], [column for group in GROUPS for column in group])
    yield f"<h2>By {dimension}</h2>"
    yield table([head.lower() for head in shown.head], shown.rows)
    if len(rows) > MAX_ROWS:
        yield f"<p>And {len(rows) - MAX_ROWS} more: penstock report --json has all of them.</p>"
