"""Asking the gateway from a command: what cannot be answered ends the command with a message and its exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import typer

from penstock.cli.client import NOT_REACHABLE, GatewayClient, NotReachable, Refused


def asked(url: str, key: str | None, ask: Callable[[GatewayClient], Any]) -> Any:
    """What `ask` got. Raises typer.Exit."""
    try:
        return ask(GatewayClient(url, key))
    except NotReachable as exc:
        print(f"penstock: {exc}", file=sys.stderr)
        raise typer.Exit(NOT_REACHABLE) from exc
    except Refused as exc:
        print(f"penstock: {exc}", file=sys.stderr)
        raise typer.Exit(1) from exc
