"""Byte streams that are nearly HTTP: odd lines, odd bodies, and what hypothesis makes of them."""

from __future__ import annotations

from hypothesis import strategies as st

LINES = [
    b"Host: a",
    b"Content-Length: 3",
    b"Content-Length: 03",
    b"Content-Length: 5",
    b"Content-Length: +3",
    b"Content-Length: -3",
    b"Content-Length: 0x3",
    b"Content-Length: 3, 3",
    b"Content-Length: 3 3",
    b"Content-Length:",
    b"Content-Length: 99999999999999999999999",
    b"Content-Length : 3",
    b" Content-Length: 3",
    b"Content-Length: 3\x00",
    b"content_length: 3",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: CHUNKED",
    b"Transfer-Encoding: chunked ",
    b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: chunked;q=1",
    b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding: chun\r\n ked",
    b"X: a\r\n b",
    b"X: a\rb",
    b"X: a\nTransfer-Encoding: chunked",
    b"X: \x00",
    b"X",
    b": x",
    b"X\x00: x",
    b"Connection: close",
    b"Connection: keep-alive, x",
    b"Connection: upgrade\r\nUpgrade: h2c",
    b"Connection: transfer-encoding, content-length",
    b"Expect: 100-continue",
    b"Expect: 200-ok",
    b"Trailer: X",
]
BODIES = [
    b"",
    b"abc",
    b"abcde",
    b"3\r\nabc\r\n0\r\n\r\n",
    b"3;x=y\r\nabc\r\n0;z\r\n\r\n",
    b'3;x="\r\n"\r\nabc\r\n0\r\n\r\n',
    b"3 \r\nabc\r\n0\r\n\r\n",
    b"3\nabc\n0\n\n",
    b"3\r\nabcX0\r\n\r\n",
    b"-3\r\nabc\r\n0\r\n\r\n",
    b"+3\r\nabc\r\n0\r\n\r\n",
    b"0x3\r\nabc\r\n0\r\n\r\n",
    b"3_0\r\nabc\r\n0\r\n\r\n",
    b"00000000000000000003\r\nabc\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\nabc",
    b"fffffffffffffffff\r\nabc",
    b"3\r\nabc\r\n0\r\nX: y\r\n\r\n",
    b"3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n",
    b"3\r\nabc\r\n0\r\nX: a\r\n b\r\n\r\n",
    b"3\r\nabc\r\n0\r\nX\r\n\r\n",
    b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
]
STARTS = [
    b"POST / HTTP/1.1",
    b"GET /x?y HTTP/1.1",
    b"POST / HTTP/1.0",
    b"HEAD / HTTP/1.1",
    b"OPTIONS / HTTP/1.1",
    b"POST  / HTTP/1.1",
    b"POST / HTTP/1.1 ",
    b"POST /\tx HTTP/1.1",
    b"POST / http/1.1",
    b"POST / HTTP/1.2",
    b"POST / HTTP/11",
    b"GET /",
    b"G\x00T / HTTP/1.1",
    b"\r\nPOST / HTTP/1.1",
]


@st.composite
def one_request(draw: st.DrawFn) -> bytes:
    start = draw(st.sampled_from(STARTS[:2] * 4 + STARTS))
    lines = [b"Host: a", *draw(st.lists(st.sampled_from(LINES), max_size=3))]
    end = draw(st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r"]))
    return end.join([start, *lines]) + end + end + draw(st.sampled_from(BODIES))


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """One to three requests, most of them nearly right, with a few bytes changed."""
    stream = bytearray(b"".join(draw(st.lists(one_request(), min_size=1, max_size=3))))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(stream)))
        match draw(st.sampled_from("cut put set")):
            case "c":
                del stream[at : at + draw(st.integers(1, 4))]
            case "p":
                stream[at:at] = draw(
                    st.sampled_from([b"\r", b"\n", b"\r\n", b"\x00", b" ", b"\t", b":", b"0", b"\xff"])
                )
            case _:
                stream[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
    return bytes(stream)
