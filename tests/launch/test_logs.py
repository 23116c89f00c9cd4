"""What an engine printed last can be read by anyone, at any pace, and holds up nobody."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from penstock.launch.logs import LogRing, Piece
from tests.launch.conftest import Run
from tests.launch.engines import engine, launching, start


def test_the_tail_has_whole_lines() -> None:
    ring = LogRing()
    ring.append(b"one\ntwo\nthree")
    assert ring.tail() == "one\ntwo\nthree"
    assert ring.tail(11) == "two\nthree"[-9:]
    assert ring.tail(9) == "two\nthree"
    assert ring.tail(7) == "three"


def test_the_latest_start_is_told_without_those_before_it() -> None:
    ring = LogRing()
    assert ring.latest() == ""
    ring.append(b"no end of line")
    ring.begin()
    assert ring.latest() == ""
    ring.append(b"again\nonce more\n")
    assert ring.latest() == "again\nonce more\n"
    assert ring.latest(12) == "once more\n"
    assert ring.tail() == "no end of lineagain\nonce more\n"


def test_of_a_line_longer_than_the_tail_there_is_the_end() -> None:
    ring = LogRing()
    ring.append(b"a very long line")
    assert ring.tail(4) == "line"


def test_what_is_not_text_is_shown_all_the_same() -> None:
    ring = LogRing()
    ring.append(b"gr\xfcn\n")
    assert ring.tail() == "gr\ufffdn\n"


@given(st.lists(st.binary(max_size=40)), st.integers(1, 30), st.integers(0, 40))
def test_the_ring_keeps_the_end_of_what_was_printed_and_no_more(
    prints: list[bytes], limit_bytes: int, max_bytes: int
) -> None:
    ring = LogRing(limit_bytes)
    for text in prints:
        ring.append(text)
    printed = b"".join(prints)
    tail = ring.tail(max_bytes)
    assert printed.decode(errors="replace").endswith(tail) or "\ufffd" in tail
    assert len(ring) <= 2 * limit_bytes

    async def world() -> None:
        ring.close()
        kept = b"".join([piece.text async for piece in ring.subscribe(from_start=True)])
        assert kept == printed[-limit_bytes:]

    asyncio.run(world())


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.booleans()), max_size=30), st.integers(1, 30))
def test_a_reader_gets_or_misses_every_byte_once(steps: list[tuple[bytes, bool]], limit_bytes: int) -> None:
    async def world() -> None:
        ring, printed, got = LogRing(limit_bytes), b"", 0
        reader = ring.subscribe(from_start=True)
        for text, reads in steps:
            ring.append(text)
            printed += text
            if reads:
                piece = await anext(reader)
                got += piece.lost_bytes
                assert printed[got : got + len(piece.text)] == piece.text
                got += len(piece.text)
        ring.close()
        got += sum([piece.lost_bytes + len(piece.text) async for piece in reader])
        assert got == len(printed)

    asyncio.run(world())


def test_a_reader_of_the_news_does_not_get_the_old(run: Run) -> None:
    async def world() -> None:
        ring = LogRing()
        ring.append(b"old")
        news = asyncio.ensure_future(anext(ring.subscribe(from_start=False)))
        asyncio.get_running_loop().call_soon(ring.append, b"new")
        assert await news == Piece(b"new")

    run(world())


def test_a_flood_is_read_to_its_end_whoever_reads_it_slowly(run: Run) -> None:
    chunks, chunk_bytes = 400, 65536
    code = f"for _ in range({chunks}): os.write(1, b'x' * {chunk_bytes - 1} + b'\\n')"
    portions = []

    async def world() -> None:
        async with launching() as launcher:
            quiet = await start(launcher, engine("rest('ready')"))
            flood = await start(launcher, engine(f"{code}\nprint('done', 1)"))
            slow = flood.log.subscribe(from_start=True)
            first = await anext(slow)
            await quiet.says("ready")
            await flood.running.wait()
            flood.log.close()
            assert flood.log.tail().endswith("x\ndone 1\n")
            rest = [piece async for piece in slow]
            assert rest[0].lost_bytes > chunks * chunk_bytes // 2
            portions.extend([first, *rest])

    run(world())
    assert sum(piece.lost_bytes + len(piece.text) for piece in portions) == chunks * chunk_bytes + len(b"done 1\n")
