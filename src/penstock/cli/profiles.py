"""`penstock profiles`: which profiles a running gateway has, and which of them is active."""

from __future__ import annotations

import json
from typing import Any

from penstock.cli import tables
from penstock.cli.asking import asked

PATH = "/api/v1/profiles"


def show(url: str, key: str | None, *, as_json: bool) -> None:
    """List them; the active one has a star. Raises typer.Exit."""
    found = asked(url, key, lambda client: client.get(PATH))
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        tables.show_table(("", "PROFILE", "PINS", "ABOUT"), (_row(each, found["active"]) for each in found["profiles"]))


def activate(name: str | None, url: str, key: str | None, *, as_json: bool) -> None:
    """Switch; None = to none. Raises typer.Exit."""
    answer = asked(url, key, lambda client: client.put(f"{PATH}/active", {"name": name}))
    print(json.dumps(answer, indent=2) if as_json else f"active: {answer['active'] or 'none'}")


def _row(profile: dict[str, Any], active: str | None) -> list[str]:
    pins = ", ".join(f"{name} = {target or 'off'}" for name, target in profile["pins"].items())
    return ["*" if profile["name"] == active else "", profile["name"], pins, profile["description"]]
