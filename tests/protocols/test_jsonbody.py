"""Members of a body are read and changed, and every byte that nobody named stays."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from penstock.core.calls.message import Body, Edits
from penstock.errors import AmbiguousBody, BadRequest, InvalidJson
from penstock.protocols import jsonbody
from penstock.protocols.jsonpieces import Pieces
from penstock.protocols.jsontree import MAX_MEMBERS, MAX_SPACE

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=8)
KINDS = pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
PAD = "x" * 70_000


def joined(pieces: Pieces) -> bytes:
    return b"".join(pieces)


def edited(body: Body | Pieces, **edits: Any) -> bytes:
    return joined(jsonbody.edit(body, Edits(**edits)))


@st.composite
def written(draw: st.DrawFn, objects: st.SearchStrategy[dict[str, Any]] = OBJECTS) -> bytes:
    """An object as some client might write it: with and without spaces, escapes, and something large."""
    made = draw(objects)
    if draw(st.booleans()):
        made = {**made, draw(st.text()): draw(st.sampled_from([PAD, [PAD, {"a": PAD}], {"x": {"y": PAD}, "z": [1]}]))}
    spaces = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n\t", " :\r\n")]))
    text = json.dumps(
        made, separators=spaces, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1]))
    )
    return (draw(st.sampled_from(["", " \n"])) + text + draw(st.sampled_from(["", "\t "]))).encode("utf-8")


@KINDS
@given(body=written())
def test_a_body_that_is_opened_keeps_every_byte(kind: type[Body], body: bytes) -> None:
    pieces = jsonbody.opened(kind(body))
    assert joined(pieces) == body
    assert joined(jsonbody.edit(pieces, Edits())) == joined(jsonbody.edit(kind(body), Edits())) == body
    assert json.loads(bytes(jsonbody.outline(pieces))).keys() == json.loads(body).keys()


@KINDS
@given(body=written(), name=st.text(), value=VALUES)
def test_a_member_that_is_set_changes_no_other(kind: type[Body], body: bytes, name: str, value: object) -> None:
    raw = json.dumps(value).encode()
    once = joined(jsonbody.change(kind(body), put={name: raw}))
    wanted = json.loads(body)
    assert json.loads(once) == {**wanted, name: value}
    assert list(json.loads(once)) == list({**wanted, name: value})
    assert joined(jsonbody.change(jsonbody.opened(kind(body)), put={name: raw})) == once
    if name not in wanted and wanted:
        assert once.rstrip().startswith(body.rstrip()[:-1].rstrip())
        assert joined(jsonbody.change(once, drop=(name,))) == body


@KINDS
@given(body=written(), at=st.integers(0, 8))
def test_a_member_that_is_taken_out_leaves_the_others_bytes(kind: type[Body], body: bytes, at: int) -> None:
    wanted = json.loads(body)
    name = [*wanted, "nobody"][min(at, len(wanted))]
    left = joined(jsonbody.change(kind(body), drop=(name,)))
    wanted.pop(name, None)
    assert json.loads(left) == wanted
    assert list(json.loads(left)) == list(wanted)
    assert edited(left, drop=()) == left


@given(
    body=written(),
    put=st.dictionaries(st.lists(st.text("ab01", min_size=1, max_size=2), min_size=1, max_size=3).map(tuple), VALUES),
)
def test_edits_in_several_goes_are_those_in_one(body: bytes, put: dict[tuple[str, ...], object]) -> None:
    paths = {".".join(f":{step}" for step in path): json.dumps(value).encode() for path, value in put.items()}
    try:
        once = edited(body, put=paths)
    except BadRequest:  # a list is in the way
        assume(b"[" in body or any(raw[:1] == b"[" for raw in paths.values()))
        return
    pieces = jsonbody.opened(body)
    for path, raw in paths.items():
        pieces = jsonbody.edit(pieces, Edits(put={path: raw}))
    assert joined(pieces) == once
    wanted = json.loads(body)
    for names, value in put.items():
        inner = wanted
        for step in names[:-1]:
            if not isinstance(inner.get(step), dict):
                inner[step] = {}
            inner = inner[step]
        inner[names[-1]] = json.loads(json.dumps(value))
    assert json.loads(once) == wanted


@pytest.mark.parametrize(
    ("body", "path", "left"),
    [
        # As sjson, which llama-swap uses, sets them.
        ("{}", "a", '{"a":7}'),
        ("{}", "a.b.c", '{"a":{"b":{"c":7}}}'),
        ('{"a":{"x": 1 }}', "a.b", '{"a":{"x": 1,"b":7 }}'),
        ('{"a":{"b": [1] }}', "a.b", '{"a":{"b": 7 }}'),
        ('{"a":"text"}', "a.b", '{"a":{"b":7}}'),
        ('{"a":null}', "a.1", '{"a":[null,7]}'),
        ('{"a":5}', "a.b.0", '{"a":{"b":[7]}}'),
        ('{"a":[]}', "a.0", '{"a":[7]}'),
        ('{"a":[1, 2]}', "a.1", '{"a":[1, 7]}'),
        ('{"a":[1, 2]}', "a.4", '{"a":[1, 2,null,null,7]}'),
        ('{"a":[1]}', "a.-1", '{"a":[1,7]}'),
        ("{}", "a.-1", '{"a":[7]}'),
        ("{}", "a.2.b", '{"a":[null,null,{"b":7}]}'),
        ("{}", "a.:2.b", '{"a":{"2":{"b":7}}}'),
        ('{"a":{"2":0}}', "a.2", '{"a":{"2":7}}'),
        ('{"a":{}}', "a.-1", '{"a":{"-1":7}}'),
        ("{}", "1", '{"1":7}'),
        ('{"a.b":1}', r"a\.b", '{"a.b":7}'),
        ('{"\\u0061":1}', "a", '{"\\u0061":7}'),
        ('{"a":[{"b":1},{"b":2}]}', "a.1.b", '{"a":[{"b":1},{"b":7}]}'),
        ('{"a":1,"b":2,"a":3}', "a", '{"b":2,"a":7}'),
    ],
)
def test_a_path_is_set_as_llama_swap_sets_it(body: str, path: str, left: str) -> None:
    assert edited(body.encode(), put={path: b"7"}).decode() == left
    padded = body.replace("{", f'{{"pad":"{PAD}",' if body != "{}" else f'{{"pad":"{PAD}"', 1)
    assert (
        edited(memoryview(padded.encode()), put={path: b"7"}).replace(b'"pad":"%b",' % PAD.encode(), b"")
        == left.encode()
    )


@pytest.mark.parametrize(
    ("body", "path", "left"),
    [
        ('{"a":1}', "a", "{}"),
        ('{ "a":1, "b":2 , "c":3 }', "a", '{ "b":2 , "c":3 }'),
        ('{ "a":1, "b":2 , "c":3 }', "b", '{ "a":1 , "c":3 }'),
        ('{ "a":1, "b":2 , "c":3 }', "c", '{ "a":1, "b":2 }'),
        ('{"a":{"b":1,"c":2}}', "a.b", '{"a":{"c":2}}'),
        ('{"a":{"b":1}}', "a.b", '{"a":{}}'),
        ('{"a":{"b":1}}', "a.c", '{"a":{"b":1}}'),
        ('{"a":"b"}', "a.b", '{"a":"b"}'),
        ('{"a":[1,2,3]}', "a.1", '{"a":[1,3]}'),
        ('{"a":[1,2,3]}', "a.-1", '{"a":[1,2]}'),
        ('{"a":[]}', "a.-1", '{"a":[]}'),
        ('{"a":[]}', "a.0", '{"a":[]}'),
        ('{"a":[1]}', "a.b", '{"a":[1]}'),
        ('{"a":1,"b":2,"a":3}', "a", '{"b":2}'),
    ],
)
def test_a_path_is_taken_out_as_llama_swap_takes_it_out(body: str, path: str, left: str) -> None:
    assert edited(body.encode(), drop=(path,)).decode() == left


def test_what_is_taken_out_can_be_set_and_the_model_comes_last() -> None:
    body = b'{"model":"a","top_p":1,"x":{"y":2}}'
    assert edited(body, model="b", drop=("top_p", "x"), put={"x.z": b"3", "x.y": b"4", "model.b": b"5"}) == (
        b'{"model":"b","x":{"z":3,"y":4}}'
    )


def test_a_name_that_leads_into_a_list_is_refused_and_says_why() -> None:
    with pytest.raises(BadRequest, match="list where the filters of the model set a member `x`"):
        edited(b'{"a":[1]}', put={"a.x": b"1"})


def test_a_large_value_is_never_copied() -> None:
    body = memoryview(json.dumps({"model": "a", "messages": [PAD * 20], "x": {"y": PAD, "z": 1}}).encode())
    pieces = jsonbody.opened(body)
    pieces = jsonbody.change(pieces, drop=("nobody",))
    pieces = jsonbody.edit(pieces, Edits(model="b", put={"x.z": b"2"}))
    views = [piece for piece in pieces if isinstance(piece, memoryview)]
    assert [len(view) for view in views] == [len(PAD) * 20 + 4, len(PAD) + 2]
    assert all(view.obj is body.obj for view in views)
    assert json.loads(joined(pieces)) == {"model": "b", "messages": [PAD * 20], "x": {"y": PAD, "z": 2}}


def test_thousands_of_large_members_take_no_longer_than_their_number_says() -> None:
    body = memoryview(json.dumps({str(number): "x" * 5_000 for number in range(MAX_MEMBERS)}).encode())
    began_s = time.process_time()
    pieces = jsonbody.edit(jsonbody.opened(body), Edits(put={"y": b"1"}))
    assert time.process_time() - began_s < 1.0
    assert len(pieces) > MAX_MEMBERS
    assert joined(pieces) == bytes(body)[:-1] + b',"y":1}'


@KINDS
@pytest.mark.parametrize("pad", ["", PAD])
def test_a_member_is_added_at_the_end(kind: type[Body], pad: str) -> None:
    body = kind(b' {"a":"%b}" } \n' % pad.encode())
    added = b' {"a":"%b}" ,"b":1} \n' % pad.encode()
    assert joined(jsonbody.append(body, b'"b":1')) == added
    assert joined(jsonbody.append(jsonbody.opened(body), b'"b":1')) == added


@KINDS
@pytest.mark.parametrize("pad", ["", PAD])
@pytest.mark.parametrize("member", jsonbody.UNIQUE)
def test_a_member_that_is_there_twice_is_found(kind: type[Body], pad: str, member: str) -> None:
    letter = f"\\u{ord(member[0]):04x}"
    for second in (member, letter + member[1:]):
        body = f'{{"x":"{pad}","{member}":1,"y":{{"{member}":2}},"{second}":1}}'.encode()
        with pytest.raises(AmbiguousBody, match=member):
            jsonbody.check_unique(kind(body))


@pytest.mark.parametrize("pad", ["", PAD])
def test_a_member_whose_name_is_only_talked_about_is_there_once(pad: str) -> None:
    said = 'say \\"model\\" and "model" twice: {"model": "model"}'
    body = json.dumps({"model": "a", "x": said, "y": {"model": 1, "z": [{"model": 2}]}, "pad": pad}).encode()
    assert joined(jsonbody.opened(memoryview(body))) == body


def test_a_member_that_is_there_thousands_of_times_is_taken_out_at_once() -> None:
    body = b'{"model":"a"' + b',"x":1' * (MAX_MEMBERS - 1) + b"}"
    began_s = time.process_time()
    assert edited(body, drop=("x",)) == b'{"model":"a"}'
    assert edited(body, put={"x": b"2"}) == b'{"model":"a","x":2}'
    assert time.process_time() - began_s < 0.5


def test_values_that_look_like_members_do_not_hide_one() -> None:
    """Of two values of one name, the first reads like a member behind the second, where that is shorter."""
    body = b'{"x":{"a":12,"model":"c"},"model":"a","pad":"%b","x":1234567,"model":"b"}' % PAD.encode()
    with pytest.raises(AmbiguousBody):
        jsonbody.check_unique(body)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", InvalidJson),
        (b"[1]", BadRequest),
        (b'{"a":1}{', InvalidJson),
        (b'{"a":1', InvalidJson),
        (b'{"a":1,}', InvalidJson),
        (b'{"a" 1}', InvalidJson),
        (b'{"a":%b1%b}' % (b"[" * 100_000, b"]" * 100_000), InvalidJson),
        (b'{"a":1,%b"b":2}' % (b" " * (MAX_SPACE + 1)), BadRequest),
        (b'{"a":1%b}' % (b"\n" * (MAX_SPACE + 1)), BadRequest),
        (b'%b{"a":1}' % (b"\n" * (MAX_SPACE + 1)), BadRequest),
        (b"{%b}" % b",".join(b'"%d":1' % number for number in range(MAX_MEMBERS + 1)), BadRequest),
    ],
)
def test_what_cannot_be_taken_apart_is_refused(body: bytes, error: type[BadRequest]) -> None:
    for kind in (bytes, memoryview):
        with pytest.raises(BadRequest) as caught:
            jsonbody.change(kind(body), put={"x": b"1"})
        assert caught.type is error


@given(st.binary(max_size=200) | st.text('{}[]":,\\ ua1', max_size=60).map(str.encode), st.booleans())
def test_no_bytes_make_it_stumble(body: bytes, is_view: bool) -> None:
    try:
        left = joined(jsonbody.change(memoryview(body) if is_view else body, put={"a": b"1"}))
    except BadRequest:
        return
    assert left.strip()[-1:] == b"}"


LARGE = {
    "picture": {"model": "a", "messages": [{"content": [{"image_url": {"url": "A" * 20_000_000}}]}]},
    "text": {"model": "a", "messages": [{"content": 'a "word" or\ntwo ' * 60}] * 20_000},
    "messages": {"model": "a", "messages": [{"role": "user", "content": "hi"}] * 550_000},
    "numbers": {"model": "a", "input": list(range(2_400_000))},
}


@pytest.mark.parametrize("kind", LARGE)
def test_twenty_megabytes_are_read_and_changed_in_a_moment(kind: str) -> None:
    body = memoryview(json.dumps(LARGE[kind]).encode())
    assert 19e6 < len(body) < 25e6

    def seconds() -> float:
        began_s = time.process_time()
        pieces = jsonbody.edit(jsonbody.opened(body), Edits(model="b", put={"x.y": b"1"}))
        ended_s = time.process_time()
        assert len(pieces) == 3
        return ended_s - began_s

    assert min(seconds() for _ in range(3)) < 0.2
