"""Clients that leave, that read slowly, and that say nothing: told once, and honestly."""

from __future__ import annotations

import asyncio
import socket

from penstock.wire.ingress import BODY_PAUSE_S, HEAD_WITHIN_S, KEEP_ALIVE_S
from tests.wire.edge import Caller, World, answers, caller, chunked, edge, get, on_uvloop, post

LAST = "Connection: close"


@on_uvloop
async def test_a_client_that_leaves_while_its_body_arrives_is_told_of_once() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot", b"abc")[:-1])
        exchange = await world.exchange()
        client.reset()
        await world.until(lambda: exchange.gone_count)
        assert (exchange.gone_count, exchange.body) == (1, None)


@on_uvloop
async def test_a_client_that_leaves_while_it_waits_is_told_of_once() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot/held", b"abc") + post("/hot"))
        exchange = await world.exchange()
        client.reset()
        await world.until(lambda: exchange.gone_count)
        assert (exchange.gone_count, exchange.body, len(world.exchanges)) == (1, b"abc", 1)


@on_uvloop
async def test_a_client_that_leaves_in_the_answer_is_told_of_once() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot/held"))
        exchange = await world.exchange()
        exchange.start(None)
        exchange.client.send(b"first")
        await client.read_until(b"first")
        client.reset()
        await world.until(lambda: exchange.gone_count)
        assert (exchange.gone_count, exchange.written) == (1, [])


@on_uvloop
async def test_a_client_that_leaves_after_the_answer_is_told_to_nobody() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot"))
        await client.read_until(b"/hot 0")
        client.reset()
        while world.doors.connections:
            await _turn(world)
        assert world.exchanges[0].gone_count == 0


@on_uvloop
async def test_a_client_that_closes_its_half_has_left() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot/held", b"abc"))
        exchange = await world.exchange()
        client.writer.write_eof()
        await world.until(lambda: exchange.gone_count)
        assert await client.read_to_end() == b""


@on_uvloop
async def test_a_cut_connection_is_an_answer_without_its_end() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot/held"))
        exchange = await world.exchange()
        exchange.start(b"100")
        exchange.client.send(b"first")
        await client.read_until(b"first")
        exchange.client.abort()
        assert (await client.read_to_end()).endswith(b"first")
        assert exchange.gone_count == 0


# Slow readers.


async def slow(world: World, client: Caller) -> None:
    """Have the client stop reading a large answer, and fill what is between."""
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await client.send(post("/hot/held", b"", LAST))
    exchange = await world.exchange()
    exchange.start(None)
    while not exchange.is_paused:
        exchange.client.send(b"x" * 65536)
        await _turn(world)


async def _turn(world: World) -> None:
    """One turn of the edge's outbox."""
    done: list[None] = []

    def note(_: None) -> None:
        done.append(None)
        world.note()

    world.doors.outbox.after(note, None)
    await world.until(lambda: done)


@on_uvloop
async def test_a_client_that_stops_reading_is_told_and_one_that_reads_again_too() -> None:
    async with edge() as world, caller(world) as client:
        await slow(world, client)
        exchange = world.exchanges[0]
        assert exchange.client.is_write_paused
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        reading = asyncio.create_task(client.read_to_end())
        await world.until(lambda: not exchange.is_paused)
        exchange.finish()
        assert (await reading).endswith(b"0\r\n\r\n")


@on_uvloop
async def test_an_answer_counts_as_written_when_the_last_byte_left_us_and_not_before() -> None:
    async with edge() as world, caller(world) as client:
        await slow(world, client)
        exchange = world.exchanges[0]
        exchange.finish()
        await _turn(world)
        await _turn(world)
        assert exchange.written == []
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert (await client.read_to_end()).endswith(b"0\r\n\r\n")
        await world.until(lambda: exchange.written)
        assert exchange.written == [True]


@on_uvloop
async def test_an_answer_that_a_vanished_client_did_not_take_is_not_written() -> None:
    async with edge() as world, caller(world) as client:
        await slow(world, client)
        exchange = world.exchanges[0]
        exchange.finish()
        await _turn(world)
        client.reset()
        await world.until(lambda: exchange.written)
        assert (exchange.written, exchange.gone_count) == ([False], 0)


@on_uvloop
async def test_an_answer_lost_because_we_cut_the_connection_is_not_written() -> None:
    async with edge() as world, caller(world) as client:
        await slow(world, client)
        exchange = world.exchanges[0]
        exchange.finish()
        world.connection.cut()
        await world.until(lambda: exchange.written)
        assert exchange.written == [False]


@on_uvloop
async def test_a_client_that_asks_and_never_reads_is_not_answered_into_memory() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot"))
        await client.read_until(b"/hot 0")
        for transport in (client.writer.transport, world.connection.transport):
            for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, buffer, 65536)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        flood = get("/hot/forbidden") * 200
        client.writer.write(flood * 500)
        await world.exchange(200)
        while not (world.connection.is_write_paused and world.connection.flow.read_paused):
            await _turn(world)
        assert world.connection.transport.get_write_buffer_size() < 4_000_000
        opened = len(world.exchanges)
        await _turn(world)
        await _turn(world)
        assert len(world.exchanges) == opened


@on_uvloop
async def test_what_waited_for_a_client_to_read_is_answered_when_it_does() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot"))
        await client.read_until(b"/hot 0")
        world.connection.pause_writing()
        await client.send(post("/hot?1") + post("/hot?2", b"", LAST))
        while not world.connection.flow.read_paused:
            await _turn(world)
        assert len(world.exchanges) == 1
        world.connection.resume_writing()
        assert [answer.body for answer in answers(await client.read_to_end())][1:] == [
            b"POST /hot?1 0",
            b"POST /hot?2 0",
        ]


# Silence.


@on_uvloop
async def test_an_idle_connection_is_closed_after_a_while_and_not_before() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot"))
        await client.read_until(b"/hot 0")
        connection = world.connection
        connection.sweep(100.0)
        connection.sweep(100.0 + KEEP_ALIVE_S - 1)
        assert not connection.transport.is_closing()
        connection.sweep(100.0 + KEEP_ALIVE_S + 1)
        assert connection.transport.is_closing()
        await client.read_to_end()


@on_uvloop
async def test_a_head_that_takes_for_ever_is_cut_however_often_a_byte_comes() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot"))
        await client.read_until(b"/hot 0")
        connection = world.connection
        await client.send(b"GET /h")
        while not connection.is_reading_head:
            await _turn(world)
        began_s = connection.head_since_s
        connection.sweep(began_s + HEAD_WITHIN_S - 1)
        assert not connection.transport.is_closing()
        await client.send(b"o")
        connection.sweep(began_s + HEAD_WITHIN_S + 1)
        assert connection.transport.is_closing()


@on_uvloop
async def test_a_body_that_pauses_for_ever_is_cut_and_its_exchange_told() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(chunked("/hot", b"abc", end=b""))
        exchange = await world.exchange()
        connection = world.connection
        connection.sweep(100.0)
        connection.sweep(100.0 + BODY_PAUSE_S - 1)
        assert not connection.transport.is_closing()
        connection.sweep(100.0 + BODY_PAUSE_S + 1)
        await world.until(lambda: exchange.gone_count)


@on_uvloop
async def test_a_client_that_waits_for_its_answer_is_left_in_peace() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot/held", b"", LAST))
        exchange = await world.exchange()
        world.connection.sweep(100.0)
        world.connection.sweep(100_000.0)
        exchange.answer(200, b"at last")
        assert answers(await client.read_to_end())[0].body == b"at last"


@on_uvloop
async def test_shutdown_closes_what_is_idle_and_waits_for_the_answer_under_way() -> None:
    async with edge() as world, caller(world) as idle, caller(world) as busy:
        await idle.send(post("/hot"))
        await idle.read_until(b"/hot 0")
        await busy.send(post("/hot/held"))
        exchange = await world.exchange(2)
        for connection in list(world.doors.connections):
            connection.shutdown()
        assert (await idle.read_to_end()).endswith(b"/hot 0")
        exchange.answer(200, b"still")
        (answer,) = answers(await busy.read_to_end())
        assert (answer.body, answer.headers[b"connection"]) == (b"still", b"close")
