"""`penstock report`: the store is asked, read-only, and what it says is printed or written as a page."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from penstock.cli.report_figures import DIMENSIONS
from penstock.cli.usual import FAILED
from penstock.cli.where import Where
from penstock.cli.whole_file import whole_file
from penstock.store.base import StoreAway
from penstock.store.opening import DriverMissing
from penstock.store.queries.asking import Asked
from penstock.store.queries.queries import Queries
from penstock.store.queries.reader import Busy, TookTooLong
from penstock.store.queries.reporting import NoTables, Report

LIMIT_S = 600.0
"""Long: it is asked by one person, once, in a process of its own."""

STANDARD_OUTPUT = "-"


def print_report(where: Where, asked: Asked, by: Sequence[str], *, as_json: bool) -> int:
    """Gives the exit code; 1 = there is no store, or it does not answer."""
    if (found := _asked(where, asked)) is None:
        return FAILED
    try:
        if as_json:
            print(json.dumps(_for_machines(found, by), indent=2))
        else:
            from penstock.cli.report_text import show

            show(found, by)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def write_page(where: Where, asked: Asked, by: Sequence[str], file: str | None) -> int:
    """file: None = a name of its own in this folder, which is said. Gives the exit code."""
    if (found := _asked(where, asked)) is None:
        return FAILED
    from penstock.cli.report_html import page_of

    page = page_of(found, by)
    if file == STANDARD_OUTPUT:
        sys.stdout.buffer.write(page.encode())
        sys.stdout.flush()
        return 0
    path = Path(file or f"penstock-report-{datetime.fromtimestamp(asked.until, UTC):%Y-%m-%d}.html")
    try:
        with whole_file(path) as writing:
            writing.write(page.encode())
    except OSError as exc:
        print(f"penstock: {path}: {exc.strerror}", file=sys.stderr)
        return FAILED
    print(f"{path} is written")
    return 0


def _for_machines(report: Report, by: Sequence[str]) -> dict[str, object]:
    found: dict[str, object] = msgspec.to_builtins(report)
    for dimension in set(DIMENSIONS) - set(by):
        del found[f"{dimension}s"]
    return found


def _asked(where: Where, asked: Asked) -> Report | None:
    """None = it cannot be had, and why is said."""
    path = where.address.path
    if path is not None and not path.exists():
        print(f"penstock: there is no store at {path}: no gateway has kept records there yet", file=sys.stderr)
        return None
    try:
        queries = Queries(where.address, limit_s=LIMIT_S)
    except DriverMissing as exc:
        print(f"penstock: {exc}", file=sys.stderr)
        return None
    try:
        return queries.report(asked)
    except (NoTables, TookTooLong, Busy) as exc:
        print(f"penstock: {where.address}: {exc}", file=sys.stderr)
    except StoreAway as exc:
        print(f"penstock: the store {where.address} is away: {exc}", file=sys.stderr)
    finally:
        queries.close()
    return None
