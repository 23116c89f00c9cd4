"""The folder in which a gateway keeps its state, and the lock that makes it its only user."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Mapping
from pathlib import Path

from penstock.errors import PenstockError


class StateDirInUse(PenstockError):
    """Another gateway is using the folder."""


class StateDir:
    """Created on demand, private (0700), locked until `close` or the end of the process."""

    def __init__(self, path: Path) -> None:
        """Raises StateDirInUse, OSError."""
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._lock)
            raise StateDirInUse(
                f"{path} is in use by another gateway. Stop it, or give this one a folder of its own with --state-dir."
            ) from exc
        self.gateway_id = self._lasting_id()

    def _lasting_id(self) -> str:
        """The same for every start of the gateway that lives here, so that it can close its own open records."""
        file = self.path / "gateway_id"
        try:
            return str(uuid.UUID(file.read_text().strip()))
        except (OSError, ValueError):
            new = str(uuid.uuid4())
            file.write_text(new + "\n")
            return new

    def close(self) -> None:
        os.close(self._lock)


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """`$XDG_STATE_HOME/penstock`, or `~/.local/state/penstock`."""
    base = environ.get("XDG_STATE_HOME", "")
    root = Path(base) if base.startswith("/") else Path(environ.get("HOME", "~")).expanduser() / ".local" / "state"
    return root / "penstock"
