"""What every dialect can do: read a request, meter its answer, say no."""

from __future__ import annotations

from typing import Protocol

from penstock.core.calls.message import Body, CallFacts, Edits, Head, Reply, Usage
from penstock.errors import GatewayError


class Meter(Protocol):
    """Watches one answer go by. Bounded in memory, whatever the length of the answer."""

    @property
    def usage(self) -> Usage:
        """What the engine has said about its work so far."""

    @property
    def has_token(self) -> bool:
        """The first token has come by. Never, where nobody can see when: in what is no stream, or cannot be read."""

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

    @property
    def can_stream(self) -> bool:
        """A request may ask for its answer as a stream of events."""

    def read(self, head: Head, body: Body) -> CallFacts:
        """Understand a request. Raises BadRequest."""

    def edit(self, head: Head, facts: CallFacts, edits: Edits) -> None:
        """Change body and query of `facts` as the configuration wants; every other byte stays. Raises BadRequest."""

    def meter(self, facts: CallFacts, content_type: bytes) -> Meter:
        """A meter for an answer that says of itself what it is."""

    def refusal(self, error: GatewayError, request_id: str) -> Reply:
        """A complete answer that says no."""

    def stream_failure(self, error: GatewayError, request_id: str, after: Meter | None = None) -> bytes:
        """The same inside a stream that has already begun, and that ends with it: without the mark of completeness.

        after: what has watched the stream so far, before its `finish`, whose bytes are half an event and not sent
        any more; None = nothing of the engine's has gone out.
        """

    def waiting_text(self, text: str, model: str) -> bytes:
        """A valid piece of a stream that shows `text` to whoever waits; b"" = such a stream has no place for it."""
