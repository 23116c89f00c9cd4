"""`penstock profiles`: which profiles a running gateway has, and which of them is active."""

from __future__ import annotations

import json

from penstock.cli import shapes, tables
from penstock.cli.asking import asked
from penstock.drawing.names import shown_name

PATH = "/api/v1/profiles"


def show(url: str, key: str | None, *, as_json: bool) -> None:
    """List them; the active one has a star. Raises typer.Exit."""
    found = asked(url, key, lambda client: client.get(PATH, shapes.Profiles))
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        tables.show_table(
            ("", "PROFILE", "PINS", "ABOUT"),
            (_row(each, found["active"]) for each in found["profiles"]),
            nothing="no profiles",
        )


def activate(name: str | None, url: str, key: str | None, *, as_json: bool) -> None:
    """Switch; None = to none. Raises typer.Exit."""
    answer = asked(url, key, lambda client: client.put(f"{PATH}/active", {"name": name}, shapes.ActiveProfile))
    print(json.dumps(answer, indent=2) if as_json else f"active: {shown_name(answer['active'] or 'none')}")


def _row(profile: shapes.Profile, active: str | None) -> list[str]:
    pins = ", ".join(f"{name} = {target or 'off'}" for name, target in profile["pins"].items())
    return ["*" if profile["name"] == active else "", profile["name"], pins, profile["description"]]
