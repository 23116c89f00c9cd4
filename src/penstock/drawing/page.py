"""One HTML page that needs nothing else: no script, no network, no other file. Light and dark, for wide and narrow.

Everything that is shown goes through `escaped`: names were chosen by others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from penstock.drawing.names import shown_name

_LIGHT = (
    "--ground: #f3f5f6; --surface: #fff; --line: #e1e6e9; --text: #12191d; --quiet: #566570; --good: #17998a;"
    " --wait: #dd9420; --load: #8b6be0; --prompt: #4391e3; --bad: #d2434e; --there: #c3ccd2; --other: #6d8792;"
)
_DARK = (
    "--ground: #0c1013; --surface: #13191d; --line: #232c32; --text: #e7edf0; --quiet: #94a3ad; --good: #2aa897;"
    " --wait: #d9962f; --load: #8e73e6; --prompt: #4590e2; --bad: #e0616b; --there: #4a5862; --other: #7f97a2;"
)
"""Every hue means one thing everywhere: amber waits, violet loads, blue reads a prompt, teal answers, red failed."""

_STYLE = (
    f":root {{ color-scheme: light dark; {_LIGHT} }}\n"
    f"@media (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}\n"
    """
* { box-sizing: border-box; }
body { background: var(--ground); color: var(--text); font: 14px/1.45 system-ui, sans-serif; margin: 0 auto;
  max-width: 1072px; padding: 24px 16px; -webkit-text-size-adjust: 100%; }
h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 4px; }
h3 { font-size: 14px; margin: 20px 0 4px; }
p { margin: 4px 0 12px; color: var(--quiet); }
.wide { overflow-x: auto; background: var(--surface); border: 1px solid var(--line); border-radius: 10px;
  padding: 8px 12px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: 3px 8px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
thead th { color: var(--quiet); font-weight: 500; font-size: 12px; } tbody th { font-weight: 400; }
tbody tr:last-child > * { border-bottom: 0; }
.name { text-align: left; max-width: 260px; overflow: hidden; text-overflow: ellipsis; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--quiet); font: 11px system-ui, sans-serif; }
.grid { stroke: var(--line); }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin: 0 5px 0 0; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 14px; }
"""
)

_NOTHING_FROM_ELSEWHERE = "default-src 'none'; style-src 'unsafe-inline'"


def page(title: str, body: str, *, style: str = "") -> str:
    """`body` is HTML, `style` CSS. Well-formed as XML too."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        f'<meta http-equiv="Content-Security-Policy" content="{_NOTHING_FROM_ELSEWHERE}"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{escaped(title)}</title><style>{_STYLE}{style}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def escaped(text: str) -> str:
    """As it may stand between tags and in quoted attributes."""
    return escape(shown_name(text))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, names: int = 1) -> str:
    """The first columns, `names` of them, say what a row is about; the others are numbers."""
    cells = "".join(f'<th scope="col"{_name_class(at, names)}>{escaped(cell)}</th>' for at, cell in enumerate(head))
    body = "".join(f"<tr>{_row(row, names)}</tr>" for row in rows)
    return f'<div class="wide" tabindex="0"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(row: Sequence[str], names: int) -> str:
    named = (f'<th scope="row" class="name" title="{escaped(cell)}">{escaped(cell)}</th>' for cell in row[:names])
    return "".join((*named, *(f"<td>{escaped(cell)}</td>" for cell in row[names:])))


def _name_class(at: int, names: int) -> str:
    return ' class="name"' if at < names else ""


def legend(inks: Iterable[tuple[str, str]]) -> str:
    """Colours by their variables' names, and what they mean."""
    said = "".join(
        f'<span><span class="key" style="background: var(--{ink})"></span>{escaped(meaning)}</span>'
        for ink, meaning in inks
    )
    return f'<p class="legend">{said}</p>'
