"""More than may be: refused once, in words that arrive, and the connection closes."""

from __future__ import annotations

import pytest

from tests.wire.edge import answers, ask, caller, chunked, edge, get, on_uvloop, post

LAST = "Connection: close"


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /hot HTTP/1.1\r\nHost: gateway\r\nX-Long: ",
        b"GET /hot?",
        b"GET /hot HTTP/1.1\r\nHost: gateway\r\n",
        b"GET /hot HTTP/1.1\r\nHost: gateway\r\nX-",
    ],
    ids=["value", "target", "fields", "name"],
)
@on_uvloop
async def test_a_head_without_end_is_refused_once(endless: bytes) -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot"))
        await client.read_until(b"/hot 0")
        await client.send(endless)
        await client.send((b"X-A: b\r\n" if endless.endswith(b"\r\n") else b"aaaaaaaa") * 50_000)
        first, second = answers(await client.read_to_end())
        assert (first.status, second.status, second.headers[b"connection"]) == (200, 431, b"close")
        assert (len(world.exchanges), world.doors.malformed) == (1, 1)


@pytest.mark.parametrize(("value_bytes", "status"), [(60_000, 200), (70_000, 431)])
@on_uvloop
async def test_a_head_in_one_piece_has_the_same_limit(value_bytes: int, status: int) -> None:
    async with edge() as world:
        assert [a.status for a in await ask(world, get("/hot", "X-Long: " + "a" * value_bytes, LAST))] == [status]


@pytest.mark.parametrize(("fields", "status"), [(126, 200), (127, 431)])
@on_uvloop
async def test_a_head_has_at_most_128_fields(fields: int, status: int) -> None:
    async with edge() as world:
        (answer,) = await ask(world, get("/hot", *[f"X-{n}: a" for n in range(fields)], LAST))
        assert answer.status == status


@on_uvloop
async def test_a_large_body_before_a_small_head_is_not_held_against_the_head() -> None:
    async with edge() as world, caller(world) as client:
        both = post("/hot", b"x" * 500_000) + post("/hot", b"", LAST)
        await client.send(both[:-20])
        await client.read_until(b"500000")
        await client.send(both[-20:])
        assert [answer.status for answer in answers(await client.read_to_end())] == [200, 200]


@pytest.mark.parametrize(
    "start", [post("/hot", b"x" * 9_000_000)[:1_500_000], chunked("/hot", *[b"x" * 50_000] * 30, end=b"")]
)
@on_uvloop
async def test_a_client_that_is_still_sending_can_read_that_its_body_is_too_large(start: bytes) -> None:
    async with edge(max_body_bytes=1_000_000) as world, caller(world) as client:
        await client.send(start)
        await client.read_until(b"larger than the 1000000")
        await client.send(b"x" * 300_000)
        (answer,) = answers(await client.read_to_end())
        assert answer.status == 413


@on_uvloop
async def test_a_client_that_goes_on_sending_for_ever_is_cut() -> None:
    async with edge(max_body_bytes=1_000_000) as world, caller(world) as client:
        with pytest.raises(ConnectionError):
            await client.send(post("/hot", b"x" * 64_000_000))
        assert world.exchanges[0].gone_count == 0


@on_uvloop
async def test_a_client_that_sends_all_of_a_body_before_it_reads_finds_the_refusal() -> None:
    async with edge(max_body_bytes=1_000_000) as world, caller(world) as client:
        await client.send(post("/hot", b"x" * 1_900_000))
        (answer,) = answers(await client.read_to_end())
        assert (answer.status, answer.headers[b"connection"]) == (413, b"close")
        assert world.exchanges[0].gone_count == 0


@on_uvloop
async def test_a_request_refused_by_its_head_alone_costs_its_body_and_its_connection() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot/forbidden", b"x" * 900_000) + post("/hot"))
        (answer,) = answers(await client.read_to_end())
        assert (answer.status, answer.headers[b"connection"]) == (403, b"close")
        assert world.exchanges[0].body is None


@on_uvloop
async def test_a_request_without_a_body_that_is_refused_keeps_its_connection() -> None:
    async with edge() as world:
        got = await ask(world, get("/hot/forbidden"), get("/hot/forbidden", LAST))
        assert [answer.status for answer in got] == [403, 403]


@on_uvloop
async def test_a_body_that_is_not_chunked_as_it_says_is_refused_and_its_exchange_told() -> None:
    async with edge() as world:
        (answer,) = await ask(world, chunked("/hot", b"abc", end=b"no number\r\n"))
        assert answer.status == 400
        assert (world.exchanges[0].gone_count, world.exchanges[0].body) == (1, None)


@on_uvloop
async def test_an_application_that_waits_for_a_body_that_breaks_is_told() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(chunked("/app", b"abc", end=b""))
        await world.until(lambda: world.asked)
        await client.send(b"no number\r\n")
        assert [answer.status for answer in answers(await client.read_to_end())] == [400]
        await world.until(lambda: "disconnect" in world.asked)


@on_uvloop
async def test_what_is_not_http_behind_a_request_closes_after_its_answer() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(post("/hot/held") + b"\x16\x03\x01")
        (await world.exchange()).answer(200, b"first")
        assert [answer.body for answer in answers(await client.read_to_end())] == [b"first"]
        assert (world.exchanges[0].gone_count, world.doors.malformed) == (0, 1)


@on_uvloop
async def test_what_is_not_http_behind_the_application_closes_after_its_answer() -> None:
    async with edge() as world, caller(world) as client:
        await client.send(get("/app/held") + b"\x16\x03\x01")
        await world.until(lambda: world.asked)
        world.hold.set()
        assert [answer.body for answer in answers(await client.read_to_end())] == [b"app /app/held 0"]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /hot HTTP/1.1\r\n\r\n", 400),
        (b"GET /hot HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET /hot\r\n\r\n", 505),
        (b"GET /hot HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"POST /hot HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST /hot HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
@on_uvloop
async def test_what_the_parser_lets_through_and_the_standard_does_not_is_refused(request_: bytes, status: int) -> None:
    async with edge() as world:
        (answer,) = await ask(world, request_)
        assert answer.status == status
        assert b"malformed_http" in answer.body
        assert world.exchanges == []


@on_uvloop
async def test_one_connection_more_than_may_be_is_not_served() -> None:
    async with edge(max_connections=1) as world, caller(world) as first:
        await first.send(post("/hot"))
        await first.read_until(b"/hot 0")
        try:
            assert await ask(world, post("/hot", b"", LAST)) == []
        except ConnectionError:
            pass  # which of the two the other side sees is the kernel's choice
        await first.send(post("/hot?again", b"", LAST))
        assert b"/hot?again 0" in await first.read_to_end()
