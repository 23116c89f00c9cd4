"""Which store a command means: that of the command line, of the configuration, of DATABASE_URL, or the usual one."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from penstock.cli.usual import BAD_CONFIGURATION, FAILED, USAGE, usual_place
from penstock.config.faults import ConfigError
from penstock.config.load import load
from penstock.config.schema import Settings
from penstock.config.store_address import StoreAddress, choose_address
from penstock.runtime.state_dir import default_state_dir
from penstock.store.base import Store, StoreAway
from penstock.store.opening import DriverMissing, open_store
from penstock.store.patience import patiently

ANY_UPSTREAM = "http://127.0.0.1"
"""A LiteLLM file cannot be read without one; where its LiteLLM answers does not matter here."""


@dataclass(frozen=True, slots=True)
class Where:
    """A store, and the state folder of the gateway that a command on this machine would mean."""

    address: StoreAddress
    state_dir: Path


def where(
    environ: Mapping[str, str], *, config: Path | None = None, store: str | None = None, state_dir: Path | None = None
) -> Where:
    """Raises ConfigError, ValueError. Where all is said already, no configuration is read that was not named."""
    path = config or usual_place(environ)
    if path is None or (config is None and store is not None and state_dir is not None):
        settings, folder = Settings(), None
    else:
        settings, folder = load(path, environ=environ, upstream=ANY_UPSTREAM).settings, path.absolute().parent
    configured = None if settings.state_dir is None else Path(settings.state_dir)
    chosen = state_dir or configured or default_state_dir(environ)
    return Where(choose_address(store, settings.store.url, environ, chosen, folder=folder), chosen)


def where_or_exit(
    environ: Mapping[str, str], *, config: Path | None = None, store: str | None = None, state_dir: Path | None = None
) -> Where:
    """The same for a command: what is wrong is printed, and the command ends."""
    try:
        return where(environ, config=config, store=store, state_dir=state_dir)
    except ConfigError as exc:
        print(exc, file=sys.stderr)
        raise typer.Exit(BAD_CONFIGURATION) from exc
    except ValueError as exc:
        print(f"penstock: --store: {exc}", file=sys.stderr)
        raise typer.Exit(USAGE) from exc


@contextmanager
def opened(address: StoreAddress) -> Iterator[Store]:
    """The store, prepared, for the block; if it is away, that is printed and the command ends."""
    try:
        store = open_store(address)
    except DriverMissing as exc:
        print(f"penstock: {exc}", file=sys.stderr)
        raise typer.Exit(FAILED) from exc
    try:
        patiently(store.prepare)
        yield store
    except StoreAway as exc:
        print(f"penstock: the store {address} is away: {exc}", file=sys.stderr)
        raise typer.Exit(FAILED) from exc
    finally:
        store.close()
