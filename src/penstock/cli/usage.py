"""The command `usage`. Its work is imported when it is called."""

from __future__ import annotations

import enum
import os
from typing import Annotated

import typer

from penstock.cli.records import Config, StateDir, StoreUrl


class Subject(enum.StrEnum):
    """What there is to be shown."""

    MODELS = "models"
    CONSUMERS = "consumers"
    WORKLOADS = "workloads"
    REQUESTS = "requests"
    LOADS = "loads"
    HEALTH = "health"


def usage(
    subject: Annotated[Subject, typer.Argument(help="Of what.")] = Subject.MODELS,
    last: Annotated[str, typer.Option(help="How far back: 30m, 24h, 90d.")] = "24h",
    model: Annotated[str | None, typer.Option(help="Only calls of this model.")] = None,
    of_key: Annotated[str | None, typer.Option(help="Only those of this key: its name or fingerprint.")] = None,
    workload: Annotated[str | None, typer.Option(help="Only those of this workload.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Of requests and loads: so many rows.")] = 50,
    url: Annotated[str, typer.Option(envvar="PENSTOCK_URL", help="Where the gateway answers.")] = (
        "http://127.0.0.1:8080"
    ),
    key: Annotated[
        str | None, typer.Option(envvar="PENSTOCK_KEY", help="A key of the gateway; with --listen, what to ask for.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
    listen: Annotated[
        str | None, typer.Option(help="HOST:PORT: answer questions about a store there, without a gateway.")
    ] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make the rollups of a store anew.")] = False,
    store: StoreUrl = None,
    config: Config = None,
    state_dir: StateDir = None,
) -> None:
    """Show what was used; or, with --listen, answer questions about a store without a gateway."""
    if listen is None and not rebuild:
        from penstock.cli import usage_shown as shown

        if store is not None:
            raise typer.BadParameter("with --store, say --listen HOST:PORT or --rebuild")
        what = shown.Shown(subject.value, last, model, of_key, workload, limit)
        raise typer.Exit(shown.show(url, key, what, as_json=as_json))
    from penstock.cli import usage_alone as alone
    from penstock.cli.where import where_or_exit

    place = where_or_exit(os.environ, config=config, store=store, state_dir=state_dir)
    raise typer.Exit(alone.rebuild(place) if listen is None else alone.serve(place, listen, key))
