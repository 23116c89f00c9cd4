"""The command `penstock`. Each command's work is in a file of its own, imported when it is called."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar
from urllib.parse import quote

import typer

from penstock import __version__
from penstock.cli import keys
from penstock.cli.records import StoreUrl, export, store_app
from penstock.cli.report import report
from penstock.cli.usage import usage

if TYPE_CHECKING:
    from penstock.cli.client import GatewayClient

Got = TypeVar("Got")

app = typer.Typer(
    name="penstock",
    help="A gateway for the language models on this machine: it launches, queues, accounts and shows.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.add_typer(keys.app, name="keys")

Url = Annotated[str, typer.Option(envvar="PENSTOCK_URL", help="Where the gateway answers.")]
Key = Annotated[str | None, typer.Option(envvar="PENSTOCK_KEY", help="A key of the gateway.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Upstream = Annotated[str | None, typer.Option(help="Where the LiteLLM of a LiteLLM file answers.")]
Format = Annotated[str | None, typer.Option(help="The file's format, if its content does not tell.")]
OneModel = Annotated[str | None, typer.Argument(help="A model's name or alias.")]
All = Annotated[bool, typer.Option("--all", help="All models.")]
URL = "http://127.0.0.1:8080"


class Class(enum.StrEnum):
    """The classes in which calls wait."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class Action(enum.StrEnum):
    """What to do with profiles, beside listing them."""

    USE = "use"
    NONE = "none"


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
    store: StoreUrl = None,
) -> None:
    """Serve the models of a configuration, or those found on this machine."""
    from penstock.cli import serve as command

    options = command.ServeOptions(config, tuple(listen or ()), upstream, state_dir, format, models_dir, store)
    raise typer.Exit(command.serve(options))


@app.command()
def check(file: Path, upstream: Upstream = None, format: Format = None, as_json: Json = False) -> None:  # noqa: A002
    """Say everything that is wrong with a configuration file, without serving it."""
    from penstock.cli import check as command

    raise typer.Exit(command.check(file, as_json=as_json, upstream=upstream, format=format))


@app.command()
def models(url: Url = URL, key: Key = None, as_json: Json = False) -> None:
    """List the models and what state each is in."""
    from penstock.cli import shapes, tables

    found = _get(url, key, "/api/v1/models", list[shapes.Model])
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        head = ("MODEL", "STATE", "SINCE", "RUNNING", "WAITING", "MEMORY", "ALIASES")
        tables.show_table(head, map(tables.model_row, found), nothing="no models")
        for line in tables.troubles(found):
            print(line)


@app.command()
def ps(url: Url = URL, key: Key = None, as_json: Json = False) -> None:
    """List the calls that run or wait, and why they wait."""
    from penstock.cli import shapes, tables

    found = _get(url, key, "/api/v1/calls", list[shapes.Call])
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        tables.show_table(
            ("CALL", "MODEL", "KEY", "PRIORITY", "PHASE", "AGE", "WAITS FOR"),
            map(tables.call_row, found),
            nothing="no call runs or waits",
        )


@app.command()
def queue(model: OneModel = None, url: Url = URL, key: Key = None, as_json: Json = False) -> None:
    """List the calls that wait, in the order in which they will be served."""
    from penstock.cli import shapes, tables

    of_model = f"&model={quote(model)}" if model else ""
    found = _get(url, key, f"/api/v1/queue?limit=1000{of_model}", shapes.Queue)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    tables.show_table(
        ("CALL", "MODEL", "PLACE", "KEY", "PRIORITY", "AGE", "WAITS FOR", "STARTS IN", "AT MOST"),
        map(tables.waiting_row, found["calls"]),
        nothing="no call waits",
    )
    if (more := found["waiting"] - len(found["calls"])) > 0:
        print(f"and {more} more")


@app.command()
def cancel(
    call: Annotated[str | None, typer.Argument(help="The id of a call, or its end.")] = None,
    of_key: Annotated[str | None, typer.Option(help="All calls of a key: its name or fingerprint.")] = None,
    model: Annotated[str | None, typer.Option(help="All calls of a model.")] = None,
    all: Annotated[bool, typer.Option("--all", help="All calls.")] = False,  # noqa: A002
    running: Annotated[bool, typer.Option("--running", help="Also those that an engine works on.")] = False,
    url: Url = URL,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Turn away calls that wait."""
    chosen = {"id": _whole_id(url, key, call), "key": of_key, "model": model}
    body: dict[str, object] = {name: value for name, value in chosen.items() if value is not None}
    if not body and not all:
        raise typer.BadParameter("name a call, --of-key, --model or --all")
    _post(url, key, "/api/v1/calls/cancel", {**body, "all": all, "running": running}, as_json=as_json)


@app.command()
def priority(call: str, to: Class, url: Url = URL, key: Key = None, as_json: Json = False) -> None:
    """Let a call that waits wait in another class."""
    _post(url, key, "/api/v1/calls/priority", {"id": _whole_id(url, key, call), "priority": to.value}, as_json=as_json)


@app.command()
def load(model: str, url: Url = URL, key: Key = None, as_json: Json = False) -> None:
    """Load a model as if somebody waited for it."""
    _post(url, key, "/api/v1/models/load", {"model": model}, as_json=as_json)


@app.command()
def unload(model: str, url: Url = URL, key: Key = None, as_json: Json = False) -> None:
    """Stop a model once its running calls are done."""
    _post(url, key, "/api/v1/models/unload", {"model": model}, as_json=as_json)


@app.command()
def pin(model: str, url: Url = URL, key: Key = None, as_json: Json = False) -> None:
    """Load a model and keep it loaded."""
    _post(url, key, "/api/v1/models/pin", {"model": model}, as_json=as_json)


@app.command()
def unpin(model: str, url: Url = URL, key: Key = None, as_json: Json = False) -> None:
    """Let a model be stopped for others again."""
    _post(url, key, "/api/v1/models/unpin", {"model": model}, as_json=as_json)


@app.command()
def pause(
    model: OneModel = None,
    all: All = False,  # noqa: A002
    url: Url = URL,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Keep calls waiting: of a model, or all. What runs goes on."""
    _post(url, key, "/api/v1/models/pause", _one_or_all(model, everything=all), as_json=as_json)


@app.command()
def resume(
    model: OneModel = None,
    all: All = False,  # noqa: A002
    url: Url = URL,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """End a pause."""
    _post(url, key, "/api/v1/models/resume", _one_or_all(model, everything=all), as_json=as_json)


@app.command()
def profiles(
    action: Annotated[Action | None, typer.Argument(help="Left out: they are listed.")] = None,
    name: Annotated[str | None, typer.Argument(help="The profile to use.")] = None,
    url: Url = URL,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """List the profiles, or activate one: what names mean from now on."""
    from penstock.cli import profiles as command

    if (action is Action.USE) is not (name is not None):
        raise typer.BadParameter("it is `use NAME`, `none`, or nothing to list them")
    if action is None:
        command.show(url, key, as_json=as_json)
    else:
        command.activate(name, url, key, as_json=as_json)


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


def _one_or_all(model: str | None, *, everything: bool) -> dict[str, object]:
    if (model is None) is not everything:
        raise typer.BadParameter("name a model or --all, and not both")
    return {"all": True} if model is None else {"model": model}


def _get(url: str, key: str | None, path: str, shape: type[Got]) -> Got:
    return _ask(url, key, lambda client: client.get(path, shape))


def _post(url: str, key: str | None, path: str, body: dict[str, object], *, as_json: bool) -> None:
    """Give a command and say what the gateway answered."""
    from penstock.cli import said

    answer = _ask(url, key, lambda client: client.post(path, body, said.ANSWERS[path]))
    print(json.dumps(answer, indent=2) if as_json else said.in_words(path, answer))


def _whole_id(url: str, key: str | None, call: str | None) -> str | None:
    """What the lists show of an id is its end."""
    from penstock.cli.asking import whole_id

    return call and _ask(url, key, lambda client: whole_id(client, call))


def _ask(url: str, key: str | None, ask: Callable[[GatewayClient], Got]) -> Got:
    from penstock.cli.asking import asked

    return asked(url, key, ask)


app.command()(export)
app.command()(usage)
app.command()(report)
app.add_typer(store_app, name="store")


def main() -> None:
    app()
