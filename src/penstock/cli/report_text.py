"""A report as lines of text, no wider than there is room for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from textwrap import wrap

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from penstock.cli.report_figures import GROUPS, Column, Told, in_words, moment, notes, nothing, rows_of, told
from penstock.drawing.names import shown_name
from penstock.store.queries.reporting import Report

MAX_ROWS = 25
NAME_COLUMNS = 24
WIDTH_OF_A_PIPE = 120
_GAP = "  "
_ABOUT = 10

PLAIN, STRONG = "", "bold"


def show(report: Report, by: Sequence[str]) -> None:
    """On standard output; without colours where that is no terminal."""
    console = Console()
    for style, line in lines(report, by, room(console)):
        console.print(Text(line, style=style), soft_wrap=True)


def room(console: Console) -> int:
    """Columns."""
    return console.width if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH_OF_A_PIPE


def lines(report: Report, by: Sequence[str], width: int) -> Iterator[tuple[str, str]]:
    """Each with its style."""
    window = report.window
    last = "" if window.last is None else f" (the last {window.last})"
    yield STRONG, f"Penstock, {moment(window.since)} to {moment(window.until)}{last}"
    yield PLAIN, ""
    if (said := nothing(report)) is not None:
        yield PLAIN, said
        return
    for about, words in in_words(report):
        first, *more = wrap(words, width - _ABOUT)
        yield PLAIN, f"{about:<{_ABOUT}}{first}"
        yield from ((PLAIN, " " * _ABOUT + line) for line in more)
    for dimension in by:
        yield from _dimension(report, dimension, width)
    for note in notes(report):
        yield PLAIN, ""
        yield from ((PLAIN, line) for line in wrap(note, width))


def _dimension(report: Report, dimension: str, width: int) -> Iterator[tuple[str, str]]:
    rows = rows_of(report, dimension)
    for columns in fitting(report, dimension, width):
        yield PLAIN, ""
        head, *body = table_lines(told(dimension, rows[:MAX_ROWS], columns))
        yield STRONG, head
        yield from ((PLAIN, line) for line in body)
    if len(rows) > MAX_ROWS:
        yield PLAIN, f"and {len(rows) - MAX_ROWS} more: --json has all of them"


def fitting(report: Report, dimension: str, width: int) -> list[tuple[Column, ...]]:
    """The groups of columns, as many beside each other as there is room for; one that is too wide is divided."""
    rows = rows_of(report, dimension)[:MAX_ROWS]

    def fits(columns: tuple[Column, ...]) -> bool:
        return _width(told(dimension, rows, columns)) <= width

    tables: list[tuple[Column, ...]] = []
    for group in GROUPS:
        if tables and fits((*tables[-1], *group)):
            tables[-1] = (*tables[-1], *group)
        elif fits(group):
            tables.append(group)
        else:
            tables += _divided(group, fits)
    return tables


def _divided(group: tuple[Column, ...], fits: Callable[[tuple[Column, ...]], bool]) -> list[tuple[Column, ...]]:
    tables: list[tuple[Column, ...]] = [group[:1]]
    for column in group[1:]:
        if fits((*tables[-1], column)):
            tables[-1] = (*tables[-1], column)
        else:
            tables.append((column,))
    return tables


def _width(table: Told) -> int:
    return max(map(cell_len, table_lines(table)))


def table_lines(table: Told) -> list[str]:
    """Names stand on the left, numbers on the right."""
    rows = [table.head, *((_named(row[0]), *row[1:]) for row in table.rows)]
    widths = [max(cell_len(row[at]) for row in rows) for at in range(len(table.head))]
    return [_GAP.join(_aligned(row, widths)).rstrip() for row in rows]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    yield set_cell_size(row[0], widths[0])
    for cell, width in zip(row[1:], widths[1:], strict=True):
        yield cell.rjust(width)


def _named(name: str) -> str:
    shown = shown_name(name)
    return shown if cell_len(shown) <= NAME_COLUMNS else set_cell_size(shown, NAME_COLUMNS - 1) + "…"
