"""A report as one page: the whole of it in figures, the charts, and a table for each dimension."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from penstock.cli.report_charts import STYLE, charts
from penstock.cli.report_figures import (
    GROUPS,
    cancelled,
    count,
    energy,
    in_words,
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
dl { margin: 0; }
@media print { body { max-width: none; } figure, .tiles div { break-inside: avoid; } }
"""


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
    yield "<h2>In words</h2>"
    yield "".join(f"<p>{escaped(about)}: {escaped(words)}.</p>" for about, words in in_words(report))
    yield (
        "<p>GPU time: each second in which devices worked, divided evenly among the calls that held slots on them; "
        "where no devices are configured, the machine counts as one. Loads are their models' own; those of a key or "
        "workload were begun for its calls. - is unknown.</p>"
    )


def _tiles(report: Report) -> str:
    total = report.total
    tiles = [
        ("Requests", count(total.requests)),
        ("Retries among them", count(total.retries)),
        ("Completed", count(total.completed)),
        ("Abandoned", count(total.abandoned)),
        ("Failed", count(total.errored)),
        ("Refused", count(total.rejected)),
        ("Prompt tokens", tokens(total.prompt_tokens)),
        ("Generated tokens", tokens(total.completion_tokens)),
        ("GPU time", span(total.gpu_s)),
        ("Wait, 95 % up to", ms(total.latency_ms.waited_p95)),
        ("Loads", f"{count(total.loads)} in {span(total.load_s)}" if total.loads else "0"),
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
