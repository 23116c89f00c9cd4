"""The usage API inside the bookkeeper: on a thread of its own, on a socket in the state folder that only its owner can
reach. How it looks from the gateway's side is in usage_relay.py.
"""

from __future__ import annotations

import importlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from penstock.config.store_address import StoreAddress

SOCKET = "usage.sock"
MAX_PATH_BYTES = 100
"""Of a socket; systems differ between 104 and 108."""

BACKLOG = 64
MakeApp = Callable[[StoreAddress], Any]
"""Makes the ASGI application that answers questions about a store."""


def app_named(name: str) -> MakeApp:
    """What `package.module:function` names. The application belongs to a storey above, which names it."""
    module, _, function = name.partition(":")
    found: MakeApp = getattr(importlib.import_module(module), function)
    return found


class ShortPath:
    """A way to a socket that is short enough, however deep its folder lies; until closed."""

    def __init__(self, path: Path) -> None:
        self._folder: int | None = None
        self.name = str(path)
        if len(os.fsencode(path)) > MAX_PATH_BYTES and Path("/proc/self/fd").is_dir():
            self._folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self.name = f"/proc/self/fd/{self._folder}/{path.name}"

    def close(self) -> None:
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None


def serve_in_background(make_app: Callable[[], Any], state_dir: Path) -> None:
    """Returns at once. The application is made, and its libraries imported, on the thread: nobody waits for that.

    Only the one bookkeeper of a folder may call this: a socket that is there already is left over.
    """
    listening = _listen(state_dir / SOCKET)
    threading.Thread(target=_serve, args=(make_app, listening), name="usage", daemon=True).start()


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    short = ShortPath(path)
    try:
        listening.bind(short.name)
    finally:
        short.close()
    path.chmod(0o600)
    listening.listen(BACKLOG)
    return listening


def _serve(make_app: Callable[[], Any], listening: socket.socket) -> None:
    config = uvicorn.Config(
        make_app(), ws="none", lifespan="off", access_log=False, log_config=None, server_header=False, loop="asyncio"
    )
    uvicorn.Server(config).run(sockets=[listening])
