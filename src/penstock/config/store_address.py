"""How the address of a store is written. It may hold a password: only `str()` of it may be shown.

Apart from the settings, so that who only needs the address does not load what checks those.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DATABASE_URL = "DATABASE_URL"
STORE_VARIABLE = "PENSTOCK_STORE"
"""The environment variable in which a process of our own finds the address: arguments can be read by everybody."""

FILE_NAME = "penstock.db"
EXPECTED = "sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE"

_SCHEME = re.compile(r"(?P<kind>sqlite|postgres(?:ql)?)(?:\+\w+)?://(?P<rest>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A store. `path` None = PostgreSQL, reached by `url`."""

    url: str = field(repr=False)
    path: Path | None = None

    @property
    def is_postgres(self) -> bool:
        return self.path is None

    def __str__(self) -> str:
        """Without password and options."""
        if self.path is not None:
            return f"sqlite:///{self.path}"
        authority, _, database = self.url.partition("://")[2].partition("?")[0].partition("/")
        user, at, host = authority.rpartition("@")
        return f"postgresql://{user.partition(':')[0]}{at}{host}/{database}"


def read_address(url: str, folder: Path | None = None) -> StoreAddress:
    """Read a store's URL; a relative path of SQLite's starts at `folder`, or at the working folder.

    Raises ValueError, whose message does not repeat the URL.
    """
    found = _SCHEME.fullmatch(url.strip())
    if found is None:
        raise ValueError(f"expected {EXPECTED}")
    if found["kind"] != "sqlite":
        return StoreAddress(f"postgresql://{found['rest']}")
    host, slash, path = found["rest"].partition("/")
    if host or not slash or not path or "\0" in path or path.startswith(":memory:"):
        raise ValueError(f"expected {EXPECTED}; three slashes before a relative path, four before an absolute one")
    return sqlite_address((folder or Path()) / path)


def password_of(url: str) -> str:
    """The password in a store's URL as it is written there; "" = it has none."""
    user, _, _ = url.partition("://")[2].partition("?")[0].partition("/")[0].rpartition("@")
    return user.partition(":")[2]


def sqlite_address(path: Path) -> StoreAddress:
    """The same address for every way to write it."""
    absolute = path.resolve()
    return StoreAddress(f"sqlite:///{absolute}", absolute)


def is_ours(url: str) -> bool:
    """Whether it names a kind of store that there is."""
    return _SCHEME.fullmatch(url) is not None


def choose_address(
    asked: str | None,
    configured: str | None,
    environ: Mapping[str, str],
    state_dir: Path,
    *,
    folder: Path | None = None,
) -> StoreAddress:
    """The command line beats the file beats `DATABASE_URL` beats SQLite in the state folder. Raises ValueError.

    `folder` is that of the file. A DATABASE_URL of a kind that is none of ours is meant for somebody else.
    """
    if asked is not None:
        return read_address(asked)
    if configured is not None:
        return read_address(configured, folder)
    if is_ours(environ.get(DATABASE_URL, "")):
        return read_address(environ[DATABASE_URL])
    return sqlite_address(state_dir / FILE_NAME)
