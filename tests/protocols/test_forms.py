"""Fields of queries and of urlencoded bodies: one is found or refused, and one changes."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import AmbiguousBody, AmbiguousQuery, BadRequest
from penstock.protocols import forms

PAIRS = st.lists(st.tuples(st.text(max_size=6).filter(lambda name: name != "model"), st.text(max_size=6)), max_size=5)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (b"?model=a", "a"),
        (b"?x=1&model=a%2Fb+c&y", "a/b c"),
        (b"?model=", ""),
        (b"?model", ""),
        (b"?model&x", ""),
        (b"?%6do%64el=a", "a"),
        (b"?mo%64E=b&%6D%6F%64%65%6C=a", "a"),
        (b"?model=%C3%A9", "é"),
        (b"?model=%zz", "%zz"),
        (b"?model=a=b", "a=b"),
        (b"?models=x&xmodel=y&Model=z", None),
        (b"?x=?model=a", None),
        (b"?", None),
        (b"", None),
    ],
)
def test_a_field_of_a_query_is_found(query: bytes, text: str | None) -> None:
    field = forms.in_query(query, "model")
    assert (field and field.text) == text


@pytest.mark.parametrize("query", [b"?model=a&model=a", b"?model=a&x&m%6fdel=b", b"?model&model", b"?model=a&&model="])
def test_a_field_that_is_there_twice_is_refused(query: bytes) -> None:
    with pytest.raises(AmbiguousQuery, match="model"):
        forms.in_query(query, "model")
    with pytest.raises(AmbiguousBody, match="model"):
        forms.in_body(memoryview(query[1:]), "model")


def test_a_field_that_is_no_text_is_refused() -> None:
    with pytest.raises(BadRequest, match="UTF-8"):
        forms.in_query(b"?model=%ff", "model")


def test_a_large_form_is_refused_unread() -> None:
    with pytest.raises(BadRequest, match="multipart/form-data or JSON"):
        forms.in_body(b"model=a&x=" + b"x" * forms.MAX_BODY_BYTES, "model")


@given(before=PAIRS, after=PAIRS, model=st.text(), other=st.text(), is_query=st.booleans())
def test_a_field_is_read_as_others_read_it_and_changes_alone(
    before: list[tuple[str, str]], after: list[tuple[str, str]], model: str, other: str, *, is_query: bool
) -> None:
    first, last = urlencode(before), urlencode(after, quote_via=quote_plus)
    text = f"{'?' if is_query else ''}{first}{'&' if first else ''}model={quote_plus(model)}{'&' if last else ''}{last}"
    raw = text.encode("ascii")
    field = forms.in_query(raw, "model") if is_query else forms.in_body(raw, "model")
    assert field is not None
    assert field.text == model
    changed = raw[: field.start] + forms.escaped(other) + raw[field.end :]
    assert parse_qsl(changed.removeprefix(b"?").decode(), keep_blank_values=True) == [*before, ("model", other), *after]


@given(st.binary(max_size=60) | st.text("?&=%model6d", max_size=40).map(str.encode))
def test_no_bytes_make_it_stumble(raw: bytes) -> None:
    for find in (forms.in_query, forms.in_body):
        try:
            field = find(raw, "model")
        except BadRequest:
            continue
        assert field is None or 0 <= field.start <= field.end <= len(raw)
