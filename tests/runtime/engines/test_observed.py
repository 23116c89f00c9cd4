"""Loads of another system, as seen by what it shows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from penstock.core.accounting.load_record import LoadRecord
from penstock.runtime.engines.observed import Observed, shown_in, watch
from penstock.runtime.machine.readings import Ids
from penstock.wire.outbox import Outbox
from tests.fakes import in_loop


class World:
    """What is seen, at moments that are set by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.kept: list[LoadRecord] = []
        self.observed = Observed(lambda record: self.kept.append(replace(record)), Ids("g", "b"), lambda: self.now_s)

    def see(self, at_s: float, **states: str) -> None:
        self.now_s = at_s
        self.observed.see(states)


def test_a_load_that_is_seen_to_begin_and_to_end_is_a_row() -> None:
    world = World()
    world.see(0.0, b="ready")
    world.see(1.0, a="starting", b="ready")
    world.see(2.0, a="starting")
    world.see(9.0, a="ready")
    assert [record.outcome for record in world.kept] == [None, "ready"]
    last = world.kept[-1]
    assert (last.model, last.source, last.done_s) == ("a", "observed", 8.0)
    assert (last.cause, last.engine, last.memory_before_bytes) == (None, None, None)


def test_a_load_that_is_given_up_has_an_end_and_the_next_one_its_own_beginning() -> None:
    world = World()
    world.see(0.0)
    world.see(1.0, a="starting")
    world.see(3.0)
    world.see(10.0, a="starting")
    world.see(12.0, a="ready")
    ends = [(record.outcome, record.done_s) for record in world.kept if record.outcome]
    assert ends == [("cancelled", 2.0), ("ready", 2.0)]


def test_a_load_whose_beginning_nobody_saw_is_no_row() -> None:
    world = World()
    world.see(0.0, a="starting")  # under way when we came
    world.see(1.0, a="starting")
    world.see(2.0, a="ready")
    world.observed.blind()
    world.see(60.0, a="ready", b="starting")  # began while nothing was answered
    world.see(61.0, a="ready", b="ready")
    assert world.kept == []


def test_a_load_goes_on_while_nothing_is_answered() -> None:
    world = World()
    world.see(0.0)
    world.see(1.0, a="starting")
    world.observed.blind()
    world.see(5.0, a="ready")
    assert (world.kept[-1].outcome, world.kept[-1].done_s) == ("ready", 4.0)


@given(st.binary() | st.sampled_from([b'{"running":[]}', b'{"running":[{"model":1}]}', b"[" * 9999]))
def test_whatever_is_answered_is_read_or_left(body: bytes) -> None:
    states = shown_in(body)
    assert states is None or isinstance(states, Mapping)


@in_loop
async def test_it_is_asked_over_http() -> None:
    asked = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"GET /running HTTP/1.1\r\n")
        body = b'{"running":[{"model":"a","state":"starting","proxy":"x"}]}'
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    class Sees(Observed):
        def see(self, states: Mapping[str, str]) -> None:
            assert dict(states) == {"a": "starting"}
            asked.set()

    async with asyncio.timeout(5), await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        observed = Sees(lambda _record: None, Ids("g", "b"), lambda: 0.0)
        outbox = Outbox(asyncio.get_running_loop(), lambda: None)
        watching = asyncio.create_task(watch(f"http://127.0.0.1:{port}/running", observed, outbox))
        await asked.wait()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@in_loop
async def test_what_is_no_address_is_not_asked() -> None:
    seen: list[object] = []
    observed = Observed(seen.append, Ids("g", "b"), lambda: 0.0)
    asked = asyncio.create_task(watch("not an address", observed, Outbox(asyncio.get_running_loop(), lambda: None)))
    done, _ = await asyncio.wait([asked], timeout=5)
    assert asked in done, "there is nothing to go on asking"
    assert asked.exception() is None
    assert seen == []
