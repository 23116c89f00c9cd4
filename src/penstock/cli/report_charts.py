"""The charts of a report, as SVG: the three curves, calls by outcome, tokens by model, waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from penstock.cli.report_figures import UNKNOWN, cancelled, compact, moment, ms, span, still_open, tokens
from penstock.drawing.frame import Frame, round_levels
from penstock.drawing.page import escaped, legend
from penstock.store.queries.reporting import Part, Report, Spent

WIDTH, HEIGHT = 520, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 12, 26
_GAP_SHARE = 0.2
"""Of the room for a bar that is left empty beside it."""

MAX_MODELS = 10
_ROW, _THICK = 38, 12

_MAX_TICKS = 6
_TICKS_S = (60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400, 2 * 86_400, 7 * 86_400, 14 * 86_400)
_LONGEST_TICK_S = 56 * 86_400
_DAY_S = 86_400
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

STYLE = """
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 16px; }
figure { margin: 0; background: var(--surface); border: 1px solid var(--line); border-radius: 10px;
  padding: 10px 12px; min-width: 0; }
figcaption { font-weight: 600; } figure p { margin: 2px 0 6px; font-size: 12px; }
@media (max-width: 560px) { svg text { font-size: 15px; } }
.offered { fill: none; stroke: var(--text); stroke-width: 1.2; } .name-of { fill: var(--text); }
.hover { fill: transparent; } .hover:hover { fill: var(--quiet); fill-opacity: .15; }
.good { fill: var(--good); } .wait { fill: var(--wait); } .bad { fill: var(--bad); } .load { fill: var(--load); }
.prompt { fill: var(--prompt); } .there { fill: var(--there); } .other { fill: var(--other); }
"""

OUTCOMES: tuple[tuple[str, str, Callable[[Part], int]], ...] = (
    ("good", "completed", lambda part: part.completed),
    ("wait", "abandoned", lambda part: part.abandoned),
    ("bad", "failed", lambda part: part.errored),
    ("other", "refused", lambda part: part.rejected),
    ("there", "cancelled", cancelled),
    ("prompt", "not over yet", still_open),
)
"""Ink, name and number, as they stand on each other."""


def charts(report: Report) -> str:
    drawn = (_curves(report), _calls(report), _tokens(report), _waits(report))
    return f'<div class="charts">{"".join(drawn)}</div>'


# The three curves.


def _curves(report: Report) -> str:
    timeline = report.timeline
    totals, starts = timeline.totals, timeline.buckets
    since, until = float(starts[0]), max(report.window.until, starts[-1] + 1.0)
    most = max(totals.offered) or 1.0
    frame = _frame(most)

    def share(index: int) -> float:
        at = starts[index] if index < len(starts) else until
        return (at - since) / (until - since)

    upper, middle = frame.steps(totals.offered, share), frame.steps(totals.active, share)
    floor = frame.floor(0.0, 1.0)
    parts = [
        *frame.levels(_levels(most), compact),
        f'<polygon class="wait" points="{upper} {floor}"/>',
        f'<polygon class="good" points="{middle} {floor}"/>',
        f'<polyline class="offered" points="{upper}"/>',
        *_times(frame, since, until),
    ]
    for index, start in enumerate(starts):
        said = (
            f"{moment(start)}: {totals.offered[index]:.2f} offered = {totals.active[index]:.2f} active + "
            f"{totals.queued[index]:.2f} queued"
        )
        parts.append(_hover(frame, share(index), share(index + 1), said))
    about = f"Calls at a time: means over {_width_in_words(timeline.bucket_s)}, of the moments themselves."
    inks = (("good", "active"), ("wait", "queued"), ("text", "offered (both together)"))
    return _figure("Offered, active, queued", about, legend(inks), frame, parts)


# Calls by outcome.


def _calls(report: Report) -> str:
    parts = report.parts
    shown = [each for each in OUTCOMES if each[1] == "completed" or any(each[2](part) for part in parts)]
    most = max(1, *(part.requests for part in parts))
    frame = _frame(most)
    drawn = list(frame.levels(_levels(most, least_step=1.0), compact))
    for index, part in enumerate(parts):
        below = 0
        for ink, _, number_of in shown:
            number = number_of(part)
            if number:
                drawn.append(_bar(frame, ink, index, len(parts), below, below + number))
            below += number
        numbers = ", ".join(f"{number_of(part)} {name}" for _, name, number_of in shown)
        said = f"{moment(part.since)} to {moment(part.until)}: {part.requests} requests: {numbers}"
        drawn.append(_hover(frame, index / len(parts), (index + 1) / len(parts), said))
    drawn += _bar_labels(frame, report)
    about = f"Requests by when they were received, per {_unit(report.part_s)}."
    inks = [(ink, name) for ink, name, _ in shown]
    return _figure(f"Calls per {_unit(report.part_s)}, by outcome", about, legend(inks), frame, drawn)


# Tokens by model.


def _tokens(report: Report) -> str:
    rows = sorted((row for row in report.models if _all_tokens(row)), key=_all_tokens, reverse=True)[:MAX_MODELS]
    inks = (("prompt", "prompt"), ("there", "prompt, cached"), ("good", "generated"))
    most = max((_all_tokens(row) for row in rows), default=1)
    frame = Frame(WIDTH, max(HEIGHT, _ROW * len(rows) + 8), 4, 4, 0, 0, most=most)
    drawn: list[str] = []
    for index, row in enumerate(rows):
        drawn += _token_row(frame, row, 18 + index * _ROW, most)
    if not rows:
        drawn.append(f'<text x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle">No engine told any.</text>')
    about = "As the engines count them."
    if (more := sum(_all_tokens(row) > 0 for row in report.models) - len(rows)) > 0:
        about += f" The {MAX_MODELS} models with the most; {more} more are in the table."
    return _figure("Tokens by model", about, legend(inks), frame, drawn)


def _all_tokens(row: Spent) -> int:
    return (row.prompt_tokens or 0) + (row.completion_tokens or 0)


def _token_row(frame: Frame, row: Spent, y: int, most: int) -> Iterator[str]:
    cached = min(row.cached_tokens or 0, row.prompt_tokens or 0)
    computed = (row.prompt_tokens or 0) - cached
    said = (
        f"{row.name}: {tokens(row.prompt_tokens)} prompt, {tokens(row.cached_tokens)} of it cached, "
        f"{tokens(row.completion_tokens)} generated"
    )
    name = row.name if len(row.name) <= 36 else row.name[:35] + "…"
    yield f'<text class="name-of" x="{frame.x(0)}" y="{y}">{escaped(name)}</text>'
    yield f'<text x="{frame.x(1)}" y="{y}" text-anchor="end">{compact(_all_tokens(row))}</text>'
    left = 0
    for ink, number in (("prompt", computed), ("there", cached), ("good", row.completion_tokens or 0)):
        x, width = frame.x(left / most), frame.plot_width * number / most
        yield f'<rect class="{ink}" x="{x:.1f}" y="{y + 5}" width="{width:.1f}" height="{_THICK}"/>'
        left += number
    whole = f'x="0" y="{y - 13}" width="{WIDTH}" height="{_ROW - 4}"'
    yield f'<rect class="hover" {whole}><title>{escaped(said)}</title></rect>'


# Waits.


def _waits(report: Report) -> str:
    parts = report.parts
    known = [value for part in parts for value in (part.latency_ms.waited_p50, part.latency_ms.waited_p95) if value]
    most = max(known, default=1000.0) / 1000
    frame = _frame(most)
    drawn = list(frame.levels(_levels(most), span))
    for index, part in enumerate(parts):
        latency = part.latency_ms
        for ink, value in (("there", latency.waited_p95), ("wait", latency.waited_p50)):
            if value:
                drawn.append(_bar(frame, ink, index, len(parts), 0.0, value / 1000))
        said = (
            f"{moment(part.since)} to {moment(part.until)}: half waited up to {ms(latency.waited_p50)}, 95 % up to "
            f"{ms(latency.waited_p95)}, of {latency.samples['waited']}"
        ).replace(f"to {UNKNOWN}", "to an unknown time")
        drawn.append(_hover(frame, index / len(parts), (index + 1) / len(parts), said))
    drawn += _bar_labels(frame, report)
    about = "Time in the queue, also of those that gave up in it. The 95th percentile needs 20 of them."
    inks = (("wait", "half of them waited no longer"), ("there", "95 % waited no longer"))
    return _figure("Waits", about, legend(inks), frame, drawn)


# What they have in common.


def _frame(most: float) -> Frame:
    return Frame(WIDTH, HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM, most=_levels(most)[-1])


def _levels(most: float, *, least_step: float = 0.0) -> list[float]:
    return round_levels(most, least_step=least_step)


def _figure(title: str, about: str, said: str, frame: Frame, parts: Sequence[str]) -> str:
    return (
        f"<figure><figcaption>{escaped(title)}</figcaption><p>{escaped(about)}</p>{said}"
        f'<svg viewBox="0 0 {frame.width} {frame.height}" role="img" aria-label="{escaped(title)}">'
        f"{''.join(parts)}</svg></figure>"
    )


def _bar(frame: Frame, ink: str, index: int, count: int, low: float, high: float) -> str:
    room = frame.plot_width / count
    x, width = frame.left + room * (index + _GAP_SHARE / 2), room * (1 - _GAP_SHARE)
    y, height = frame.y(high), frame.y(low) - frame.y(high)
    return f'<rect class="{ink}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _hover(frame: Frame, first: float, last: float, said: str) -> str:
    x, width = frame.x(first), frame.x(last) - frame.x(first)
    room = f'x="{x:.1f}" y="{frame.top}" width="{width:.1f}" height="{frame.height - frame.top - frame.bottom}"'
    return f'<rect class="hover" {room}><title>{escaped(said)}</title></rect>'


def _times(frame: Frame, since: float, until: float) -> Iterator[str]:
    """Where days or round hours begin; UTC."""
    step_s = next((step for step in _TICKS_S if (until - since) / step <= _MAX_TICKS), _LONGEST_TICK_S)
    at = -int(-since // step_s) * step_s
    while at <= until:
        yield _label(frame, (at - since) / (until - since), _named(at, is_day=step_s >= _DAY_S))
        at += step_s


def _bar_labels(frame: Frame, report: Report) -> Iterator[str]:
    parts = report.parts
    every = -(-len(parts) // _MAX_TICKS)
    for index in range(0, len(parts), every):
        name = _named(parts[index].since, is_day=report.part_s >= _DAY_S)
        yield _label(frame, (index + 0.5) / len(parts), name)


def _label(frame: Frame, share: float, text: str) -> str:
    return f'<text x="{frame.x(share):.1f}" y="{frame.height - 8}" text-anchor="middle">{text}</text>'


def _named(at: float, *, is_day: bool) -> str:
    time = datetime.fromtimestamp(at, UTC)
    return f"{time.day} {_MONTHS[time.month - 1]}" if is_day else f"{time:%H:%M}"


def _unit(width_s: int) -> str:
    return {60: "minute", 3600: "hour", _DAY_S: "day", 7 * _DAY_S: "week"}.get(width_s) or _width_in_words(width_s)


def _width_in_words(width_s: int) -> str:
    for unit_s, name in ((_DAY_S, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if width_s % unit_s == 0:
            number = width_s // unit_s
            return f"{number} {name}{'' if number == 1 else 's'}"
    raise AssertionError("seconds are whole")
