"""One reading of every byte stream: mutated and cut streams against the real edge, with h11 as second opinion.

What h11 refuses as a request must be refused here; what both take, both must read alike.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import h11
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from penstock.core.calls.message import Body, Head, Reply
from penstock.errors import GatewayError
from penstock.wire.exchange import Client, HotHandler
from penstock.wire.ingress import Doors, Ingress, bind
from penstock.wire.outbox import Outbox
from tests.wire.edge import bodies
from tests.wire.odd_streams import BODIES, LINES, streams

MAX_HEAD_BYTES = 4096
MAX_BODY_BYTES = 5000


class Transport(asyncio.Transport):
    """Keeps what is written, until it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_eof = self.is_closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def write(self, data: Any) -> None:
        assert not self.is_closed
        assert not self.is_eof
        self.written += bytes(data)

    def write_eof(self) -> None:
        self.is_eof = True

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Loop(asyncio.SelectorEventLoop):
    """A loop whose turns are made by hand, so that an example costs no real one."""

    def turns(self) -> None:
        while self._ready:  # type: ignore[attr-defined]
            self._run_once()  # type: ignore[attr-defined]


@dataclass(slots=True, eq=False)
class Exchange:
    client: Client
    head: Head
    body: bytes | None = None
    answers: int = 0
    gone_count: int = 0

    def receive(self, body: Body) -> None:
        assert self.body is None
        assert not self.gone_count
        self.body = bytes(body)
        self.answer(200)

    def receive_more(self, data: bytes) -> None:
        raise AssertionError("nobody asked for another protocol")

    def refuse_body(self, error: GatewayError) -> None:
        assert self.body is None
        self.answer(error.status)

    def answer(self, status: int) -> None:
        assert not self.answers, "answered once"
        self.answers += 1
        self.client.reply(Reply(status, [], b"ok"))

    def gone(self) -> None:
        assert not self.answers
        self.gone_count += 1
        assert self.gone_count == 1

    def pause(self) -> None: ...
    def resume(self) -> None: ...


@dataclass(slots=True)
class Seen:
    """How the edge read a stream."""

    exchanges: list[Exchange] = field(default_factory=list)
    malformed: int = 0
    written: bytes = b""
    most_held_bytes: int = 0

    @property
    def requests(self) -> list[tuple[bytes, bytes, bytes]]:
        """Of what was read whole: method, target, body."""
        return [(e.head.method, e.head.target, e.body) for e in self.exchanges if e.body is not None]


async def _nobody(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("everything is hot here")


_LOOP = Loop()
_CONFIG = uvicorn.Config(_nobody, http=Ingress, ws="none", lifespan="off", interface="asgi3", log_config=None)
_CONFIG.load()


def see(stream: bytes, cuts: list[int] | None = None) -> Seen:
    """Give the stream to a new connection, cut at these places, and close it."""
    seen = Seen()

    def open_exchange(client: Client, head: Head) -> Exchange:
        seen.exchanges.append(Exchange(client, head))
        return seen.exchanges[-1]

    def route(head: Head) -> HotHandler:
        return open_exchange

    doors = Doors(route, Outbox(_LOOP, lambda: None), bodies(), MAX_HEAD_BYTES, 20, MAX_BODY_BYTES, 10)
    connection, transport = bind(doors)(_CONFIG, ServerState(), {}, _LOOP), Transport()
    connection.connection_made(transport)
    at = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts or [])})
    for start, end in pairwise(at):
        if transport.is_closed:
            break
        connection.data_received(stream[start:end])
        _LOOP.turns()
        held = sum(len(name) + len(value) for name, value in connection.headers) + len(connection.url)
        held += sum(len(e.body or b"") for e in seen.exchanges if not e.answers)
        seen.most_held_bytes = max(seen.most_held_bytes, held)
    connection.connection_lost(None)
    _LOOP.turns()
    seen.malformed, seen.written = doors.malformed, transport.written
    for exchange in seen.exchanges:
        assert exchange.answers + exchange.gone_count == 1, "each is answered, or its client is gone"
    assert transport.written.count(b"HTTP/1.1 4") <= 1
    return seen


_SPACES_AFTER_METHOD = re.compile(rb"^([A-Z-]+) +")


def second_opinion(stream: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """The requests that h11 reads, one connection for each.

    RFC 9112 allows two things that h11 does not do: to skip empty lines before a request (2.2), and to take
    several spaces after the method for one (3).
    """
    found: list[tuple[bytes, bytes, bytes]] = []
    while stream := _SPACES_AFTER_METHOD.sub(rb"\1 ", stream.lstrip(b"\r\n")):
        server = h11.Connection(h11.SERVER, max_incomplete_event_size=10 * MAX_HEAD_BYTES)
        server.receive_data(stream)
        head, body = None, b""
        try:
            while not isinstance(event := server.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Request):
                    head = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                else:
                    return found  # the rest has not come
        except h11.RemoteProtocolError:
            return found
        assert head is not None
        found.append((head.method, head.target, body))
        if repr(server.their_state) == "MIGHT_SWITCH_PROTOCOL":  # not exported
            server.send(h11.Response(status_code=200, headers=[]))  # we never do
        if server.their_state is not h11.DONE:  # it closes the connection
            return found
        stream = server.trailing_data[0]
    return found


FAST = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LONG = settings(max_examples=20_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check_against_h11(stream: bytes) -> None:
    """Whatever we read, h11 reads the same; we may stop earlier, and never later."""
    seen = see(stream)
    assert seen.requests == second_opinion(stream)[: len(seen.requests)]


@FAST
@given(stream=streams())
def test_h11_reads_every_request_that_we_read_and_reads_it_alike(stream: bytes) -> None:
    check_against_h11(stream)


@pytest.mark.long
@pytest.mark.timeout(1800)
@LONG
@given(stream=streams())
def test_h11_reads_very_many_requests_alike(stream: bytes) -> None:
    check_against_h11(stream)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("body", BODIES)
def test_every_odd_line_over_every_odd_body_has_one_reading(line: bytes, body: bytes) -> None:
    for framing in (b"", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"):
        for head in (framing + line, line + b"\r\n" + framing.rstrip()):
            check_against_h11(b"POST / HTTP/1.1\r\nHost: a\r\n" + head.strip(b"\r\n") + b"\r\n\r\n" + body)


@FAST
@given(stream=streams(), cuts=st.lists(st.integers(0, 500), max_size=20))
def test_where_a_stream_is_cut_changes_nothing(stream: bytes, cuts: list[int]) -> None:
    whole, cut = see(stream), see(stream, cuts)
    assert cut.requests == whole.requests
    assert cut.malformed <= whole.malformed, "a connection that is closed already is not read"


def test_a_stream_cut_at_every_single_place_is_the_same_stream() -> None:
    stream = (
        b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        b"POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n"
        b"POST /3 HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc"
        b"GET /4 HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    whole = see(stream)
    assert [request[1:] for request in whole.requests] == [
        (b"/1", b"abc"),
        (b"/2", b"abc"),
        (b"/3", b"abc"),
        (b"/4", b""),
    ]
    for at in range(len(stream)):
        assert see(stream, [at]).requests == whole.requests
    assert see(stream, list(range(len(stream)))).requests == whole.requests


@FAST
@given(stream=st.binary(max_size=3000), cuts=st.lists(st.integers(0, 3000), max_size=10))
def test_noise_is_refused_once_at_most(stream: bytes, cuts: list[int]) -> None:
    seen = see(stream, cuts)
    assert seen.malformed <= 1


@pytest.mark.parametrize(
    "start",
    [
        b"GET /",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nX: ",
        b"GET / HTTP/1.1\r\nX",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n",
    ],
)
@pytest.mark.parametrize(
    "more", [b"a", b"X: y\r\n", b"1\r\na\r\n", b"\r\n", b"a" * 1000, b"a: " + b"b" * 500 + b"\r\n"]
)
def test_nothing_makes_a_connection_hold_more_than_its_limits(start: bytes, more: bytes) -> None:
    rounds = 100_000 // len(more)
    cuts = [len(start) + at * len(more) for at in range(0, rounds, max(1, 1000 // len(more)))]
    seen = see(start + more * rounds, cuts)
    assert seen.most_held_bytes <= MAX_HEAD_BYTES + MAX_BODY_BYTES + 2000
    assert len(seen.written) < 1000 or seen.malformed == 0
