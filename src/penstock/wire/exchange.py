"""What a hot request and the connection it came on may ask of each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from penstock.core.calls.message import Body, Head, Headers, Reply
from penstock.errors import GatewayError, TooLarge
from penstock.wire.body import SpooledBody


class Exchange(Protocol):
    """One hot request on its way. Calls come in the order of the bytes; `gone` may come at any time, once.

    It answers after `receive` or `refuse_body`; or at once and completely, when the head alone decides.
    """

    def receive(self, body: Body) -> None:
        """The whole request body is here; a view if it waits on disk."""

    def receive_more(self, data: bytes) -> None:
        """Bytes of the protocol that the request asked to change to."""

    def refuse_body(self, error: GatewayError) -> None:
        """The body is larger than the limit, or could not be kept; it will not be read."""

    def gone(self) -> None:
        """The client closed the connection, or sent what is not HTTP in the middle of the body."""

    def pause(self) -> None:
        """The client reads more slowly than the engine writes."""

    def resume(self) -> None: ...


class HotHandler(Protocol):
    """Opens an exchange as soon as a request's head is known, before its body has come."""

    def __call__(self, client: Client, head: Head) -> Exchange: ...


class Client(Protocol):
    """The connection as an exchange sees it. After `finish` or `abort` the exchange is over."""

    @property
    def is_write_paused(self) -> bool: ...

    @property
    def send(self) -> Callable[[bytes], None]:
        """A piece of the answer's body. b"" = it may take a while until there is one."""

    def reply(self, reply: Reply) -> None:
        """Answer completely and finish."""

    def announce(self, status: int, headers: Headers) -> None:
        """A 1xx that comes ahead of the answer; who speaks HTTP/1.0 does not get it."""

    def start_reply(self, status: int, headers: Headers, added: bytes, length: bytes | None) -> None:
        """Begin an answer; its head goes out with the first data."""

    def trailers(self, headers: Headers) -> None:
        """What is to follow the body, if the client reads such things."""

    def finish(self, when_written: Callable[[bool], None]) -> None:
        """The answer is complete. `when_written(True)` once the kernel has its last byte, False if the client left."""

    def start_tunnel(self, head: bytes) -> None:
        """Agree to change the protocol, with this complete head; from now on bytes pass as they are."""

    def send_raw(self, data: bytes) -> None: ...

    def pause_reading(self) -> None:
        """Take nothing from the client until `resume_reading`."""

    def resume_reading(self) -> None: ...

    def end_tunnel(self) -> None:
        """Close the connection once everything is written."""

    def abort(self) -> None:
        """Cut the connection: the only honest way to say that an answer already begun will not be completed."""


class Incoming:
    """A hot request whose bytes are arriving, that waits behind another, or that is being served."""

    __slots__ = ("body", "exchange", "fault", "handler", "head", "is_whole", "keeps_alive")

    def __init__(self, head: Head, handler: HotHandler, keeps_alive: bool, max_body_bytes: int) -> None:
        length = head.fields.get(b"content-length")
        self.head = head
        self.handler = handler
        self.keeps_alive = keeps_alive
        self.fault: GatewayError | None = None  # why the body is not read to its end
        if length is not None and int(length) > max_body_bytes:
            self.fault = TooLarge(limit_bytes=max_body_bytes)
        self.exchange: Exchange | None = None
        self.body: bytes | bytearray | SpooledBody = b""
        self.is_whole = False

    @property
    def has_body(self) -> bool:
        return b"content-length" in self.head.fields or b"transfer-encoding" in self.head.fields

    @property
    def waits_for_continue(self) -> bool:
        head = self.head
        is_asked = head.fields.get(b"expect", b"").lower() == b"100-continue" and head.http_version != "1.0"
        return is_asked and self.has_body and not len(self.body)
