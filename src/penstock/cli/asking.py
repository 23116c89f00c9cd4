"""Asking the gateway from a command: what cannot be answered ends the command with a message and its exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import typer

from penstock.cli.client import NOT_REACHABLE, GatewayClient, NotReachable, Refused
from penstock.cli.shapes import Call

Got = TypeVar("Got")

ID_LENGTH = 36
SHORTEST_END = 4
"""An end of an id that is shorter means nothing: it may be the empty value of somebody's variable."""


def asked(url: str, key: str | None, ask: Callable[[GatewayClient], Got]) -> Got:
    """What `ask` got. Raises typer.Exit."""
    try:
        return ask(GatewayClient(url, key))
    except NotReachable as exc:
        print(f"penstock: {exc}", file=sys.stderr)
        raise typer.Exit(NOT_REACHABLE) from exc
    except Refused as exc:
        print(f"penstock: {exc}", file=sys.stderr)
        raise typer.Exit(1) from exc


def whole_id(client: GatewayClient, end: str) -> str:
    """The id of the call that waits or runs and ends so, as the lists show it; what was given where none does.

    Raises BadParameter where several do.
    """
    if not SHORTEST_END <= len(end) < ID_LENGTH:
        return end
    found = [call["id"] for call in client.get("/api/v1/calls", list[Call]) if call["id"].endswith(end)]
    if len(found) > 1:
        raise typer.BadParameter(f"`{end}` is the end of {len(found)} calls: give more of it")
    return found[0] if found else end
