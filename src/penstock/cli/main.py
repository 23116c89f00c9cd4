"""The command `penstock`. Each command's work is in a file of its own, imported when it is called."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock import __version__

app = typer.Typer(
    name="penstock",
    help="A gateway for the language models on this machine: it launches, queues, accounts and shows.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Url = Annotated[str, typer.Option(envvar="PENSTOCK_URL", help="Where the gateway answers.")]
Key = Annotated[str | None, typer.Option(envvar="PENSTOCK_KEY", help="A key of the gateway.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Upstream = Annotated[str | None, typer.Option(help="Where the LiteLLM of a LiteLLM file answers.")]
Format = Annotated[str | None, typer.Option(help="The file's format, if its content does not tell.")]
URL = "http://127.0.0.1:8080"


@app.command()
def serve(
    config: Annotated[
        Path | None, typer.Option(help="Penstock's, llama-swap's, LiteLLM's or RouterModelCustom's.")
    ] = None,
    listen: Annotated[list[str] | None, typer.Option(help="HOST:PORT, or :PORT for loopback. May be repeated.")] = None,
    upstream: Upstream = None,
    state_dir: Annotated[Path | None, typer.Option(help="Where records and state are kept.")] = None,
    format: Format = None,  # noqa: A002
    models_dir: Annotated[Path | None, typer.Option(help="A further folder to look for GGUF models in.")] = None,
) -> None:
    """Serve the models of a configuration, or those found on this machine."""
    from penstock.cli import serve as command

    options = command.ServeOptions(config, tuple(listen or ()), upstream, state_dir, format, models_dir)
    raise typer.Exit(command.serve(options))


@app.command()
def check(file: Path, upstream: Upstream = None, format: Format = None, as_json: Json = False) -> None:  # noqa: A002
    """Say everything that is wrong with a configuration file, without serving it."""
    from penstock.cli import check as command

    raise typer.Exit(command.check(file, as_json=as_json, upstream=upstream, format=format))


@app.command()
def models(url: Url = URL, key: Key = None, as_json: Json = False) -> None:
    """List the models and what state each is in."""
    from penstock.cli import tables

    found = _get(url, key, "/api/v1/models")
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        head = ("MODEL", "STATE", "SINCE", "RUNNING", "WAITING", "MEMORY", "ALIASES")
        tables.show_table(head, map(tables.model_row, found))


@app.command()
def ps(url: Url = URL, key: Key = None, as_json: Json = False) -> None:
    """List the calls that run or wait, and why they wait."""
    from penstock.cli import tables

    found = _get(url, key, "/api/v1/calls")
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        tables.show_table(
            ("CALL", "MODEL", "KEY", "PRIORITY", "PHASE", "AGE", "WAITS FOR"), map(tables.call_row, found)
        )


@app.command()
def simulate(
    scenarios: Annotated[
        list[str] | None, typer.Argument(help="Scenario files, or names of shipped ones; none = all shipped ones.")
    ] = None,
    policies: Annotated[str, typer.Option(help="`all`, or names with commas between them.")] = "all",
    seeds: Annotated[str, typer.Option(help="For what is random: `3`, `1-5` or `1,4,9`.")] = "1-5",
    as_json: Json = False,
    html: Annotated[Path | None, typer.Option(help="Also draw it, into this file.")] = None,
    from_store: Annotated[bool, typer.Option("--from-store", help="Replay recorded calls instead.")] = False,
    last: Annotated[str, typer.Option(help="With --from-store: how far back.")] = "24h",
    config: Annotated[Path | None, typer.Option(help="With --from-store: the configuration to try.")] = None,
    state_dir: Annotated[Path | None, typer.Option(help="With --from-store: where the records are.")] = None,
) -> None:
    """Compare the scheduler with others on simulated machines, or replay what was recorded."""
    from penstock.cli import simulate as command

    options = command.SimulateOptions(
        tuple(scenarios or ()), policies, seeds, as_json, html, from_store, last, config, state_dir
    )
    raise typer.Exit(command.simulate(options))


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def _get(url: str, key: str | None, path: str) -> Any:
    from penstock.cli.client import NOT_REACHABLE, GatewayClient, NotReachable, Refused

    try:
        return GatewayClient(url, key).get(path)
    except NotReachable as exc:
        print(f"penstock: {exc}", file=sys.stderr)
        raise typer.Exit(NOT_REACHABLE) from exc
    except Refused as exc:
        print(f"penstock: {exc}", file=sys.stderr)
        raise typer.Exit(1) from exc


def main() -> None:
    app()
