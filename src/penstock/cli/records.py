"""The commands about records: `export`, `store ddl`, `store import`. Their work is imported when they are called."""

from __future__ import annotations

import enum
import os
import time
from pathlib import Path
from typing import Annotated

import typer

StoreUrl = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="sqlite:///PATH or postgresql://…; a password is safer in the file."),
]
Config = Annotated[Path | None, typer.Option(help="The configuration that says where records are.")]
StateDir = Annotated[Path | None, typer.Option(help="The state folder of the gateway.")]

store_app = typer.Typer(help="The store of records: its tables, and records from a file.", no_args_is_help=True)


class Kinds(enum.StrEnum):
    """What there are records of."""

    CALLS = "calls"
    LOADS = "loads"
    SAMPLES = "samples"


KindOption = Annotated[Kinds, typer.Option("--kind", help="Which records.")]


def export(
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object per line; the default.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Comma-separated, with a head.")] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="Needs penstock[parquet], and -o.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Default: standard output.")] = None,
    last: Annotated[str | None, typer.Option(help="How far back: 30m, 24h, 7d.")] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="2026-01-31, 2026-01-31T12:00Z or epoch seconds; UTC.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="The same; what came then is left out.")] = None,
    kind: KindOption = Kinds.CALLS,
    store: StoreUrl = None,
    config: Config = None,
    state_dir: StateDir = None,
) -> None:
    """Write all records of a time, also those that the journal still holds, whether the gateway runs or not."""
    from penstock.cli import export as command
    from penstock.cli.where import where_or_exit
    from penstock.store.base import Kind

    formats = [name for name, is_asked in (("jsonl", jsonl), ("csv", csv), ("parquet", parquet)) if is_asked]
    if len(formats) > 1:
        raise typer.BadParameter("one of --jsonl, --csv and --parquet")
    try:
        window = command.window_of(last, since, until, now=time.time())
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc
    place = where_or_exit(os.environ, config=config, store=store, state_dir=state_dir)
    options = command.ExportOptions(Kind(kind.value), formats[0] if formats else None, window, output)
    raise typer.Exit(command.export(place, options))


@store_app.command()
def ddl(store: StoreUrl = None, config: Config = None) -> None:
    """Print the tables and views as SQL, for SQLite or PostgreSQL, whichever the store is."""
    from penstock.cli import store as command
    from penstock.cli.where import where_or_exit

    anywhere = None if store is None else Path()  # where journals are does not matter
    raise typer.Exit(command.print_ddl(where_or_exit(os.environ, config=config, store=store, state_dir=anywhere)))


@store_app.command("import")
def import_(
    file: Path,
    kind: KindOption = Kinds.CALLS,
    store: StoreUrl = None,
    config: Config = None,
    state_dir: StateDir = None,
) -> None:
    """Bring exported records (JSON Lines or CSV) back into a store. Doing it twice is harmless."""
    from penstock.cli import store as command
    from penstock.cli.where import where_or_exit
    from penstock.store.base import Kind

    place = where_or_exit(os.environ, config=config, store=store, state_dir=state_dir)
    raise typer.Exit(command.import_file(place, Kind(kind.value), file))
