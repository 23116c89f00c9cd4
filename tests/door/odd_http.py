"""A generator of odd but legal HTTP: requests, and the answers that an engine gives to them."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.vendor.pretty import RepresentationPrinter

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Odd:
    """One request, and what its engine answers. path begins with a slash; reply: all its bytes, as Latin-1."""

    method: str
    path: str
    query: str
    headers: Headers
    version: str
    is_absolute: bool
    body: bytes
    chunks: list[int] | None
    """Sizes of the body's chunks, the last one for the rest; None = it has a length, if there is one."""
    extensions: str
    trailers: Headers
    expects: bool
    reply: str

    def _repr_pretty_(self, printer: RepresentationPrinter, cycle: bool) -> None:
        """What is sent and answered, shortened."""
        printer.text(f"{b''.join(self.pieces(''))!r:.1500} -> {self.reply!r:.600}")

    def pieces(self, prefix: str) -> list[bytes]:
        """The bytes of the request, head and body apart."""
        target = prefix + self.path + self.query
        target = f"http://localhost{target}" if self.is_absolute else target
        lines = [f"{self.method} {target} HTTP/{self.version}", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines += ["Expect: 100-continue"] if self.expects else []
        if self.chunks is not None:
            lines.append("Transfer-Encoding: chunked")
        elif self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return [head, self._chunked()] if self.chunks is not None else [head, self.body] if self.body else [head]

    def _chunked(self) -> bytes:
        out, rest = b"", self.body
        for size in [*(self.chunks or ()), len(rest)]:
            piece, rest = rest[:size], rest[size:]
            if piece:
                out += b"%x%b\r\n%b\r\n" % (len(piece), self.extensions.encode(), piece)
        end = "".join(f"{name}: {value}\r\n" for name, value in self.trailers)
        return out + f"0{self.extensions}\r\n{end}\r\n".encode("latin-1")


SEGMENTS = st.sampled_from(
    [
        "a",
        "v2",
        "%2F",
        "%2f",
        "a%20b",
        "%C3%A9",
        ";p=1",
        "~x",
        "%41",
        "+",
        ":",
        "@",
        "a,b",
        "$&'()*",
        "x.y",
        "%25",
        "-_",
    ]
)
PATHS = st.lists(SEGMENTS, max_size=4).map(lambda segments: "/" + "/".join(segments)) | st.sampled_from(
    ["/", "/a/", "/a//b", "/a/./b", "/a/../b", "/v1/models/", "/a/b//"]
)
PAIRS = st.sampled_from(
    ["a=1", "a=2", "a", "a=", "=", "", "b=%26", "x=%2F&x=%2f", "q=a+b", "q=a%20b", "u=http://h/?c", "[]=1"]
)
QUERIES = st.just("") | st.lists(PAIRS, max_size=4).map(lambda pairs: "?" + "&".join(pairs))

NAMES = st.sampled_from(["X-One", "x-one", "X_Two", "x.three", "Accept", "Accept-Language", "X-Forwarded-For", "Via"])
VALUES = st.sampled_from(
    ["", "1", "a, b", 'q="x, y"', "a\tb", "  inner  space  ", "é", "\xff", "x" * 4000, "a;b=c", "*/*", 'W/"x"', "0"]
)
KNOWN = st.sampled_from(
    [
        ("Authorization", "Bearer k"),
        ("X-Api-Key", "k"),
        ("Accept-Encoding", "gzip, br"),
        ("Content-Type", "application/json; charset=utf-8"),
        ("Content-Type", ""),
        ("Content-Encoding", "gzip"),
        ("If-None-Match", 'W/"a", "b"'),
        ("Range", "bytes=0-3,5-"),
        ("Origin", "http://localhost"),
        ("Referer", "http://localhost/é"),
        ("User-Agent", "curl/8"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
        ("Proxy-Connection", "keep-alive"),
        ("Max-Forwards", "3"),
        ("Priority", "u=1, i"),
    ]
)
COOKIES = st.sampled_from([("Cookie", "a=1; b=2"), ("Cookie", "c=3")])
ODD_HEADERS = st.tuples(
    st.lists(st.tuples(NAMES, VALUES) | COOKIES, max_size=4),
    st.lists(KNOWN, max_size=4, unique_by=lambda header: header[0]),  # those that nginx accepts once only
).map(lambda lists: lists[0] + lists[1])
CONNECTIONS = st.sampled_from(["close", "Close", "close, x-one", "X-One, close", "close, te"])

STATUSES = st.sampled_from(
    [200, 200, 200, 201, 204, 206, 207, 301, 302, 304, 307, 308, 400, 404, 418, 429, 500, 503, 599]
)
SAID_OFTEN = st.sampled_from(
    [
        ("Set-Cookie", "a=1; Path=/; HttpOnly"),
        ("Set-Cookie", "b=2"),
        ("set-cookie", "c="),
        ("Vary", "Accept"),
        ("Vary", "Origin"),
        ("Cache-Control", "no-cache"),
        ("cache-control", "no-store"),
        ("x-odd", "é\xff"),
        ("WWW-Authenticate", 'Basic realm="a", Bearer'),
        ("Link", "</a>; rel=next"),
        ("Link", "</b>; rel=prev"),
    ]
)
SAID_ONCE = st.sampled_from(
    [
        ("Location", "/elsewhere?x=%2F"),
        ("Location", "http://other.example/a%20b"),
        ("ETag", 'W/"x"'),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Date", "Sat, 21 Nov 2026 10:00:00 GMT"),
        ("Server", "engine/1"),
        ("X-Empty", ""),
        ("X-Long", "y" * 8000),
        ("Content-Language", "de, en"),
        ("Retry-After", "120"),
        ("Keep-Alive", "timeout=9"),
        ("X-Powered-By", "a\tb"),
        ("Accept-Ranges", "bytes"),
        ("Content-Disposition", 'attachment; filename="é.txt"'),
    ]
)
BODIES = st.sampled_from(
    [b"", b"x", b"hello\r\n\r\n0\r\n\r\n", b"\0\xff" * 40, gzip.compress(b"zipped" * 9, mtime=0), b"z" * 70_000]
)


@st.composite
def replies(draw: st.DrawFn) -> str:
    """All bytes of an answer."""
    status, body = draw(STATUSES), draw(BODIES)
    said = draw(st.lists(SAID_OFTEN, max_size=4)) + draw(
        st.lists(SAID_ONCE, max_size=4, unique_by=lambda each: each[0])
    )
    lines = [f"{name}: {value}" for name, value in said]
    if status in (204, 304):
        body, framing = b"", "none"
    else:
        framing = draw(st.sampled_from(["length", "length", "chunked", "chunked", "extended", "end"]))
    version = draw(st.sampled_from(["1.1", "1.1", "1.1", "1.0"])) if framing in ("length", "end") else "1.1"
    lines += {
        "none": [],
        "length": [f"Content-Length: {len(body)}"],
        "chunked": ["Transfer-Encoding: chunked"],
        "extended": ["transfer-encoding: Chunked"],
        "end": ["Connection: close"],
    }[framing]
    head = "\r\n".join([f"HTTP/{version} {status} {draw(st.sampled_from(['OK', '', 'It is so']))}", *lines, "", ""])
    return head + _framed(body, framing, draw)


def _framed(body: bytes, framing: str, draw: st.DrawFn) -> str:
    text = body.decode("latin-1")
    if framing not in ("chunked", "extended"):
        return text
    extension = ';a=1;b="c"' if framing == "extended" else ""
    size = draw(st.sampled_from([1, 7, 4096, 100_000])) if len(text) < 1000 else 4096
    out = ""
    for at in range(0, len(text), size):
        piece = text[at : at + size]
        out += f"{len(piece):X}{extension}\r\n{piece}\r\n"
    trailers = "X-Sum: 1\r\nX-Sum: 2\r\nSet-Cookie: no=1\r\n" if framing == "extended" else ""
    return f"{out}000{extension}\r\n{trailers}\r\n"


@st.composite
def odd_exchanges(draw: st.DrawFn) -> Odd:
    method = draw(st.sampled_from(["GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]))
    body = draw(BODIES) if method in ("POST", "PUT", "PATCH", "DELETE") else b""
    version = draw(st.sampled_from(["1.1", "1.1", "1.1", "1.0"]))
    is_chunked = bool(body) and version == "1.1" and draw(st.booleans())
    return Odd(
        method,
        draw(PATHS),
        draw(QUERIES),
        [*draw(ODD_HEADERS), ("Connection", draw(CONNECTIONS))],
        version,
        version == "1.1" and draw(st.integers(0, 5)) == 0,
        body,
        draw(st.lists(st.integers(1, 5000), max_size=3)) if is_chunked else None,
        draw(st.sampled_from(["", ";a", ';a=1;b="c d"'])) if is_chunked else "",
        draw(st.sampled_from([[], [("X-Sum", "1")], [("X-Sum", ""), ("X-Sum", "2")]])) if is_chunked else [],
        bool(body) and version == "1.1" and draw(st.integers(0, 3)) == 0,
        draw(replies()),
    )
