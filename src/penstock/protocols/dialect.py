"""What every dialect can do: read a request, meter its answer, say no."""

from __future__ import annotations

from typing import Protocol

from penstock.core.message import CallFacts, Reply, Usage
from penstock.errors import GatewayError


class Meter(Protocol):
    """Watches one answer go by. Bounded in memory, whatever the length of the answer."""

    @property
    def usage(self) -> Usage:
        """What the engine has said about its work so far."""

    @property
    def has_token(self) -> bool:
        """The first token (or the first byte of what is no stream of tokens) has come by."""

    @property
    def failure(self) -> str | None:
        """The error that the engine reported inside its answer; None = none."""

    def feed(self, data: bytes) -> bytes:
        """Take what the engine sent, give what the client gets: the same bytes, unless the dialect must hide some."""

    def finish(self) -> bytes:
        """The answer is complete; give what was held back."""


class Dialect(Protocol):
    """One way of speaking. Stateless."""

    @property
    def name(self) -> str: ...

    def read(self, body: bytes | bytearray) -> CallFacts:
        """Understand a request. Raises BadRequest."""

    def rename(self, body: bytes | bytearray, model: str) -> bytes:
        """The same request for an engine that knows the model by another name."""

    def meter(self, facts: CallFacts, content_type: bytes, content_encoding: bytes) -> Meter:
        """A meter for an answer that says of itself what it is; of one that is compressed nothing is read."""

    def refusal(self, error: GatewayError) -> Reply:
        """A complete answer that says no."""

    def stream_failure(self, error: GatewayError) -> bytes:
        """The same inside a stream that has already begun."""
