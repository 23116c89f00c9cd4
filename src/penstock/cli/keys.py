"""`penstock keys`: makes, lists and revokes keys, in the state folder; a running gateway takes the changes at once.

The secret of a new key is printed once and kept nowhere.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from penstock.cli.usual import BAD_CONFIGURATION, FAILED, USAGE, usual_place

if TYPE_CHECKING:
    from penstock.config.access import KeySettings
    from penstock.config.schema import Settings
    from penstock.runtime.access.key_file import KeyFile

PREFIX = "sk-penstock-"
SECRET_BYTES = 32

app = typer.Typer(help="Make, list and revoke keys.", no_args_is_help=True, rich_markup_mode=None)

StateFolder = Annotated[Path | None, typer.Option("--state-dir", help="The gateway's state folder.")]
Config = Annotated[Path | None, typer.Option(help="Its configuration, if that names the state folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Name = Annotated[str, typer.Argument(help="What the key is called in records and lists.")]


@app.command()
def add(
    name: Name,
    role: Annotated[str, typer.Option(help="none, viewer or admin.")] = "none",
    priority: Annotated[str, typer.Option(help="The highest class it may ask for: high, normal or low.")] = "normal",
    weight: Annotated[float, typer.Option(help="Its share of a busy machine, beside the others'.")] = 1.0,
    models: Annotated[list[str] | None, typer.Option(help="A model it may use, or a pattern. May be repeated.")] = None,
    max_concurrent: Annotated[int | None, typer.Option(help="Its calls that may run at once; more wait.")] = None,
    quota: Annotated[
        list[str] | None, typer.Option(help='"100 requests per 1m", "1M tokens per 1d". Repeatable.')
    ] = None,
    expires: Annotated[str | None, typer.Option(help="The last day it is good: 2027-01-31.")] = None,
    state_dir: StateFolder = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once."""
    members = {"role": role, "priority": priority, "weight": weight, "models": models or [], "quotas": quota or []}
    members |= {"max_concurrent": max_concurrent, "expires": expires}
    secret = _secret()
    key = _key(name, secret, {member: value for member, value in members.items() if value is not None})
    with _reported():
        settings = _settings(config, is_needed=state_dir is None)
        file = _file(state_dir, settings)
        unknown = _unknown(models or [], settings)
        with file.changing() as keys:
            if name in keys:
                _fail(f"there is a key `{name}` already; revoke it first, or choose another name", USAGE)
            keys[name] = key
    for each in unknown:
        print(f"penstock: warning: --models {each}: no model is called that at the moment", file=sys.stderr)
    if as_json:
        print(json.dumps({"name": name, "key": secret, "hash": key.hash, "file": str(file.path)}, indent=2))
        return
    print(secret)
    print(
        f"This is the key `{name}`, shown this once: keep it. Its hash is in {file.path}.\n"
        "A running gateway takes it within a second. With any key, requests without one are refused.",
        file=sys.stderr,
    )


@app.command("list")
def list_keys(state_dir: StateFolder = None, config: Config = None, as_json: Json = False) -> None:
    """List the keys of the state folder and what they have used of their quotas."""
    with _reported():
        file = _file(state_dir, None if state_dir else _settings(config, is_needed=True))
        keys = file.read() or {}
    rows = [_row(name, key, file) for name, key in keys.items()]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    from penstock.cli import tables

    head = ("NAME", "FINGERPRINT", "ROLE", "PRIORITY", "MODELS", "LIMITS")
    tables.show_table(head, [_shown(row) for row in rows], nothing="no keys")


@app.command()
def revoke(name: Name, state_dir: StateFolder = None, config: Config = None, as_json: Json = False) -> None:
    """Take a key away: it opens nothing any more."""
    with _reported():
        file = _file(state_dir, None if state_dir else _settings(config, is_needed=True))
        if file.stamp() is None:
            _fail(f"there are no keys: {file.path} does not exist", FAILED)
        with file.changing() as keys:
            if keys.pop(name, None) is None:
                known = ", ".join(keys) or "none"
                _fail(f"there is no key `{name}` in {file.path}; there are: {known}", FAILED)
            left = len(keys)
    if as_json:
        print(json.dumps({"name": name, "revoked": True, "left": left, "file": str(file.path)}, indent=2))
        return
    print(f"The key `{name}` is revoked; a running gateway refuses it within a second.")
    if not left:
        print(f"No key is left there, and requests without one stay refused. To open the gateway, remove {file.path}.")


def _secret() -> str:
    import secrets

    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def _key(name: str, secret: str, members: dict[str, object]) -> KeySettings:
    from pydantic import ValidationError

    from penstock.config.access import KeySettings, checked, hashed

    try:
        key = KeySettings.model_validate({"hash": hashed(secret), **members})
        checked({name: key})
    except ValidationError as exc:
        first = exc.errors()[0]
        expected = first["msg"].replace("Input should be ", "")
        option = {"quotas": "quota"}.get(name := str(first["loc"][0]), name).replace("_", "-")
        _fail(f"--{option}: expected {expected}", USAGE)
    except ValueError as exc:
        _fail(f"`{name}`: expected {exc}", USAGE)
    return key


def _settings(config: Path | None, *, is_needed: bool) -> Settings | None:
    """What `penstock serve` would read; None = nothing. Raises ConfigError if that was named or `is_needed`."""
    from penstock.config.faults import ConfigError
    from penstock.config.load import load

    path = config or usual_place(os.environ)
    if path is None:
        return None
    try:
        return load(path, environ=os.environ, upstream="http://127.0.0.1").settings
    except ConfigError:
        if is_needed or config is not None:
            raise
        return None


def _file(state_dir: Path | None, settings: Settings | None) -> KeyFile:
    """As `penstock serve` finds it."""
    from penstock.runtime.access.key_file import KeyFile
    from penstock.runtime.state_dir import default_state_dir

    configured = None if settings is None or settings.state_dir is None else Path(settings.state_dir)
    return KeyFile(state_dir or configured or default_state_dir(os.environ))


def _unknown(patterns: list[str], settings: Settings | None) -> list[str]:
    """Those that match no name; none where nobody can tell: without a configuration, or with a LiteLLM behind."""
    from penstock.core.calls.key import Key

    if settings is None or settings.pass_through is not None:
        return []
    aliases = (alias for model in settings.models.values() for alias in model.aliases)
    names = {*settings.models, *aliases, *settings.selectors}
    return [each for each in patterns if not Key("", b"", models=(each,)).may_use(names)]


def _row(name: str, settings: KeySettings, file: KeyFile) -> dict[str, object]:
    from penstock.config.access import key_of, quota_text
    from penstock.runtime.access.quota_file import used

    key = key_of(name, settings)
    amounts = used(file.path.parent, key, time.time()) or [None] * len(key.quotas)
    return {
        "name": name,
        "fingerprint": key.fingerprint,
        "role": settings.role.value,
        "priority": settings.priority,
        "weight": settings.weight,
        "models": list(settings.models),
        "max_concurrent": settings.max_concurrent,
        "expires_at": settings.expires,
        "quotas": [
            {"quota": quota_text(quota), "used": amount} for quota, amount in zip(key.quotas, amounts, strict=True)
        ],
    }


def _shown(row: dict[str, object]) -> list[str]:
    quotas, models = row["quotas"], row["models"]
    assert isinstance(quotas, list)
    assert isinstance(models, list)
    limits = [f"{'?' if each['used'] is None else each['used']} of {each['quota']}" for each in quotas]
    if row["max_concurrent"] is not None:
        limits.append(f"{row['max_concurrent']} at once")
    if row["weight"] != 1.0:
        limits.append(f"weight {row['weight']}")
    if row["expires_at"] is not None:
        limits.append(f"until {_day(float(str(row['expires_at'])))}")
    plain = [str(row[member]) for member in ("name", "fingerprint", "role", "priority")]
    return [*plain, ", ".join(models) or "all", "\n".join(limits) or "none"]


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")


@contextmanager
def _reported() -> Iterator[None]:
    from penstock.config.faults import ConfigError

    try:
        yield
    except ConfigError as exc:
        print(exc, file=sys.stderr)
        raise typer.Exit(BAD_CONFIGURATION) from exc
    except OSError as exc:
        where = "" if exc.filename is None else f"{exc.filename}: "
        _fail(f"{where}{exc.strerror}", FAILED)


def _fail(message: str, code: int) -> NoReturn:
    print(f"penstock: {message}", file=sys.stderr)
    raise typer.Exit(code)
