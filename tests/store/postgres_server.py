"""A PostgreSQL server for the tests, where its programs are installed: on a socket in a folder, gone after them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import create_engine

NAME = "penstock"
SETTINGS = {"listen_addresses": "", "fsync": "off", "log_min_messages": "log", "log_checkpoints": "off"}


class Server:
    """A server in a folder of its own, from start() to close(). It may be stopped, killed and started again."""

    def __init__(self, programs: Path, folder: Path, user: str | None) -> None:
        settings = [f"--{key}={value}" for key, value in SETTINGS.items()]
        self._argv: list[str | Path] = [programs / "postgres", "-D", "rows", "-k", folder, *settings]
        self._folder = folder
        self._user = user
        self._process: subprocess.Popen[str] | None = None
        self._databases = 0

    def start(self) -> None:
        """Returns when it takes connections."""
        assert self._process is None
        self._process = process = subprocess.Popen(
            self._argv, user=self._user, cwd=self._folder, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        while "ready to accept connections" not in (line := process.stderr.readline()):
            assert line, "it ended before it was ready"

    def stop(self, number: int = signal.SIGQUIT) -> None:
        """Returns when it has ended. SIGQUIT: at once, connections are cut, what was not on the disk is lost."""
        assert self._process is not None
        assert self._process.stderr is not None
        self._process.send_signal(number)
        self._process.wait()
        self._process.stderr.close()
        self._process = None

    def close(self) -> None:
        if self._process is not None:
            self.stop()

    def new_database(self) -> str:
        """The URL of an empty one."""
        self._databases += 1
        self.execute(f"CREATE DATABASE d{self._databases}")
        return self._url(f"d{self._databases}")

    def execute(self, statement: str) -> None:
        engine = create_engine(self._url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://{NAME}@/{database}?host={quote(str(self._folder), safe='')}"


@contextmanager
def a_postgres_server() -> Iterator[Server]:
    """Skips where there can be none."""
    programs = _programs()
    user = "nobody" if os.getuid() == 0 else None  # it refuses to run as root
    with tempfile.TemporaryDirectory(prefix="penstock-pg-") as name:
        folder = Path(name)  # one of pytest's own could not be entered by another user
        if user is not None:
            shutil.chown(folder, user)
        make = ["-D", "rows", "-U", NAME, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        subprocess.run([programs / "initdb", *make], user=user, cwd=folder, stdout=subprocess.DEVNULL, check=True)
        server = Server(programs, folder, user)
        server.start()
        try:
            yield server
        finally:
            server.close()


def _programs() -> Path:
    """The folder of the newest on this machine."""
    if find_spec("psycopg") is None:  # an extra: whoever left it out does not want this store
        pytest.skip("psycopg is not installed")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("initdb") or (debian[-1] if debian else None)
    if found is None and os.environ.get("PENSTOCK_TEST_ALL") == "1":
        pytest.fail("PostgreSQL is missing, and nothing may be skipped here")
    if found is None:
        pytest.skip("PostgreSQL is not on this machine")
    return Path(found).resolve().parent
