"""`penstock serve`: from the command line to a running gateway, and down again."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import uvloop

from penstock.cli.found import found_on_this_machine
from penstock.cli.masked_log import Masked, log_to
from penstock.cli.usual import BAD_CONFIGURATION, FAILED, USAGE, usual_place
from penstock.config.faults import ConfigError
from penstock.config.load import NATIVE, Loaded, load, loads
from penstock.config.schema import Settings
from penstock.config.secret_values import secret_values
from penstock.config.store_address import choose_address
from penstock.discovery.machine import host_memory_bytes
from penstock.launch.footprints import estimated_footprints, kinds
from penstock.runtime.gateway import Gateway, GatewayOptions
from penstock.runtime.state_dir import StateDirInUse, default_state_dir
from penstock.store.opening import DriverMissing, check_driver
from penstock.web.app import create_app
from penstock.wire.listen import Address, parse_address

USAGE_APP = "penstock.web.usage:for_bookkeeper"
"""What answers `/usage/…`; named, not imported, for it is imported by the bookkeeper alone."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The command line."""

    config: Path | None = None
    listen: tuple[str, ...] = ()
    upstream: str | None = None
    state_dir: Path | None = None
    format: str | None = None
    models_dir: Path | None = None
    store: str | None = None


def serve(options: ServeOptions) -> int:
    """Serve until SIGINT or SIGTERM; gives the exit code."""
    environ = dict(os.environ)
    log_handler = log_to(sys.stderr)
    state_dir = options.state_dir or default_state_dir(environ)
    try:
        loaded = _configuration(options, environ)
        addresses = _addresses(options, loaded)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return BAD_CONFIGURATION
    except ValueError as error:
        print(f"penstock: {error}", file=sys.stderr)
        return USAGE
    settings = loaded.settings
    if options.state_dir is None and settings.state_dir is not None:
        state_dir = Path(settings.state_dir)
    log_handler.setFormatter(Masked(secret_values(settings)))
    logging.getLogger("penstock").setLevel(settings.log_level.value.upper())
    for warning in loaded.warnings:
        logging.getLogger("penstock.config").warning("%s", warning)
    folder = None if loaded.path is None else loaded.path.absolute().parent
    try:
        store = choose_address(options.store, settings.store.url, environ, state_dir, folder=folder)
        check_driver(store)
    except ValueError as error:
        print(f"penstock: --store: {error}", file=sys.stderr)
        return USAGE
    except DriverMissing as error:
        print(f"penstock: {error}", file=sys.stderr)
        return FAILED
    gateway = GatewayOptions(
        settings,
        addresses,
        state_dir,
        environ,
        folder,
        host_memory_bytes(),
        estimated_footprints(settings),
        kinds(settings),
        store,
        USAGE_APP,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(gateway, loaded))


async def _run(options: GatewayOptions, loaded: Loaded) -> int:
    try:
        gateway = Gateway(options, create_app)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, gateway.stop)
        await gateway.serve(lambda running: _greet(running, loaded))
    except ConfigError as error:  # of `keys.yaml`: with keys that nobody can read, it would be open to everybody
        print(error, file=sys.stderr)
        return BAD_CONFIGURATION
    except StateDirInUse as error:
        print(f"penstock: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        print(f"penstock: {_told(error, options.state_dir)}", file=sys.stderr)
        return FAILED
    return 0


def _told(error: OSError, state_dir: Path) -> str:
    """What keeps it from starting, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return f"{error.strerror}: is a gateway running there already? --listen names another address"
    if error.filename is None:
        return str(error.strerror)
    place, folder = Path(os.fsdecode(error.filename)).absolute(), state_dir.absolute()
    if place.is_relative_to(folder) or folder.is_relative_to(place):
        return f"{state_dir} cannot be the state folder ({place}: {error.strerror}): --state-dir names another"
    return f"{error.filename}: {error.strerror}"


def _configuration(options: ServeOptions, environ: dict[str, str]) -> Loaded:
    """The file named, the file found, or what is found on the machine. Raises ConfigError, ValueError."""
    path, folder = options.config or usual_place(environ), options.models_dir
    if folder is not None and not folder.is_dir():
        raise ValueError(f"--models-dir {folder}: there is no such folder")
    if path is not None:
        if folder is not None:
            raise ValueError(f"--models-dir is for serving without a configuration, and {path} is one")
        return load(path, environ=environ, upstream=options.upstream, format=options.format)
    text = found_on_this_machine(environ, folder)
    return loads(text, name="what was found on this machine", environ=environ)


def _addresses(options: ServeOptions, loaded: Loaded) -> tuple[Address, ...]:
    """Command line beats file beats the format's own port. Raises ValueError."""
    if options.listen:
        return tuple(parse_address(text) for text in options.listen)
    everywhere = "127.0.0.1" if loaded.format == NATIVE else "0.0.0.0"  # noqa: S104 - what those systems' users rely on
    if loaded.settings.listen:
        return tuple(parse_address(text, default_host=everywhere) for text in loaded.settings.listen)
    return (Address("127.0.0.1", loaded.default_port),)


def _greet(gateway: Gateway, loaded: Loaded) -> None:
    """What a person needs to know to use it."""
    for address in gateway.options.addresses:
        if not address.is_loopback and gateway.keyring.is_open:
            logging.getLogger("penstock.gateway").warning(
                "open_to_network address=%s: no keys are configured, so anybody who can reach it can use the models; "
                "the page, logs and control are answered to this machine only", address.host
            )  # fmt: skip
    print(f"\nPenstock is serving {_count(gateway.settings)} on {gateway.address}")
    print(f"  dashboard  {gateway.address}/")
    if example := _example(gateway.options):
        shown = "" if gateway.keyring.is_open else "-H 'Authorization: Bearer KEY' "
        print(f"  try it     curl {shown}{gateway.address}/v1/chat/completions -d '{example}'")
    print("  stop it    Ctrl-C\n", flush=True)


def _count(settings: Settings) -> str:
    names = list(settings.models)
    if not names:
        return "no models yet (add some to a penstock.yaml, see docs/configuration.md)"
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return f"{len(names)} model{'s' if len(names) > 1 else ''} ({shown})"


def _example(options: GatewayOptions) -> str | None:
    """The body of a request that will work: to the first model that chats and needs no quoting."""
    for name in options.settings.models:
        if (
            options.kinds.get(name, "chat") == "chat"
            and name.isascii()
            and name.isprintable()
            and not {*name} & {*"'\"\\"}
        ):
            return f'{{"model":"{name}","messages":[{{"role":"user","content":"Hello"}}]}}'
    return None
