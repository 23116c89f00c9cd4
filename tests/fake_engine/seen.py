"""What the fake engine has received and noticed, and waiting until it has."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field


@dataclass(slots=True)
class Request:
    """One request as it came in; `body` is the decoded content, without chunk framing."""

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    connection: int = 0  # which of the engine's connections, counted from 1
    trailers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        """The first value of a header; `name` in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass(slots=True)
class Seen:
    """Counts and heads of everything but health probes, which are only counted."""

    requests: list[Request] = field(default_factory=list)
    probes: int = 0
    connections: int = 0
    busy: int = 0  # requests being answered now
    busy_max: int = 0
    left: int = 0  # clients that went away before their reply had ended
    broken: int = 0  # requests that were not HTTP, or ended in the middle
    _waiters: list[asyncio.Future[None]] = field(default_factory=list)

    def begin(self, request: Request) -> None:
        self.requests.append(request)
        self.busy += 1
        self.busy_max = max(self.busy_max, self.busy)
        self.changed()

    def end(self, *, left: bool) -> None:
        self.busy -= 1
        self.left += left
        self.changed()

    def changed(self) -> None:
        """Let everyone who waits look again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, holds: Callable[[Seen], bool]) -> Seen:
        """Return as soon as `holds(self)`: the way to wait for the engine without guessing how long."""
        while not holds(self):
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        return self

    def count(self, name: str) -> int:
        """One of the counts by its name, as `/__seen?NAME=AT_LEAST` asks for it."""
        value = len(self.requests) if name == "requests" else getattr(self, name)
        if not isinstance(value, int):
            raise TypeError(f"{name} is not a count")
        return value

    def as_json(self) -> dict[str, object]:
        names = ("probes", "connections", "busy", "busy_max", "left", "broken")
        counts: dict[str, object] = {name: self.count(name) for name in names}
        return {**counts, "requests": [_told(request) for request in self.requests]}


def _told(request: Request) -> dict[str, object]:
    """A request as JSON can tell it; a body that is no text is known by its hash."""
    sha256 = hashlib.sha256(request.body).hexdigest()
    return {**asdict(request), "body": request.body.decode("utf-8", "replace"), "body_sha256": sha256}
