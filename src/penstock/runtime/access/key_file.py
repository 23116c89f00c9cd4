"""`keys.yaml` in the state folder: the keys that `penstock keys` makes, as a `keys` section of its own.

Whoever writes it holds `keys.lock` and puts a whole new file in place of the old one: a reader sees one or the other.
A file that is there and empty still means that keys are wanted: revoking the last one does not open the gateway.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from penstock.config.access import KeySettings, quota_text
from penstock.config.faults import ConfigError, Fault
from penstock.config.load import NATIVE, loads
from penstock.core.calls.key import Role

NAME = "keys.yaml"
_HEAD = "# Written by `penstock keys`. Secrets are not in here, only their SHA-256.\npenstock: 1\n"

Stamp = tuple[int, int, int]


class KeyFile:
    """The file of one state folder, which need not exist."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / NAME
        self._lock_path = state_dir / "keys.lock"

    def stamp(self) -> Stamp | None:
        """Another one after each change; None = there is no file."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError:  # it is there, whatever keeps us from it: reading it will say what
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_ino, found.st_size)

    def read(self) -> dict[str, KeySettings] | None:
        """Its keys by name; None = there is no file. Raises ConfigError."""
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "it is not text in UTF-8"
            fault = Fault(str(self.path), None, "", f"a file that cannot be read ({reason})", "the gateway's keys")
            raise ConfigError([fault]) from exc
        return dict(loads(text, name=str(self.path), environ={}, format=NATIVE).settings.keys)

    @contextmanager
    def changing(self) -> Iterator[dict[str, KeySettings]]:
        """The keys, to be changed; written when the block ends well. Raises ConfigError, OSError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = self.read() or {}
            yield keys
            self._write(keys)
        finally:
            os.close(lock)

    def _write(self, keys: Mapping[str, KeySettings]) -> None:
        text = _text(keys)
        loads(text, name=str(self.path), environ={}, format=NATIVE)  # what a gateway could not read is not written
        new = self.path.with_suffix(f".{os.getpid()}.new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
        except OSError:
            new.unlink(missing_ok=True)
            raise


def _text(keys: Mapping[str, KeySettings]) -> str:
    if not keys:
        return f"{_HEAD}keys: {{}}\n"
    lines = [_HEAD, "keys:\n"]
    for name, key in keys.items():
        lines.append(f"  {json.dumps(name)}:\n")
        lines += [f"    {member}: {json.dumps(value)}\n" for member, value in as_written(key).items()]
    return "".join(lines)


def as_written(key: KeySettings) -> dict[str, object]:
    """The members of a key that say something, as they stand in a file."""
    written: dict[str, object] = {"hash": key.hash}
    if key.role is not Role.NONE:
        written["role"] = key.role.value
    if key.priority != "normal":
        written["priority"] = key.priority
    if key.weight != 1.0:
        written["weight"] = key.weight
    if key.models:
        written["models"] = list(key.models)
    if key.max_concurrent is not None:
        written["max_concurrent"] = key.max_concurrent
    if key.quotas:
        written["quotas"] = [quota_text(quota) for quota in key.quotas]
    if key.expires is not None:
        written["expires"] = datetime.fromtimestamp(key.expires, UTC).isoformat()
    return written
