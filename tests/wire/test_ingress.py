"""Requests in their order, at the real edge: what HTTP allows is served, and nothing is answered twice."""

from __future__ import annotations

from tests.wire.edge import answers, ask, caller, edge, get, on_uvloop, post

LAST = "Connection: close"


# One after another.


@on_uvloop
async def test_pipelined_hot_requests_are_answered_in_their_order() -> None:
    async with edge() as world:
        got = await ask(world, post("/hot?1", b"a"), post("/hot?2", b"bb"), post("/hot?3", b"ccc", LAST))
        assert [answer.body for answer in got] == [b"POST /hot?1 1", b"POST /hot?2 2", b"POST /hot?3 3"]


@on_uvloop
async def test_a_request_waits_until_the_one_before_it_is_answered() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot/held", b"a") + post("/hot", b"b", LAST))
        first = await world.exchange()
        assert len(world.exchanges) == 1
        first.answer(200, b"first")
        got = answers(await client.read_to_end())
        assert [answer.body for answer in got] == [b"first", b"POST /hot 1"]


@on_uvloop
async def test_a_request_for_the_application_behind_a_hot_one_closes_after_the_hot_ones_answer() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot/held") + get("/app") + post("/hot"))
        (await world.exchange()).answer(200, b"first")
        (answer,) = answers(await client.read_to_end())
        assert (answer.body, answer.headers[b"connection"]) == (b"first", b"close")
        assert world.asked == []


@on_uvloop
async def test_everything_before_a_request_for_the_application_is_answered() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot/held") + post("/hot") + get("/app"))
        (await world.exchange()).answer(200, b"first")
        got = answers(await client.read_to_end())
        assert [answer.body for answer in got] == [b"first", b"POST /hot 0"]


@on_uvloop
async def test_a_hot_request_behind_the_application_waits_for_its_answer() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(get("/app/held") + post("/hot", b"x", LAST))
        await world.until(lambda: world.asked)
        assert world.exchanges == []
        world.hold.set()
        got = answers(await client.read_to_end())
        assert [answer.body for answer in got] == [b"app /app/held 0", b"POST /hot 1"]


@on_uvloop
async def test_the_application_is_never_let_past_a_hot_request_that_came_before() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(get("/app/held") + get("/app") + post("/hot") + get("/app/late"))
        await world.until(lambda: world.asked)
        world.hold.set()
        got = answers(await client.read_to_end())
        assert [answer.body for answer in got] == [b"app /app/held 0", b"app /app 0", b"POST /hot 0"]


@on_uvloop
async def test_hot_and_application_take_turns_on_one_connection() -> None:
    async with edge() as world, caller(world) as client:
        for turn in range(3):
            await client.send(post(f"/hot?{turn}"))
            await client.read_until(b"/hot?%d 0" % turn)
            await client.send(post("/app", b"x" * turn))
            await client.read_until(b"app /app %d" % turn)
        assert len(answers(client.got)) == 6


@on_uvloop
async def test_very_many_small_requests_in_one_packet_are_all_answered_or_the_connection_closes_in_between() -> None:
    async with edge() as world:
        got = await ask(world, *[post(f"/hot?{n}") for n in range(200)], post("/hot?last", b"", LAST))
        assert [answer.body for answer in got][-2:] == [b"POST /hot?199 0", b"POST /hot?last 0"]
        assert len(got) == 201


@on_uvloop
async def test_more_requests_than_may_wait_are_not_read_and_the_connection_says_so() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot/held") + b"".join(post(f"/hot?{n}") for n in range(1000)))
        (await world.exchange()).answer(200, b"first")
        got = answers(await client.read_to_end())
        assert [answer.body for answer in got[1:]] == [b"POST /hot?%d 0" % n for n in range(256)]
        assert got[-1].headers[b"connection"] == b"close"


# Contracts with uvicorn that nothing above shows by itself.


@on_uvloop
async def test_uvicorns_keep_alive_timer_is_off_while_a_hot_request_is_served() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(get("/app"))
        await client.read_until(b"app /app 0")
        assert world.connection.timeout_keep_alive_task is not None
        await client.send(post("/hot/held"))
        await world.exchange()
        assert world.connection.timeout_keep_alive_task is None


@on_uvloop
async def test_uvicorns_class_still_has_what_is_overridden_and_relied_on() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(get("/app/held"))
        await world.until(lambda: world.asked)
        connection, cycle = world.connection, world.connection.cycle
        assert (cycle.response_started, cycle.response_complete, cycle.disconnected) == (False, False, False)
        assert (cycle.keep_alive, cycle.more_body, list(connection.pipeline)) == (True, False, [])
        assert cycle.on_response == connection.on_response_complete
        assert (connection.flow.read_paused, connection.flow.write_paused) == (False, False)


@on_uvloop
async def test_a_mistake_in_an_exchange_is_reported_and_costs_its_own_connection_only() -> None:
    async with edge() as world, caller(world) as other:
        await other.send(post("/hot/held"))
        await world.exchange()
        assert await ask(world, post("/hot/broken")) == []
        assert [type(fault) for fault in world.faults] == [ZeroDivisionError]
        assert world.exchanges[1].gone_count == 1
        world.exchanges[0].answer(200, b"untouched")
        await other.read_until(b"untouched")
        assert world.doors.malformed == 0
