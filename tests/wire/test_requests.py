"""One request at the real edge: its framing, its offers and its target mean what the standard says."""

from __future__ import annotations

import pytest

from tests.wire.edge import answers, ask, caller, chunked, edge, get, on_uvloop, post

LAST = "Connection: close"


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
