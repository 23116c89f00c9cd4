"""Requests in their order, at the real edge: what HTTP allows is served, and nothing is answered twice."""

from __future__ import annotations

import pytest

from tests.wire.edge import answers, ask, caller, chunked, edge, get, on_uvloop, post

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


# Framing.


@on_uvloop
async def test_an_old_client_gets_no_chunks_and_a_closed_connection() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot/stream", b"", version="1.0"))
        raw = await client.read_to_end()
        assert raw.endswith(b"\r\n\r\nonetwo")
        assert b"connection: close" in raw
        assert b"transfer-encoding" not in raw


@on_uvloop
async def test_an_old_client_that_asks_for_it_keeps_its_connection() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot", b"", "Connection: keep-alive", version="1.0"))
        await client.read_until(b"/hot 0")
        await client.send(post("/hot", b"x", version="1.0"))
        first, second = answers(await client.read_to_end())
        assert (first.headers[b"connection"], second.headers[b"connection"]) == (b"keep-alive", b"close")
        assert second.body == b"POST /hot 1"


@on_uvloop
async def test_an_answer_of_unknown_length_comes_in_chunks() -> None:
    async with edge() as world:
        (answer,) = await ask(world, post("/hot/stream", b"", LAST))
        assert (answer.headers[b"transfer-encoding"], answer.body) == (b"chunked", b"onetwo")


@on_uvloop
async def test_the_answer_to_head_has_the_length_and_no_body() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(get("/hot/forbidden", LAST, method="HEAD"))
        raw = await client.read_to_end()
        assert b"content-length: 2\r\n" in raw
        assert raw.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
@on_uvloop
async def test_an_answer_that_has_no_body_by_its_status_has_none(status: int) -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot/held", b"", LAST))
        exchange = await world.exchange()
        exchange.start(None, status)
        exchange.client.send(b"never")
        exchange.finish()
        raw = await client.read_to_end()
        assert raw.endswith(b"\r\n\r\n")
        assert b"chunked" not in raw


@on_uvloop
async def test_chunked_uploads_arrive_whole() -> None:
    async with edge() as world, caller(world) as client:
        whole = chunked("/hot", b"abc", b"d" * 70000, b"e")
        for at in range(0, len(whole), 997):
            await client.send(whole[at : at + 997])
        await client.read_until(b"POST /hot 70004")
        assert world.exchanges[0].body == b"abc" + b"d" * 70000 + b"e"


@on_uvloop
async def test_trailers_and_extensions_are_read_over_and_reach_nobody() -> None:
    async with edge() as world:
        trailing = b"0;last\r\nAuthorization: stolen\r\nX-Trailer: 1\r\n\r\n"
        got = await ask(world, chunked("/hot", b"abc", end=trailing), post("/hot", b"", LAST))
        assert [answer.body for answer in got] == [b"POST /hot 3", b"POST /hot 0"]
        first = world.exchanges[0]
        assert first.head.headers == first.headers
        assert b"authorization" not in first.head.fields


@on_uvloop
async def test_trailers_without_end_are_refused() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(chunked("/hot", b"abc", end=b"0\r\nX-Trailer: "))
        await world.exchange()
        await client.send(b"x" * 400_000)
        (answer,) = answers(await client.read_to_end())
        assert answer.status == 431
        assert world.exchanges[0].gone_count == 1


# Expect: 100-continue.


@on_uvloop
async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot", b"abc", "Expect: 100-continue", LAST)[:-3])
        await client.read_until(b"\r\n\r\n")
        await client.send(b"abc")
        assert [answer.status for answer in answers(await client.read_to_end())] == [100, 200]


@on_uvloop
async def test_a_client_that_asks_first_with_too_much_is_refused_at_once() -> None:
    async with edge(max_body_bytes=10) as world, caller(world) as client:
        await client.send(post("/hot", b"x" * 11, "Expect: 100-continue")[:-11])
        (answer,) = answers(await client.read_to_end())
        assert (answer.status, answer.headers[b"connection"]) == (413, b"close")


@on_uvloop
async def test_a_client_that_does_not_wait_for_the_go_on_gets_its_answer() -> None:
    async with edge() as world:
        got = await ask(world, post("/hot", b"abc", "Expect: 100-continue"), post("/hot", b"", LAST))
        assert [answer.body for answer in got if answer.status == 200] == [b"POST /hot 3", b"POST /hot 0"]


@on_uvloop
async def test_the_application_tells_a_client_that_asks_first_to_go_on() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/app", b"abc", "Expect: 100-continue", LAST)[:-3])
        await client.read_until(b"\r\n\r\n")
        await client.send(b"abc")
        assert [answer.status for answer in answers(await client.read_to_end())] == [100, 200]


# Offers of other protocols.


@pytest.mark.parametrize("offer", ["h2c", "websocket"])
@pytest.mark.parametrize("path", ["/hot", "/app"])
@on_uvloop
async def test_an_offer_to_upgrade_is_answered_in_http_1_with_its_whole_body(offer: str, path: str) -> None:
    async with edge() as world:
        upgrade = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {offer}", "HTTP2-Settings: AAMAAABk")
        got = await ask(world, post(path, b"GET /app/smuggled HTTP/1.1\r\n\r\n", *upgrade), post(path, b"", LAST))
        assert [answer.body.split()[-1] for answer in got] == [b"30", b"0"]
        assert "/app/smuggled" not in world.asked


@on_uvloop
async def test_a_body_in_chunks_is_read_behind_an_offer_to_upgrade() -> None:
    async with edge() as world, caller(world) as client:
        head, _, body = chunked("/hot", b"abc", b"def").partition(b"\r\n\r\n")
        for piece in (head + b"\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", body[:5], body[5:]):
            await client.send(piece)
        await client.read_until(b"POST /hot 6")
        assert world.exchanges[0].body == b"abcdef"


@on_uvloop
async def test_a_packet_full_of_offers_is_read_without_end_of_the_stack() -> None:
    async with edge() as world:
        offer = get("/hot", "Connection: upgrade", "Upgrade: h2c")
        got = await ask(world, offer * 600, post("/hot", b"", LAST))
        assert {answer.status for answer in got} == {200}
        assert world.faults == []


# Targets.


@pytest.mark.parametrize("target", ["http://other.example/hot?q", "HTTPS://other.example:8/hot?q"])
@on_uvloop
async def test_an_absolute_target_means_its_path_and_its_host(target: str) -> None:
    async with edge() as world:
        (answer,) = await ask(world, post(target, b"x", LAST))
        assert answer.body == b"POST /hot?q 1"
        head = world.exchanges[0].head
        hosts = [value for name, value in head.headers if name.lower() == b"host"]
        assert hosts == [head.fields[b"host"]] == [target.split("/")[2].encode()]


@on_uvloop
async def test_an_absolute_target_reaches_the_application_as_its_path() -> None:
    async with edge() as world:
        await ask(world, get("http://other.example/app?q"), get("http://other.example", LAST))
        assert world.asked == ["/app", "/"]
        assert world.hosts == [b"other.example", b"other.example"]


@on_uvloop
async def test_a_doubled_slash_is_another_path_and_not_a_host() -> None:
    async with edge() as world:
        await ask(world, post("//hot", b"", LAST))
        assert (world.asked, world.exchanges) == (["//hot"], [])


@on_uvloop
async def test_options_of_a_hot_path_reach_its_handler() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(get("/hot", LAST, method="OPTIONS"))
        (answer,) = answers(await client.read_to_end())
        assert answer.body == b"OPTIONS /hot 0"


@pytest.mark.parametrize(
    "request_", [get("other.example:443", method="CONNECT"), get("*", method="OPTIONS"), get("ftp://other.example/hot")]
)
@on_uvloop
async def test_a_target_that_is_no_path_is_refused_and_what_follows_is_not_read(request_: bytes) -> None:
    async with edge() as world:
        (answer,) = await ask(world, request_, post("/hot"))
        assert answer.status == 400
        assert (world.asked, world.exchanges) == ([], [])


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
