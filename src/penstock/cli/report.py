"""The command `report`. Its work is imported when it is called."""

from __future__ import annotations

import enum
import os
import time
from typing import Annotated

import typer

from penstock.cli.records import Config, StateDir, StoreUrl


class By(enum.StrEnum):
    """What calls are told apart by."""

    MODEL = "model"
    KEY = "key"
    WORKLOAD = "workload"


def report(
    file: Annotated[
        str | None, typer.Argument(help="With --html: where to; `-` = standard output. Default: named by its last day.")
    ] = None,
    html: Annotated[bool, typer.Option("--html", help="One page with charts, which needs nothing else.")] = False,
    last: Annotated[str | None, typer.Option(help="How far back: 24h, 7d, 90d. Default: 7d.")] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="2026-01-31, 2026-01-31T12:00Z or epoch seconds; UTC.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="The same; what came then is left out.")] = None,
    by: Annotated[list[By] | None, typer.Option(help="Only these tables. May be repeated. Default: all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
    store: StoreUrl = None,
    config: Config = None,
    state_dir: StateDir = None,
) -> None:
    """Report a week, or any other time: by model, key and workload, whether the gateway runs or not."""
    from penstock.cli import report_made as command
    from penstock.cli.where import where_or_exit
    from penstock.store.queries.asking import Asked, BadQuestion, window

    if as_json and html:
        raise typer.BadParameter("--json or --html, not both")
    if file is not None and not html:
        raise typer.BadParameter(f"to write a page to {file}, say --html {file}")
    is_by_its_ends = since is not None or until is not None
    try:
        asked = Asked(
            *window(last, since, until, usual="7d", now=time.time()), None if is_by_its_ends else last or "7d"
        )
    except BadQuestion as exc:
        raise typer.BadParameter(str(exc)) from exc
    dimensions = tuple(dict.fromkeys(each.value for each in by or By))
    place = where_or_exit(os.environ, config=config, store=store, state_dir=state_dir)
    if html:
        raise typer.Exit(command.write_page(place, asked, dimensions, file))
    raise typer.Exit(command.print_report(place, asked, dimensions, as_json=as_json))
