"""A large text read in steps says the same as the whole read at once."""

from __future__ import annotations

import json
import random
import tracemalloc

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.errors import BadRequest, InvalidJson
from penstock.protocols.jsonwalk import MAX_DEPTH, MAX_STEP_BYTES, MIN_STEP_BYTES, end_of_value

LETTERS = (
    "a",
    "word ",
    "é",
    "😀",
    '"',
    "\\",
    "\n",
    "\u2028",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\\\\",
    '\\"',
)
SIZES = (0, 1, 5, 40, 300, MIN_STEP_BYTES - 3, MIN_STEP_BYTES, 3 * MIN_STEP_BYTES, MAX_STEP_BYTES, 3 * MAX_STEP_BYTES)


def a_string(draw: random.Random) -> str:
    size = draw.choice(SIZES) if draw.random() < 0.03 else draw.randint(0, 60)
    letters = draw.choices(LETTERS, k=min(size, 20))
    return "".join(letters) * (size // 20 + 1) if letters else ""


def a_value(draw: random.Random, depth: int) -> object:
    kind = draw.random()
    if depth and kind < 0.3:
        return [a_value(draw, depth - 1) for _ in range(draw.choice((0, 1, 2, 8)))]
    if depth and kind < 0.7:
        return {a_string(draw)[:200]: a_value(draw, depth - 1) for _ in range(draw.choice((0, 1, 2, 8)))}
    return a_string(draw) if kind < 0.85 else draw.choice((None, True, 0, -1.5e300, 10**25, 12345))


def a_text(draw: random.Random) -> bytes:
    """A container of up to some hundred kilobytes as some client might write it."""
    values = [a_value(draw, depth=3) for _ in range(draw.choice([1, 3, 20, 200]))]
    value: object = values if draw.random() < 0.5 else {str(at): each for at, each in enumerate(values)}
    for _ in range(draw.choice([0, 0, 1, 5])):
        value = [value, 1] if draw.random() < 0.5 else {"x": value}
    spaces = draw.choice([(",", ":"), (", ", ": "), (" ,\n\t", " :\r\n")])
    text = json.dumps(value, separators=spaces, ensure_ascii=draw.random() < 0.5, indent=draw.choice([None, None, 1]))
    return text.encode("utf-8", "surrogatepass")


def is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True


SEEDS = pytest.mark.parametrize("seeds", [range(100), pytest.param(range(100, 5_000), marks=pytest.mark.long)])


@SEEDS
@pytest.mark.timeout(1800)
def test_a_value_ends_where_it_ends(seeds: range) -> None:
    for seed in seeds:
        draw = random.Random(seed)
        text, kind = a_text(draw), draw.choice([bytes, memoryview])
        behind = draw.choice([b"", b"]", b",1", b' , "x":', b"}}"])
        assert end_of_value(kind(b'[1,"x' + text + behind), 5) == 5 + len(text), f"seed {seed}"


@SEEDS
@pytest.mark.timeout(1800)
def test_what_is_changed_or_cut_is_accepted_only_if_it_is_still_json(seeds: range) -> None:
    for seed in seeds:
        draw = random.Random(-1 - seed)
        text = a_text(draw)
        for _ in range(5):
            at, byte = draw.randrange(len(text)), bytes([draw.choice(b'"\\[]{},: 0ae\x00\n')])
            whole = draw.choice([text[:at], text[:at] + text[at + 1 :], text[:at] + byte + text[at + 1 :]])
            changed = draw.choice([whole, text[:at] + byte + text[at:]])
            try:
                end = end_of_value(memoryview(changed), 0)
            except BadRequest:
                assert not is_json(changed) or changed[:1].isspace(), f"seed {seed}"
            else:
                assert is_json(changed[:end]), f"seed {seed}"


@pytest.mark.parametrize("size", [*range(MIN_STEP_BYTES - 14, MIN_STEP_BYTES + 3), MAX_STEP_BYTES + 9])
@pytest.mark.parametrize("character", ["\\n", '\\"', "\\\\", "\\u00e9", "\\ud83d\\ude00", "é", "😀", "\\u0064"])
def test_a_string_is_never_cut_within_a_character(size: int, character: str) -> None:
    text = f'"{"x" * size}{character * 3}{"x" * 30}"'.encode()
    assert end_of_value(text, 0) == end_of_value(memoryview(text + b'"'), 0) == len(text)
    many = f'"{"x" * (size % 7)}{character * 20_000}"'.encode()
    assert end_of_value(many, 0) == len(many)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" 1",
        b"[",
        b"[" + b" " * 100_000,
        b'{"a"' + b" " * 100_000,
        b'"' + b"x" * 100_000,
        b'"' + b"x" * 100_000 + b"\\u12\"",
        b'"' + b"x" * 100_000 + b"\\ud83dx\"",
        b'"' + b"x" * 100_000 + b'\n"',
        b'["' + b"x" * 100_000 + b'" "y"]',
        b'{"' + b"x" * 100_000 + b'":1}',
        b"[0" + b"1" * 100_000 + b"]",
        b"[1" + b"." + b"1" * 100_000 + b".1]",
        b"[1" + b"1" * 100_000 + b"e]",
        b"[" + b"e1" * 100_000 + b"]",
        b"[" + b"true" * 100_000 + b"]",
        b"[" + b"1," * 100_000 + b"]",
        b"[" + b"1 " * 100_000 + b"]",
        b'["x",' + b" " * 100_000 + b"1]",
        b"{" + b'"a":1,' * 100_000 + b'"b"}',
        b"{" + b'"a":1,' * 100_000 + b'"b":1]',
        b"[" + b"[{}]," * 100_000 + b"[}]]",
        b"[" * 100_000,
        b"[" * (MAX_DEPTH + 100) + b"]" * (MAX_DEPTH + 100),
        b'{"a":' * 100_000,
        b"\\" * 100_000,
        b'["a"\\"' + b"x" * 100_000,
        b"tru",
        b"[NaN]",
        b"[01]",
        b"[/* */ 1]",
        b"['a']",
    ],
)  # fmt: skip
def test_what_is_no_json_or_nobody_writes_is_refused(text: bytes) -> None:
    with pytest.raises(BadRequest):
        end_of_value(memoryview(text), 0)


@pytest.mark.parametrize("digits", [1, 9, MAX_STEP_BYTES - 1, MAX_STEP_BYTES, 300_000])
@pytest.mark.parametrize("number", ["1%s", "-2%s", "0.%s", "1%s.%se-%s", "-0e%s"])
@pytest.mark.parametrize("around", ["%s", "[%s]", '{"a":%s}', '[1, %s , "x"]'])
def test_a_number_may_be_of_any_length(digits: int, number: str, around: str) -> None:
    text = (around % number.replace("%s", "0" * (digits - 1) + "7")).encode()
    assert end_of_value(text, 0) == end_of_value(text + b" ", 0) == len(text)


def test_it_says_where_it_stumbled() -> None:
    text = b"[" + b'{"role":"user"},' * 100_000 + b'{"role" "user"}' + b',{"role":"user"}' * 10_000 + b"]"
    with pytest.raises(InvalidJson, match=r"expected ':' near byte 15\d{5}"):
        end_of_value(text, 0)


@pytest.mark.parametrize("depth", [1, 10, MAX_DEPTH - 1])
def test_deep_and_wide_is_fine(depth: int) -> None:
    text = (
        b'{"":[' * (depth // 2)
        + b"[" * (depth % 2)
        + b"[]," * 50_000
        + b'"x"'
        + b"]" * (depth % 2)
        + b"]}" * (depth // 2)
    )
    assert end_of_value(text, 0) == len(text)


def test_twenty_megabytes_are_not_copied() -> None:
    text = memoryview(json.dumps([{"role": "user", "content": "x" * 100}] * 150_000 + ["y" * 4_000_000]).encode())
    tracemalloc.start()
    assert end_of_value(text, 0) == len(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(text) > 20_000_000
    assert peak < 2_000_000


@example(b'["a\\')
@given(st.text('{}[]":,\\ ua1\n', max_size=60).map(str.encode))
def test_no_text_makes_it_stumble(text: bytes) -> None:
    try:
        end = end_of_value(text, 0)
    except BadRequest:
        return
    assert is_json(text[:end])
