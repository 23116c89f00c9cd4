"""Fields of multipart forms: found where they stand, or refused where readers could find different ones."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import AmbiguousBody, BadRequest
from penstock.protocols import multipart

KIND = "multipart/form-data; boundary=b"
KINDS = pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])


def part(name: str, content: bytes, more: str = "", lines: str = "") -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n{lines}\r\n'.encode() + content + b"\r\n"


def found(body: bytes, content_type: str = KIND) -> list[tuple[str, bool, bytes]]:
    """The parts, the same from every kind of buffer."""
    read = [
        [(each.name, each.is_file, bytes(kind[each.start : each.end])) for each in multipart.parts(kind, content_type)]
        for kind in (body, bytearray(body), memoryview(body))
    ]
    assert read[0] == read[1] == read[2]
    return read[0]


FILE = part("file", b"\0\r\n--\xff\r\n\r\n--a", '; filename="a.wav"', "Content-Type: audio/wav\r\n")
MODEL = part("model", b"whisper")
END = b"--b--\r\n"


def test_fields_and_files_are_told_apart() -> None:
    assert found(FILE + MODEL + END) == [
        ("file", True, b"\0\r\n--\xff\r\n\r\n--a"),
        ("model", False, b"whisper"),
    ]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (MODEL + b"--b--", KIND),
        (b"preamble\r\n\r\n" + MODEL + END + b"epilogue\r\nof any kind -- b", KIND),
        (MODEL.replace(b"--b\r\n", b"--b \t\r\n") + b"--b-- \r\n", KIND),
        (MODEL + END, 'multipart/form-data; boundary="b"'),
        (MODEL + END, "Multipart/Form-Data ;charset=utf-8; Boundary=b"),
        (MODEL + END, ""),
        (MODEL + END, "text/plain"),
        (MODEL + END, "application/json; boundary=c"),
        (MODEL.replace(b"--b", b"--b c") + b"--b c--", 'multipart/form-data; boundary="b c"'),
        (MODEL.replace(b"--b", b"--" + b"x" * 70) + b"--" + b"x" * 70 + b"--", f"{KIND[:-1]}{'x' * 70}"),
        (b'--b\r\ncontent-disposition:form-data;name="model"\r\n\r\nwhisper\r\n' + END, KIND),
        (b"--b\r\nContent-Disposition: form-data; name=model\r\n\r\nwhisper\r\n" + END, KIND),
        (b'--b\r\nContent-Disposition: form-data;\r\n\tname="model"\r\n\r\nwhisper\r\n' + END, KIND),
        (b'--b\r\nX-Mine: y\r\nContent-Disposition: form-data; name="model";\r\n\r\nwhisper\r\n' + END, KIND),
        (
            MODEL.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
            + END,
            KIND,
        ),
    ],
)
def test_odd_but_legal_forms_are_read(body: bytes, content_type: str) -> None:
    assert found(body, content_type) == [("model", False, b"whisper")]


def test_an_empty_part_is_there() -> None:
    assert found(part("a", b"") + part("b", b"")[:-2] + MODEL + END)[:2] == [("a", False, b""), ("b", False, b"")]
    assert found(END) == []


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"", KIND, "nowhere in it"),
        (b"--c--", KIND, "nowhere in it"),
        (MODEL, KIND, "last boundary is missing"),
        (MODEL + b"--b", KIND, "last boundary is missing"),
        (b"--b\r\nContent-Disp", KIND, "last boundary is missing"),
        (b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n" + b"x" * 9000, KIND, "last boundary is missing"),
        (MODEL + b"--b-", KIND, "neither the end of its line nor"),
        (MODEL + b"--b--x", KIND, "neither the end of its line nor"),
        (MODEL + b"--bc\r\n" + MODEL[5:] + END, KIND, "neither the end of its line nor"),
        (MODEL + END + MODEL, KIND, "goes on after its last boundary"),
        (MODEL + b"--b--\r\n" + END, KIND, "goes on after its last boundary"),
        ((MODEL + END).replace(b"\r\n", b"\n"), KIND, "does not end in CR LF|neither the end"),
        ((MODEL + END).replace(b"\r\n", b"\n"), "", "first line is no boundary"),
        (b"x\n" + MODEL + END, KIND, "does not end in CR LF"),
        (MODEL.replace(b"whisper\r\n", b"whisper\n") + END, KIND, "does not end in CR LF"),
        (b"--b\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n" + END, KIND, "neither the end of its line"),
        (b"--b\r\nX: y\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n" + END, KIND, "does not end in CR LF"),
        (b"--b\r\nX: y\rContent-Disposition: form-data; name=a\r\n\r\nx\r\n" + END, KIND, "does not end in CR LF"),
        (b"--b\r\n\r\nwhisper\r\n" + END, KIND, "no `Content-Disposition: form-data`"),
        (b"--b\r\nX\r\n\r\nwhisper\r\n" + END, KIND, "no header"),
        (b"--b\r\nX: y\r\n\r\nwhisper\r\n" + END, KIND, "no `Content-Disposition: form-data`"),
        (MODEL.replace(b"form-data", b"attachment") + END, KIND, "no `Content-Disposition: form-data`"),
        (MODEL.replace(b' name="model"', b"") + END, KIND, "no name, or more than one"),
        (part("model", b"a", '; name="other"') + END, KIND, "no name, or more than one"),
        (part("model", b"a", "; name*=UTF-8''other") + END, KIND, "no name, or more than one"),
        (part("mod\\el", b"a") + END, KIND, "backslash"),
        (part('mod\\"el', b"a") + END, KIND, "backslash"),
        (part("model", b"a", "; other") + END, KIND, "cannot be read"),
        (part("model", b"a", "", "Content-Disposition: form-data; name=x\r\n") + END, KIND, "is there twice"),
        (part("model", b"YQ==", "", "Content-Transfer-Encoding: base64\r\n") + END, KIND, "Content-Transfer-Encoding"),
        (part("model", b"a", "; filename=~").replace(b"~", b"\xff") + END, KIND, "not UTF-8|cannot be read"),
        (part("a", b"", "", f"X: {'y' * 9000}\r\n") + END, KIND, "more than 8192 bytes"),
        (part("a", b"") * 10_000 + END, KIND, "more than 1000 parts"),
        (MODEL + END, "multipart/form-data", "names no boundary"),
        (MODEL + END, "multipart/form-data; boundary=", "cannot be read"),
        (MODEL + END, 'multipart/form-data; boundary=""', "1 to 70"),
        (MODEL + END, "multipart/form-data; boundary=b; boundary=c", "two boundaries"),
        (MODEL + END, "multipart/form-data; boundary*=UTF-8''b", "names no boundary"),
        (MODEL + END, f"multipart/form-data; boundary={'b' * 71}", "1 to 70"),
        (MODEL + END, 'multipart/form-data; boundary="b "', "1 to 70"),
        (MODEL + END, 'multipart/form-data; boundary="b\\c"', "backslash"),
        (MODEL + END, 'multipart/form-data; boundary="é"', "1 to 70"),
        (b"hello", "", "first line is no boundary"),
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused_and_says_why(body: bytes, content_type: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        found(body, content_type)


def test_a_field_is_one_and_no_file() -> None:
    body = MODEL + FILE + MODEL + END
    parts = multipart.parts(body, KIND)
    assert multipart.field(body, parts, "nobody") is None
    with pytest.raises(AmbiguousBody, match="model"):
        multipart.field(body, parts, "model")
    with pytest.raises(BadRequest, match="`file` is a file"):
        multipart.field(body, parts, "file")


def test_what_a_field_says_is_bounded_and_text() -> None:
    body = part("a", b"x" * 11) + part("b", b"\xff") + END
    long, wrong = multipart.parts(body, KIND)
    assert multipart.text(body, long, 10) == ""
    assert multipart.text(body, long, 11) == "x" * 11
    with pytest.raises(BadRequest, match="UTF-8"):
        multipart.text(body, wrong, 10)


def test_a_boundary_at_the_edge_of_a_step_is_found() -> None:
    steps = (1024, 1024 + 2048, 2**20 - 1024, 2**20, 2**21 - 1024)
    for size in [step + shift for step in steps for shift in range(-8, 3)]:
        content = b"x" * size
        assert found(part("a", content) + END)[0][2] == content


NAMES = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters='"\\\x7f'), min_size=1, max_size=8
)


@given(
    fields=st.lists(st.tuples(NAMES, st.binary(max_size=50), st.booleans()), min_size=1, max_size=5),
    boundary=st.text("0123456789abcXYZ'()+_,-./:=?", min_size=1, max_size=70),
    is_quoted=st.booleans(),
)
def test_what_an_honest_client_writes_is_read(
    fields: list[tuple[str, bytes, bool]], boundary: str, *, is_quoted: bool
) -> None:
    line = f"--{boundary}"
    if any(line.encode() in content for _, content, _ in fields):
        return
    body = b"".join(
        f'{line}\r\nContent-Disposition: form-data; name="{name}"{"; filename=f" * is_file}\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content, is_file in fields
    )
    content_type = f'multipart/form-data; boundary="{boundary}"' if is_quoted else ""
    wanted = [(name, is_file, content) for name, content, is_file in fields]
    assert found(body + f"{line}--\r\n".encode(), content_type) == wanted


PIECES = st.sampled_from(
    [
        *(b"--b", b"--", b"\r\n", b"\n", b"\r", b" ", b":", b"x", b"\xff", b'"', b"--b\r\n", b"--b--", b"\r\n\r\n"),
        *(b"Content-Disposition: form-data", b'; name="model"', b"; name=a", b"; filename=f"),
    ]
)


@given(
    st.lists(PIECES, max_size=25).map(b"".join) | st.lists(PIECES, max_size=9).map(lambda more: MODEL + b"".join(more))
)
def test_whatever_is_read_is_what_another_reader_finds(body: bytes) -> None:
    try:
        parts = found(body)
    except BadRequest:
        return
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + KIND.encode() + b"\r\n\r\n" + body)
    others = message.get_payload()
    assert len(parts) == (len(others) if isinstance(others, list) else 0)
